"""A remembered layout reads what a walk reads, whatever came before it; anything else is left to the walk."""

import struct
import zipfile
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.dsutils import encode

from dicomnode.imaging import header_scan
from dicomnode.imaging.header_layout import HeaderLayouts
from dicomnode.imaging.header_scan import WANTED, scan_header
from tests.builders import T2, a_series
from tests.nodes import BRAIN

SYNTAX = str(ExplicitVRLittleEndian)
TAGS = sorted({*WANTED, 0x0008_0005, 0x0008_0008, 0x0008_1140, 0x0018_0050, 0x0018_9073, 0x0020_0032, 0x0020_1041})
VRS = {0x0008_1140: b"SQ", 0x0018_9073: b"FD"}
LATER = struct.pack("<HH2sH", 0x0028, 0x0010, b"US", 2) + b"\0\1" + bytes(40)

Header = Sequence[tuple[int, bytes]]
HEADERS = st.lists(
    st.tuples(st.sampled_from(TAGS), st.sampled_from([b"", b"1 ", b"12", b"1.2.3.4 ", b"A longer text ", b"a\\b "])),
    max_size=len(TAGS),
    unique_by=lambda element: element[0],
).map(sorted)


def _encoded(header: Header) -> memoryview:
    parts = []
    for tag, value in header:
        vr = VRS.get(tag, b"LO")
        layout, lengths = ("<HH2sHI", (0, len(value))) if vr == b"SQ" else ("<HH2sH", (len(value),))
        parts.append(struct.pack(layout, tag >> 16, tag & 0xFFFF, vr, *lengths) + value)
    return memoryview(b"".join([*parts, LATER]))


@given(headers=st.lists(HEADERS, min_size=1, max_size=12), again=st.booleans())
def test_whatever_came_before_a_header_reads_as_a_walk_reads_it(headers: list[Header], again: bool) -> None:
    layouts = HeaderLayouts()
    for header in headers * (1 + again):
        assert scan_header(_encoded(header), SYNTAX, layouts) == scan_header(_encoded(header), SYNTAX)


@given(
    header=HEADERS,
    flips=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=3),
    cut=st.integers(0, 80),
)
def test_a_damaged_header_reads_as_a_walk_reads_it(header: Header, flips: list[tuple[int, int]], cut: int) -> None:
    layouts = HeaderLayouts()
    whole = _encoded(header)
    scan_header(whole, SYNTAX, layouts)
    damaged = bytearray(whole)
    for place, value in flips:
        damaged[place % len(damaged)] = value
    seen = memoryview(damaged)[: len(damaged) - cut]
    assert scan_header(seen, SYNTAX, layouts) == scan_header(seen, SYNTAX)


def test_a_series_is_walked_once_and_then_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    fronts = []
    for dataset in a_series(slices=20, **T2):
        data = encode(dataset, False, True)
        assert data is not None
        fronts.append(memoryview(data))
    walked = [scan_header(front, SYNTAX) for front in fronts]
    layouts = HeaderLayouts()
    for front in fronts:
        scan_header(front, SYNTAX, layouts)
    monkeypatch.delattr(header_scan, "_walk_explicit")
    assert [scan_header(front, SYNTAX, layouts) for front in fronts] == walked


def test_real_headers_read_as_a_walk_reads_them() -> None:
    layouts = HeaderLayouts()
    for name in ("t1_memprage_sag", "t2_fse_ax"):
        with zipfile.ZipFile(BRAIN / f"{name}.zip") as archive:
            for member in [one for one in archive.namelist() if one.endswith(".dcm")][::5]:
                data = archive.read(member)
                (group_length,) = struct.unpack_from("<I", data, 140)
                front = memoryview(data)[144 + group_length :]
                assert scan_header(front, SYNTAX, layouts) == scan_header(front, SYNTAX) != {}


def test_many_kinds_of_headers_do_not_pile_up() -> None:
    layouts = HeaderLayouts()
    for first in range(1, len(TAGS)):
        scan_header(_encoded([(tag, b"1 ") for tag in TAGS[first:]]), SYNTAX, layouts)
    assert len(layouts._layouts) == 8
    endless = b"".join(struct.pack("<HH2sH", 0x0009, number, b"LO", 0) for number in range(0x1001, 0x2001)) + LATER
    assert scan_header(memoryview(endless), SYNTAX, layouts) == scan_header(memoryview(endless), SYNTAX)
    assert max(len(layout._elements) for layout in layouts._layouts) <= len(TAGS)
