"""The marks on the spool's disk, on a real small one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.domain.capacity import DiskLevel, Watermark
from dicomnode.spool.space import SpoolSpace
from tests.small_disks import SmallDisk, small_disk

_GIB = 2**30
_KIB = 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", mebibytes=1, inodes=20) as mounted:
        yield mounted


def test_below_each_mark_the_disk_has_another_level(disk: SmallDisk) -> None:
    space = SpoolSpace(disk.folder, warn=Watermark(percent=50, size=_GIB), refuse=Watermark(percent=25, size=_GIB))
    assert space.state().level is DiskLevel.OK
    with disk.filled(leaving=400 * _KIB):
        low = space.state()
        assert (low.level, low.free, low.total) == (DiskLevel.LOW, 400 * _KIB, 1024 * _KIB)
        assert space.congestion() is None
    with disk.filled(leaving=100 * _KIB):
        assert space.state().level is DiskLevel.FULL
        assert space.congestion() == "only 0.00 GiB are free on the spool's disk"
    assert space.state().level is DiskLevel.OK


def test_a_disk_that_is_gone_has_no_room(tmp_path: Path) -> None:
    mark = Watermark(percent=0, size=0)
    space = SpoolSpace(tmp_path / "gone", warn=mark, refuse=mark)
    assert space.state().level is DiskLevel.FULL
    assert space.congestion() is not None


@given(total=st.integers(1, 100 * 2**40), percent=st.floats(0, 100), size=st.floats(0, 2**40))
def test_a_mark_lies_at_the_lesser_of_its_two_sizes(total: int, percent: float, size: float) -> None:
    mark = Watermark(percent=percent, size=size).free_bytes(total)
    assert mark in (size, total * percent / 100)
    assert mark <= size
    assert mark <= total * percent / 100


def test_a_laptop_and_an_archive_are_marked_by_what_fits_them() -> None:
    warn = Watermark(percent=10, size=5 * _GIB)
    assert warn.free_bytes(20 * _GIB) == pytest.approx(2 * _GIB)
    assert warn.free_bytes(4000 * _GIB) == 5 * _GIB
