"""The settings say which archive is asked: by C-FIND where a destination has no DICOMweb, and nobody unless named."""

from datetime import timedelta

import pytest
from pydicom.dataset import Dataset

from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.ledger.completion import signals
from dicomnode.ledger.reception import record_received
from dicomnode.ledger.transaction import Ledger
from dicomnode.node.completing import archive_asking
from dicomnode.node.settings import DestinationSettings, Settings, read_settings
from dicomnode.node.wiring import endpoint
from tests.conftest import FakeClock
from tests.databases import SQLITE
from tests.dimse.finding_pacs import FindingPacs
from tests.ledger.values import NOW, STUDY, received

pytestmark = pytest.mark.parametrize("database_url", [SQLITE], indirect=True)


def _settings(port: int, archive: str | None) -> Settings:
    place = DestinationSettings(name="pacs", ae_title="PACS", host="127.0.0.1", port=port)
    return read_settings(destinations=(place,), completion={"archive": archive})


def test_a_destination_without_dicomweb_is_asked_by_c_find(ledger: Ledger) -> None:
    pacs, study = FindingPacs(), StudyInstanceUID(STUDY)
    match = Dataset()
    match.StudyInstanceUID, match.NumberOfStudyRelatedInstances = STUDY, 7
    pacs.answers = [(0xFF00, match)]
    settings, clock = _settings(pacs.port, "pacs"), FakeClock(NOW + timedelta(seconds=30))
    with ledger.transaction() as tx:
        record_received(tx, received(1))
    asking = archive_asking(settings, ledger, clock, map(endpoint, settings.destinations))
    assert asking is not None
    assert asking.ask() == 1
    pacs.stop()
    with ledger.transaction() as tx:
        count = signals(tx, [study])[study].archive
    assert count is not None
    assert (count.archive, count.instances) == ("pacs", 7)


def test_nobody_is_asked_unless_the_settings_name_an_archive(ledger: Ledger) -> None:
    settings = _settings(104, None)
    destinations = map(endpoint, settings.destinations)
    assert archive_asking(settings, ledger, FakeClock(NOW), destinations) is None
