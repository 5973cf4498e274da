"""P-DATA in every cut: whatever the PDUs, PDVs and reads, the same data sets come out."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.dimse.command_set import C_STORE_RQ, c_store_response, number, read_command_set, uid
from dicomnode.dimse.message_reader import P_DATA_TF, MessageReader, ProtocolError, Storing, as_response

CONTEXT = 3


def _element(element: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, element, len(value)) + value


def _command(field: int, data_set: int = 0) -> bytes:
    body = (
        _element(0x0002, b"1.2.840.10008.5.1.4.1.1.4\0")
        + _element(0x0100, struct.pack("<H", field))
        + _element(0x0110, struct.pack("<H", 7))
        + _element(0x0800, struct.pack("<H", data_set))
        + _element(0x1000, b"1.2.3.4\0")
    )
    return _element(0, struct.pack("<I", len(body))) + body


STORE, ECHO, NOTIFY = _command(C_STORE_RQ), _command(0x0030, 0x0101), _command(0x0100)


class Kept:
    """Remembers the data sets that were stored, and answers them."""

    def __init__(self) -> None:
        self.whole: list[bytes] = []
        self.answered = b""
        self.abandoned = 0
        self._now = bytearray()

    def begin(self, context_id: int, command: bytes) -> "Kept | None":
        assert context_id == CONTEXT
        return self if number(read_command_set(command), 0x0100) == C_STORE_RQ else None

    def expects_data_set(self, command: bytes) -> bool:
        return number(read_command_set(command), 0x0800) != 0x0101

    def write(self, *pieces: memoryview) -> None:
        for piece in pieces:
            self._now += piece

    def finish(self, storing: Storing) -> None:
        assert storing is self
        self.whole.append(bytes(self._now))
        self._now.clear()
        self.answered += as_response(CONTEXT, c_store_response(read_command_set(STORE), 0))

    def abandon(self) -> None:
        self.abandoned += 1


def _cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut bytes into pieces of these sizes, again and again."""
    pieces: list[bytes] = []
    position = turn = 0
    while position < len(data) or not pieces:
        pieces.append(data[position : position + sizes[turn % len(sizes)]])
        position += sizes[turn % len(sizes)]
        turn += 1
    return pieces


def _pdvs(message: bytes, kind: int, sizes: list[int]) -> list[bytes]:
    pieces = _cut(message, sizes)
    return [
        struct.pack(">IBB", len(piece) + 2, CONTEXT, kind | (2 if index == len(pieces) - 1 else 0)) + piece
        for index, piece in enumerate(pieces)
    ]


def _pdus(pdvs: list[bytes], per_pdu: int) -> bytes:
    groups = [b"".join(pdvs[first : first + per_pdu]) for first in range(0, len(pdvs), per_pdu)]
    return b"".join(struct.pack(">BBI", 4, 0, len(group)) + group for group in groups)


def _read_all(stream: bytes, reads: list[int]) -> tuple[Kept, list[bytes]]:
    """Let a reader read a stream that arrives in pieces; gives what was kept, and what was set aside.

    What is set aside and no P-DATA takes all that follows with it, as it goes back to the association's own thread.
    """
    kept = Kept()
    foreign: list[bytes] = []
    reader = MessageReader(kept)
    for piece in _cut(stream, reads):
        rest = memoryview(bytearray(piece))
        while rest:
            used = reader.feed(rest)
            aside = reader.take_foreign()
            if not aside:
                assert used == len(rest)
            elif aside[0] != P_DATA_TF:
                return kept, [*foreign, aside + bytes(rest[used:])]
            else:
                foreign.append(aside)
            seen, rest = rest[:used], rest[used:]
            seen[:] = bytes(len(seen))  # the next read goes into the same buffer
    reader.abandon()
    return kept, foreign


SIZES = st.lists(st.integers(1, 400), min_size=1, max_size=4)


@given(
    data_sets=st.lists(st.binary(min_size=2, max_size=900), min_size=1, max_size=4),
    fragments=SIZES,
    commands=st.lists(st.integers(8, 80), min_size=1, max_size=3),
    per_pdu=st.integers(1, 3),
    reads=st.lists(st.integers(1, 700), min_size=1, max_size=4),
)
def test_every_cut_gives_the_same_data_sets(
    data_sets: list[bytes], fragments: list[int], commands: list[int], per_pdu: int, reads: list[int]
) -> None:
    stream = b""
    for data in data_sets:
        stream += _pdus(_pdvs(STORE, 1, commands) + _pdvs(data, 0, fragments), per_pdu)
    kept, foreign = _read_all(stream, reads)
    assert kept.whole == data_sets
    assert foreign == []
    assert kept.answered.count(struct.pack("<HHIH", 0, 0x0100, 2, 0x8001)) == len(data_sets)


@given(reads=st.lists(st.integers(1, 50), min_size=1, max_size=3), per_pdu=st.integers(1, 2))
def test_other_messages_are_handed_over_whole_and_in_order(reads: list[int], per_pdu: int) -> None:
    stream = (
        _pdus(_pdvs(ECHO, 1, [1000]), per_pdu)
        + _pdus(_pdvs(STORE, 1, [1000]) + _pdvs(b"pixels", 0, [4]), per_pdu)
        + _pdus(_pdvs(NOTIFY, 1, [30]) + _pdvs(b"a data set of another service", 0, [10]), per_pdu)
        + _pdus(_pdvs(STORE, 1, [1000]) + _pdvs(b"more pixels", 0, [4]), per_pdu)
    )
    kept, foreign = _read_all(stream, reads)
    assert kept.whole == [b"pixels", b"more pixels"]
    assert foreign[0] == _pdus(_pdvs(ECHO, 1, [1000]), 1)
    assert foreign[1] == _pdus(_pdvs(NOTIFY, 1, [1000]), 1)
    rest = b"".join(foreign[2:])
    assert rest == _pdus(_pdvs(b"a data set of another service", 0, [10]), 1)


def test_a_pdu_of_another_type_is_given_back_with_all_that_follows() -> None:
    release = bytes.fromhex("05000000000400000000")
    kept, foreign = _read_all(_pdus(_pdvs(STORE, 1, [99]) + _pdvs(b"xy", 0, [2]), 1) + release, [5])
    assert kept.whole == [b"xy"]
    assert b"".join(foreign).startswith(release[:1])


@pytest.mark.parametrize(
    "stream",
    [
        struct.pack(">BBIIBB", 4, 0, 6, 99, CONTEXT, 1),
        struct.pack(">BBIIBB", 4, 0, 6, 1, CONTEXT, 1),
        _pdus(_pdvs(b"a data set without a command", 0, [50]), 1),
        _pdus(_pdvs(b"not a command set", 1, [50]), 1),
        _pdus(_pdvs(bytes(70_000), 1, [40_000]), 1),
        _pdus(_pdvs(NOTIFY, 1, [1000]), 1) + struct.pack(">BBIIBB", 4, 0, 2**25 + 6, 2**25 + 2, CONTEXT, 2),
    ],
    ids=[
        "PDV longer than its PDU",
        "PDV too short",
        "data set first",
        "no command set",
        "endless command set",
        "endless data set of another service",
    ],
)
def test_what_is_no_dimse_is_refused(stream: bytes) -> None:
    with pytest.raises(ProtocolError):
        _read_all(stream, [100_000])


def test_a_peer_that_leaves_in_the_middle_leaves_nothing() -> None:
    stream = _pdus(_pdvs(STORE, 1, [99]) + _pdvs(bytes(500), 0, [100]), 1)
    kept, _foreign = _read_all(stream[:-50], [64])
    assert kept.whole == []
    assert kept.abandoned == 1
    assert kept.answered == b""


def test_a_response_says_what_was_asked() -> None:
    response = read_command_set(c_store_response(read_command_set(STORE), 0xA700, "no space left"))
    assert number(response, 0x0100) == 0x8001
    assert number(response, 0x0120) == 7
    assert number(response, 0x0900) == 0xA700
    assert uid(response, 0x1000) == "1.2.3.4"
    assert response[0x0902].strip() == b"no space left"
