"""The first page says how much room the spool's disk has left, and what follows from too little."""

import re
from dataclasses import dataclass

import pytest

from dicomnode.domain.capacity import DiskLevel, DiskState
from tests.builders import a_series
from tests.web.holdings import Browser, Holdings

_GIB = 2**30


@dataclass(frozen=True)
class Room:
    """Implements domain.capacity.Capacity with a level of a test's own."""

    level: DiskLevel

    def state(self) -> DiskState:
        return DiskState(level=self.level, free=3 * _GIB // 2, total=40 * _GIB)

    def congestion(self) -> str | None:
        raise AssertionError("a page only looks")


def _disk_line(holdings: Holdings, level: DiskLevel) -> str:
    page = Browser(holdings.app(Room(level))).get("/")
    assert page.status_code == 200
    row = re.search(r"<tr[^>]*>\s*<th scope=\"row\">Disk</th>(.*?)</tr>", page.text, re.DOTALL)
    assert row is not None
    return row.group(1)


@pytest.mark.parametrize(
    ("level", "tone", "note"),
    [
        (DiskLevel.OK, "good", "1.5 of 40.0 GiB free<"),
        (DiskLevel.LOW, "wait", "1.5 of 40.0 GiB free; make room<"),
        (DiskLevel.FULL, "bad", "new instances are refused, deliveries go on: make room<"),
    ],
)
def test_each_level_has_its_colour_and_says_what_to_do(
    holdings: Holdings, level: DiskLevel, tone: str, note: str
) -> None:
    holdings.receive(a_series(slices=1))
    told = _disk_line(holdings, level)
    assert f'data-tone="{tone}">{level}<' in told
    assert note in told


def test_before_the_first_instance_a_disk_with_room_is_idle(holdings: Holdings) -> None:
    told = _disk_line(holdings, DiskLevel.OK)
    assert 'data-tone="quiet">idle<' in told
    assert "none yet" in told


def test_a_site_that_does_not_watch_its_disk_has_no_such_line(holdings: Holdings) -> None:
    assert ">Disk<" not in Browser(holdings.app()).get("/").text
