"""C-ECHO to a peer: whether it is there and lets this node in, and if not, in whose words."""

import logging
import socket
from collections.abc import Iterator

import pytest

from dicomnode.dimse.verification import VerificationSCU
from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.errors import DestinationRefused, DestinationUnreachable
from dicomnode.domain.uids import AETitle
from tests.dimse.conftest import NODE
from tests.dimse.foreign import ForeignPacs, let_in, reject, scripted_peer
from tests.dimse.wire import pdu, read_pdu


@pytest.fixture(autouse=True)
def only_our_own_log(caplog: pytest.LogCaptureFixture) -> None:
    """Failed associations are told by pynetdicom as errors; they are expected here."""
    caplog.set_level(logging.CRITICAL, logger="pynetdicom")


@pytest.fixture(scope="module")
def pacs() -> Iterator[ForeignPacs]:
    pacs = ForeignPacs()
    yield pacs
    pacs.stop()


def _echo(port: int, ae_title: str = "PACS", seconds: float = 10) -> None:
    where = Endpoint(name="pacs", ae_title=AETitle(ae_title), host="127.0.0.1", port=port)
    VerificationSCU(NODE, seconds).echo(where)


def test_an_echo_finds_the_way(pacs: ForeignPacs) -> None:
    _echo(pacs.port)
    assert pacs.associations > 0


def test_an_echo_says_who_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(DestinationUnreachable, match=f"pacs does not answer at 127.0.0.1 port {port}"):
        _echo(port)


def test_an_echo_says_who_does_not_know_its_own_title(pacs: ForeignPacs) -> None:
    said = "pacs did not let NODE in: rejected for good by the application: called AE title not recognized"
    with pytest.raises(DestinationRefused, match=said):
        _echo(pacs.port, ae_title="WRONG")


def test_an_echo_says_who_takes_none() -> None:
    with (
        scripted_peer(lambda connection: let_in(connection, taken=3)) as port,
        pytest.raises(DestinationRefused, match="does not take C-ECHO"),
    ):
        _echo(port)


def test_an_echo_without_an_answer_is_unreachable() -> None:
    def be_silent(connection: socket.socket) -> None:
        let_in(connection)
        connection.recv(100_000)
        connection.recv(1)

    with scripted_peer(be_silent) as port, pytest.raises(DestinationUnreachable, match="did not answer C-ECHO"):
        _echo(port, seconds=0.5)


@pytest.mark.parametrize(
    ("numbers", "kind", "said"),
    [
        ((1, 1, 3), DestinationRefused, "rejected for good by the application: calling AE title not recognized"),
        ((2, 3, 2), DestinationUnreachable, r"for now by its upper layer \(presentation\): local limit exceeded"),
    ],
)
def test_a_rejection_is_told_in_words_whatever_its_numbers(
    numbers: tuple[int, int, int], kind: type[Exception], said: str
) -> None:
    with scripted_peer(lambda connection: reject(connection, *numbers)) as port, pytest.raises(kind, match=said):
        _echo(port)


def test_an_abort_of_the_request_is_told_with_its_source_and_reason() -> None:
    def abort(connection: socket.socket) -> None:
        read_pdu(connection)
        connection.sendall(pdu(0x07, bytes((0, 0, 2, 6))))
        read_pdu(connection)

    said = "pacs aborted the association, by its upper layer: invalid PDU parameter value"
    with scripted_peer(abort) as port, pytest.raises(DestinationUnreachable, match=said):
        _echo(port)
