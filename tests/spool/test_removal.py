"""A file is taken out of the spool, unless its name was given to another in the meantime."""

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicomnode.domain.errors import SpoolFull
from dicomnode.spool.inventory import INSTANCES, kept_files
from dicomnode.spool.removal import RemovalRoom
from dicomnode.spool.store import Spool

DATA = b"one instance" * 100


@pytest.fixture
def room(spool: Spool) -> RemovalRoom:
    return RemovalRoom(spool)


def _far_ahead() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


def _aside(spool: Spool) -> list[Path]:
    return list((spool.root / "removed").iterdir())


def test_a_file_is_unlinked_and_leaves_nothing_behind(spool: Spool, room: RemovalRoom) -> None:
    kept, other = spool.keep(DATA), spool.keep(b"another")
    seen = room.look([kept.path, "instances/00/gone.dcm"])
    assert list(seen) == [kept.path]
    room.remove(kept.path, seen[kept.path])
    room.sync([kept.path])
    assert list(kept_files(spool, INSTANCES)) == [other.path]
    assert _aside(spool) == []
    room.remove(kept.path, seen[kept.path])


def test_a_file_that_was_received_again_meanwhile_is_put_back(spool: Spool, room: RemovalRoom) -> None:
    kept = spool.keep(DATA)
    seen = room.look([kept.path])[kept.path]
    assert spool.keep(DATA) == kept
    room.remove(kept.path, seen)
    assert spool.locate(kept.path).read_bytes() == DATA
    assert _aside(spool) == []


def test_an_inode_that_is_used_again_is_not_taken_for_the_file_that_was_seen(spool: Spool, room: RemovalRoom) -> None:
    kept = spool.keep(DATA)
    seen = room.look([kept.path])[kept.path]
    os.utime(spool.locate(kept.path), ns=(seen.written + 1, seen.written + 1))
    room.remove(kept.path, seen)
    assert spool.locate(kept.path).is_file()


def test_a_file_tells_when_it_got_its_name(spool: Spool, room: RemovalRoom) -> None:
    file = spool.begin()
    file.write(DATA)
    before = datetime.now(UTC) - timedelta(seconds=1)
    kept = file.keep()
    assert before < room.look([kept.path])[kept.path].named_at < before + timedelta(seconds=60)


def test_what_a_kill_left_aside_is_found_when_it_has_lain_a_while(spool: Spool, room: RemovalRoom) -> None:
    kept, other = spool.keep(DATA), spool.keep(b"another")
    for number, path in enumerate((kept.path, other.path)):
        spool.locate(path).rename(spool.root / "removed" / f"{number}-{Path(path).name}")
    assert room.left_aside(datetime.now(UTC) - timedelta(minutes=10)) == {}
    left = room.left_aside(_far_ahead())
    assert sorted(left.values()) == sorted((kept.path, other.path))
    for name, path in left.items():
        if path == kept.path:
            room.put_back(name)
        else:
            room.drop(name)
    assert list(kept_files(spool, INSTANCES)) == [kept.path]
    assert _aside(spool) == []


def test_what_the_disk_refuses_is_said(spool: Spool, room: RemovalRoom) -> None:
    kept = spool.keep(DATA)
    seen = room.look([kept.path])[kept.path]
    (spool.root / "removed").rmdir()
    (spool.root / "removed").write_bytes(b"no folder any more")
    with pytest.raises(SpoolFull, match="could not be removed"):
        room.remove(kept.path, seen)
    assert spool.locate(kept.path).is_file()


def test_beside_receptions_of_the_same_bytes_two_processes_never_take_the_last_file(
    spool: Spool, room: RemovalRoom
) -> None:
    """Whoever is received after it was seen must stay, however the three fall together."""
    path = spool.keep(DATA).path
    for _ in range(30):
        seen = room.look([path])[path]
        together = threading.Barrier(3)

        def remove(seen: object = seen, together: threading.Barrier = together) -> None:
            together.wait()
            room.remove(path, seen)  # type: ignore[arg-type]

        def receive(together: threading.Barrier = together) -> None:
            together.wait()
            spool.keep(DATA)

        threads = [threading.Thread(target=verb) for verb in (remove, remove, receive)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert spool.locate(path).read_bytes() == DATA
    assert _aside(spool) == []
