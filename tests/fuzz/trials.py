"""One trial of each kind: something odd is sent, and what became of it has to be one of four things."""

import contextlib
import http.client
import json
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

from tests.dimse.instances import MR_IMAGE_STORAGE
from tests.dimse.wire import ACCEPTED, connect, read_pdu
from tests.fuzz.bodies import Request
from tests.fuzz.books import QUARANTINED, Books
from tests.fuzz.data_sets import Offer
from tests.fuzz.speaking import Answer, Associations, hear
from tests.fuzz.streams import Ending, Stream

_SUCCESS = 0
_STORED, _FAILED = "00081199", "00081198"
_TOLD = (200, 202, 409)
"""The answers of a store request that say what became of each instance."""
_TOO_LARGE = 413
"""A body that turns out to be a bomb behind instances that were stored already."""
_LARGEST_PACKET = 60_000


class Outcome(StrEnum):
    """What became of what was sent."""

    ACCEPTED = "accepted"
    QUARANTINED = "quarantined"
    REFUSED = "refused"
    ENDED = "the connection ended without an answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handles:
    """What processes have open: sockets, files of the spool, descriptors in all, and threads."""

    sockets: int
    spool_files: int
    descriptors: int
    threads: int


def handles(processes: Sequence[int], spool: Path) -> Handles:
    """Look into processes."""
    targets = [target for pid in processes for target in _open_files(pid)]
    return Handles(
        sockets=sum(one.startswith("socket:") for one in targets),
        spool_files=sum(one.startswith(f"{spool.resolve()}/") for one in targets),
        descriptors=len(targets),
        threads=sum(1 for pid in processes for _thread in Path(f"/proc/{pid}/task").iterdir()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The node that is tried: where it listens, and its books."""

    dicom_port: int
    title: bytes
    web_port: int
    books: Books
    processes: Callable[[], Sequence[int]]

    def opened(self) -> Handles:
        """Look what its processes have open now."""
        return handles(self.processes(), self.books.spool.root)


def try_offer(target: Target, associations: Associations, offer: Offer, sop_class: str = MR_IMAGE_STORAGE) -> Outcome:
    """Send an instance by C-STORE: it is answered, and spool and ledger hold what the answer says."""
    books = target.books
    books.note_sent(offer.data_set)
    answer = associations.store(offer, sop_class)
    assert answer is not None, "a whole C-STORE request was not answered"
    news = books.news()
    if answer.status == _SUCCESS:
        assert not news.quarantined
        assert len(news.stored) <= 1
        assert books.holds(_uid(offer.sop_instance), offer.data_set), "success was answered for what is not there"
        return Outcome.ACCEPTED
    assert not news.stored, f"{answer.status:04X} was answered for what was stored"
    if answer.status in QUARANTINED:
        assert [data for _uid, data in news.quarantined] == [offer.data_set], "not in quarantine"
        return Outcome.QUARANTINED
    assert not news.quarantined
    return Outcome.REFUSED


def try_stream(target: Target, stream: Stream) -> Outcome:
    """Speak the upper layer protocol wrongly: whatever is acknowledged is there, and nothing is there by halves."""
    for data_set in stream.whole_data_sets():
        target.books.note_sent(data_set)
    answers = _speak(connect(target.dicom_port), stream)
    target.books.news()
    if answers is None:
        return Outcome.REFUSED
    acknowledged = [answer for answer in answers if answer.status == _SUCCESS]
    for answer in acknowledged:
        assert target.books.knows(_uid(answer.sop_instance)), "success was answered for what is not there"
    return Outcome.ACCEPTED if acknowledged else Outcome.ENDED


def try_request(target: Target, request: Request) -> Outcome:
    """Send a store request: it is never answered by a failure of the node, and what is told as stored is there."""
    status, told = _post(target.web_port, request)
    assert status < 500, f"the node failed: {status}"
    is_json = b"dicom+json" in request.headers.get(b"Content-Type", b"")
    # What the node puts together itself stands nowhere in the request.
    news = target.books.news(is_explained=lambda data: is_json or data in request.expanded)
    stored = _instances(told, _STORED)
    assert all(target.books.knows(uid) for uid in stored), "told as stored, but not there"
    if status not in (0, _TOO_LARGE):
        assert {uid for uid, _data in news.stored} <= set(stored), "stored, but not told"
    if stored:
        return Outcome.ACCEPTED
    if news.quarantined:
        return Outcome.QUARANTINED
    return Outcome.REFUSED if status else Outcome.ENDED


def _open_files(pid: int) -> Iterator[str]:
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            yield str(descriptor.readlink())


def _speak(connection: socket.socket, stream: Stream) -> list[Answer] | None:
    """Say it all, and hear the answers; None when the association was not accepted."""
    with connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(stream.request)
        if stream.waits_to_be_let_in and not _is_let_in(connection, stream):
            return None
        for packet in _packets(stream):
            connection.sendall(packet)
        if stream.ending is Ending.RESETS:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif stream.ending is Ending.WAITS:
            with contextlib.suppress(OSError):  # the node may have ended the connection by now
                connection.shutdown(socket.SHUT_WR)
            return hear(connection)
    return []


def _is_let_in(connection: socket.socket, stream: Stream) -> bool:
    """Wait for the answer to the request; for one that is not whole there is none before more is said."""
    if len(stream.request) < _announced(stream.request):
        return True
    return read_pdu(connection)[0] == ACCEPTED


def _announced(request: bytes) -> int:
    """How long a request says that it is, with its header."""
    return 6 + int.from_bytes(request[2:6], "big") if len(request) >= 6 else 6


def _packets(stream: Stream) -> Iterator[bytes]:
    places = [0, *stream.pauses, len(stream.rest)]
    for begin, end in pairwise(places):
        yield from (stream.rest[at : min(at + _LARGEST_PACKET, end)] for at in range(begin, end, _LARGEST_PACKET))


def _uid(value: bytes) -> str:
    """A UID as the node records it: without its padding."""
    return value.rstrip(b"\0 ").decode("ascii", "replace")


def _post(port: int, request: Request) -> tuple[int, dict[str, object]]:
    """Send a request by hand, and read the answer: status 0 when the connection ended instead."""
    with connect(port) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request.encode())
            if request.is_cut_short:
                connection.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(connection, method="POST")
        try:
            response.begin()
            content = response.read()
        except (http.client.HTTPException, ConnectionResetError):
            return 0, {}
        finally:
            response.close()
    return response.status, json.loads(content) if response.status in _TOLD else {}


def _instances(told: dict[str, object], sequence: str) -> list[str]:
    """Read the SOP Instance UIDs of one sequence of a Store Instances Response (PS3.18 Annex I)."""
    items = told.get(sequence, {"Value": []})
    assert isinstance(items, dict)
    return [item["00081155"]["Value"][0] for item in items["Value"]]
