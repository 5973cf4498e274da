"""C-FIND for a number: a foreign archive says how many instances it has, or it is no witness."""

import logging
import socket
from collections.abc import Iterator

import pytest
from pydicom.dataset import Dataset

from dicomnode.dimse.study_count import StudyCountSCU
from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.errors import DestinationRefused, DestinationUnreachable
from dicomnode.domain.uids import AETitle, StudyInstanceUID
from tests.dimse.finding_pacs import FindingPacs
from tests.dimse.foreign import let_in, scripted_peer

STUDY = StudyInstanceUID("1.2.826.1")


@pytest.fixture(scope="module")
def lasting_pacs() -> Iterator[FindingPacs]:
    pacs = FindingPacs()
    yield pacs
    pacs.stop()


@pytest.fixture
def pacs(lasting_pacs: FindingPacs) -> FindingPacs:
    lasting_pacs.asked.clear()
    return lasting_pacs


@pytest.fixture(autouse=True)
def only_our_own_log(caplog: pytest.LogCaptureFixture) -> None:
    """Failed associations are told by pynetdicom as errors; they are expected here."""
    caplog.set_level(logging.CRITICAL, logger="pynetdicom")


def _count(port: int, seconds: float = 10) -> int:
    where = Endpoint(name="pacs", ae_title=AETitle("PACS"), host="127.0.0.1", port=port)
    return StudyCountSCU(where, AETitle("NODE"), seconds).count_instances(STUDY)


def _match(**attributes: object) -> Dataset:
    match = Dataset()
    match.QueryRetrieveLevel, match.StudyInstanceUID = "STUDY", STUDY
    for keyword, value in attributes.items():
        setattr(match, keyword, value)
    return match


def test_the_instances_of_a_study_are_counted(pacs: FindingPacs) -> None:
    pacs.answers = [(0xFF00, _match(NumberOfStudyRelatedInstances=176))]
    assert _count(pacs.port) == 176
    (asked,) = pacs.asked
    assert (asked.QueryRetrieveLevel, asked.StudyInstanceUID) == ("STUDY", STUDY)
    assert "NumberOfStudyRelatedInstances" in asked


def test_a_study_that_is_not_there_has_none(pacs: FindingPacs) -> None:
    pacs.answers = []
    assert _count(pacs.port) == 0


@pytest.mark.parametrize(
    "answers",
    [
        [(0xFF00, _match())],
        [(0xFF00, _match(NumberOfStudyRelatedInstances=None))],
        [(0xFF00, _match(NumberOfStudyRelatedInstances=[3, 4]))],
        [(0xFF00, _match(NumberOfStudyRelatedInstances=3))] * 2,
        [(0xC001, None)],
        [(0xFE00, None)],
    ],
)
def test_an_archive_that_does_not_say_is_no_witness(
    pacs: FindingPacs, answers: list[tuple[int, Dataset | None]]
) -> None:
    pacs.answers = answers
    with pytest.raises(DestinationRefused):
        _count(pacs.port)


def test_an_archive_without_resources_is_asked_again(pacs: FindingPacs) -> None:
    pacs.answers = [(0xA700, None)]
    with pytest.raises(DestinationUnreachable):
        _count(pacs.port)


def test_an_archive_that_takes_no_query_is_no_witness() -> None:
    with (
        scripted_peer(lambda connection: let_in(connection, taken=3)) as port,
        pytest.raises(DestinationRefused, match="does not take C-FIND"),
    ):
        _count(port)


def test_an_archive_that_says_nothing_is_asked_again() -> None:
    def be_silent(connection: socket.socket) -> None:
        let_in(connection)
        connection.recv(100_000)
        connection.recv(1)

    with scripted_peer(be_silent) as port, pytest.raises(DestinationUnreachable, match="did not answer C-FIND"):
        _count(port, seconds=0.5)
