"""Places are counted over processes, and whoever dies leaves none behind."""

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.engine.places import Place, Places


def _take_and_wait(folder: Path, group: str, limit: int, told: Connection) -> None:
    """Take what is left of a group, say how much it was, and hold it (in a process of its own)."""
    places = Places(folder)
    held = []
    while (place := places.take(group, limit)) is not None:
        held.append(place)
    told.send(len(held))
    signal.pause()


def test_no_more_are_taken_than_there_are(tmp_path: Path) -> None:
    places = Places(tmp_path)
    held = [places.take("all", 3) for _ in range(3)]
    assert all(held)
    assert places.take("all", 3) is None


def test_a_place_that_was_freed_can_be_taken_again(tmp_path: Path) -> None:
    places = Places(tmp_path)
    first, second = places.take("all", 2), places.take("all", 2)
    assert first is not None
    assert second is not None
    first.free()
    first.free()
    again = places.take("all", 2)
    assert again is not None
    assert places.take("all", 2) is None


def test_groups_do_not_count_for_each_other_whatever_their_names(tmp_path: Path) -> None:
    places = Places(tmp_path)
    names = ["all", "peer A/B", "peer ../../etc", "peer .", "peer A B", "peer a/b"]
    assert all([places.take(name, 1) is not None for name in names])
    assert [places.take(name, 1) for name in names] == [None] * len(names)
    assert {path.parent for path in tmp_path.rglob("0")} <= {path for path in tmp_path.iterdir()}


def test_a_lower_limit_holds_at_once(tmp_path: Path) -> None:
    places = Places(tmp_path)
    held = [places.take("all", 5) for _ in range(5)]
    assert places.take("all", 2) is None
    assert all(held)


def test_two_counters_of_one_folder_share_the_limit(tmp_path: Path) -> None:
    one, two = Places(tmp_path), Places(tmp_path)
    held = [one.take("all", 3), two.take("all", 3), one.take("all", 3)]
    assert all(held)
    assert two.take("all", 3) is None


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_places_are_counted_over_processes_and_free_when_one_dies(tmp_path: Path, end: signal.Signals) -> None:
    places = Places(tmp_path)
    own = [places.take("all", 6) for _ in range(2)]
    mine, theirs = multiprocessing.Pipe(duplex=False)
    fresh = multiprocessing.get_context("spawn")
    other = fresh.Process(target=_take_and_wait, args=(tmp_path, "all", 6, theirs))
    other.start()
    assert mine.recv() == 4
    assert places.take("all", 6) is None

    assert other.pid is not None
    os.kill(other.pid, end)
    other.join()
    rest = [places.take("all", 6) for _ in range(4)]
    assert all(own)
    assert all(rest)
    assert places.take("all", 6) is None


@settings(max_examples=40, deadline=None)
@given(limit=st.integers(min_value=1, max_value=5), moves=st.lists(st.booleans(), max_size=40))
def test_at_any_time_as_many_are_held_as_were_given(
    tmp_path_factory: pytest.TempPathFactory, limit: int, moves: list[bool]
) -> None:
    places = Places(tmp_path_factory.mktemp("places"))
    held: list[Place] = []
    for takes in moves:
        if takes:
            place = places.take("all", limit)
            assert (place is not None) == (len(held) < limit)
            held += [place] if place else []
        elif held:
            held.pop(0).free()
    for place in held:
        place.free()
