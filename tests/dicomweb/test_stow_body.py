"""The body of a store request, split by the network as it likes (RFC 2046), and its Part 10 files (PS3.10)."""

import gzip
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.dicomweb.incoming_body import Expansion, ExpansionLimit, IncomingBody
from dicomnode.dicomweb.instance_parts import Part10Parts
from dicomnode.dicomweb.intake import StoreRequest
from dicomnode.dicomweb.part10 import read_file_meta
from dicomnode.domain.errors import ContentTooLarge, InvalidValue, MalformedInstance
from tests.builders import a_series
from tests.dicomweb.sending import BOUNDARY, body, data_set_of, intake
from tests.dimse.shelf import Shelf
from tests.web.holdings import encode

FILES = [encode(dataset) for dataset in a_series(slices=3, shape=(3, 2))]
# Pixels that look like the delimiter until its last letter, and a part that is refused between two that are not.
TRICKY = FILES[1] + f"\r\n--{BOUNDARY[:-1]}\r\n\r\n-".encode()
BODY = body([FILES[0], b"no DICOM", TRICKY, FILES[2]])
LIMIT = ExpansionLimit()


def split(content: bytes, places: Sequence[int]) -> Iterator[bytes]:
    for start, end in pairwise([0, *sorted(places), len(content)]):
        yield content[start:end]


def take(pieces: Iterator[bytes], expansion: Expansion | None = None) -> tuple[Shelf, StoreRequest]:
    shelf = Shelf()
    store = StoreRequest(intake=intake(shelf), peer_address="127.0.0.1", study=None)
    incoming = IncomingBody(BOUNDARY, Part10Parts(store), expansion)
    for piece in pieces:
        incoming.write(piece)
    incoming.finish()
    return shelf, store


def assert_all_came(shelf: Shelf, store: StoreRequest) -> None:
    assert [data for _offered, data in shelf.accepted] == [data_set_of(file) for file in (FILES[0], TRICKY, FILES[2])]
    assert [offered.sop_instance_uid for offered, _data in shelf.accepted] == [
        meta.sop_instance_uid for meta in store.stored
    ]
    assert [(failure.reason, failure.meta) for failure in store.failed] == [(0xC001, None)]
    assert shelf.discarded == 3


@given(st.lists(st.integers(0, len(BODY)), max_size=12))
def test_however_a_body_is_split_the_same_instances_come_out(places: list[int]) -> None:
    assert_all_came(*take(split(BODY, places)))


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_body_may_come_in_the_smallest_pieces(size: int) -> None:
    assert_all_came(*take(split(BODY, range(size, len(BODY), size))))


@given(st.data())
@settings(max_examples=50)
def test_however_a_gzip_body_is_split_the_same_instances_come_out(data: st.DataObject) -> None:
    # Several gzip members make one body (RFC 1952 section 2.2).
    middle = data.draw(st.integers(0, len(BODY)))
    packed = gzip.compress(BODY[:middle]) + gzip.compress(BODY[middle:])
    places = data.draw(st.lists(st.integers(0, len(packed)), max_size=8))
    assert_all_came(*take(split(packed, places), Expansion(LIMIT)))


@given(st.integers(0, len(BODY) - len("-\r\n")))
def test_wherever_a_body_is_cut_only_instances_whose_end_has_come_are_accepted(end: int) -> None:
    shelf = Shelf()
    store = StoreRequest(intake=intake(shelf), peer_address="127.0.0.1", study=None)
    parts = Part10Parts(store)
    incoming = IncomingBody(BOUNDARY, parts)
    incoming.write(BODY[:end])
    with pytest.raises(InvalidValue, match="cut short"):
        incoming.finish()
    parts.abandon()
    delimiter = len(f"\r\n--{BOUNDARY}\r\n")
    ends = [BODY.index(file) + len(file) + delimiter for file in (FILES[0], TRICKY, FILES[2])]
    assert len(shelf.accepted) == len(store.stored) == sum(end >= one for one in ends)


@given(st.binary(min_size=1, max_size=200), st.integers(0, 3 * 2**20) | st.sampled_from([2**20, 2**21]))
@settings(max_examples=50)
def test_what_was_packed_comes_out_in_pieces(pattern: bytes, length: int) -> None:
    content = (pattern * (length // len(pattern) + 1))[:length]
    expansion = Expansion(LIMIT)
    pieces = list(expansion.pieces(gzip.compress(content, 1)))
    expansion.finish()
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= 2**20


def test_a_bomb_is_noticed_within_a_piece_of_its_limit() -> None:
    pieces = Expansion(ExpansionLimit(free=2 * 2**20, ratio=10)).pieces(gzip.compress(bytes(64 * 2**20)))
    assert [len(next(pieces)) for _ in range(2)] == [2**20] * 2
    with pytest.raises(ContentTooLarge):
        next(pieces)


def test_a_cut_or_foreign_gzip_is_refused() -> None:
    expansion = Expansion(LIMIT)
    list(expansion.pieces(gzip.compress(BODY)[:-1]))
    with pytest.raises(InvalidValue, match="cut short"):
        expansion.finish()
    with pytest.raises(InvalidValue, match="not gzip"):
        list(Expansion(LIMIT).pieces(BODY))


@given(st.integers(0, len(FILES[0])))
def test_file_meta_is_read_as_soon_as_the_data_set_begins(end: int) -> None:
    start = len(FILES[0]) - len(data_set_of(FILES[0]))
    found = read_file_meta(FILES[0][:end])
    if end < start + 2:
        assert found is None
    else:
        assert found is not None
        assert found[1] == start
        assert found[0].transfer_syntax_uid == "1.2.840.10008.1.2.1"


def test_a_wrong_group_length_does_no_harm() -> None:
    wrong = FILES[0][:140] + (7).to_bytes(4, "little") + FILES[0][144:]
    assert read_file_meta(wrong) == read_file_meta(FILES[0])


@given(st.binary(max_size=300))
def test_whatever_stands_in_the_file_meta_it_is_read_or_refused(noise: bytes) -> None:
    try:
        found = read_file_meta(FILES[0][:144] + noise + FILES[0][144:])
    except MalformedInstance:
        return
    assert found is None or found[0].sop_class_uid


def test_a_file_meta_without_end_is_refused() -> None:
    private = b"\x02\x00\x02\x01OB\0\0" + (2**20).to_bytes(4, "little")
    many = b"\x02\x00\x13\x00SH\x10\x00" + b"x" * 16
    for endless in (private, many * 20_000):
        with pytest.raises(MalformedInstance, match="no end"):
            read_file_meta(FILES[0][:132] + endless)
