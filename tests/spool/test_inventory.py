"""Listing, checking and moving what lies in the spool."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomnode.domain.errors import NotInLedger, SpoolFull
from dicomnode.spool.inventory import (
    INSTANCES,
    QUARANTINE,
    digest_in_name,
    has_settled,
    is_intact,
    kept_files,
    move,
    set_aside,
    sync_rooms,
)
from dicomnode.spool.store import Kept, Spool

MOMENT = timedelta(seconds=5)


def _now() -> datetime:
    return datetime.now(UTC)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
@given(st.sets(st.binary(max_size=20), max_size=20))
def test_all_files_are_listed_in_the_order_of_their_names(spool: Spool, contents: set[bytes]) -> None:
    kept = {spool.keep(content).path for content in contents}
    listed = list(kept_files(spool, INSTANCES))
    assert listed == sorted(listed)
    assert kept <= set(listed)
    assert list(kept_files(spool, QUARANTINE)) == []


def test_what_is_no_file_of_the_spool_is_not_listed(spool: Spool) -> None:
    kept = spool.keep(b"instance")
    (spool.root / "instances" / "ab" / ".nfs0001").touch()
    (spool.root / "instances" / "ab" / "notes.dcm").touch()
    (spool.root / "instances" / "README").touch()
    assert list(kept_files(spool, INSTANCES)) == [kept.path]


def test_a_file_is_intact_as_long_as_its_bytes_are_those_of_its_name(spool: Spool) -> None:
    kept = spool.keep(b"instance" * 300_000)
    assert digest_in_name(kept.path) == kept.digest
    assert is_intact(spool, kept.path)
    with spool.locate(kept.path).open("r+b") as file:
        file.seek(2_000_000)
        file.write(b"\xff")
    assert not is_intact(spool, kept.path)
    spool.locate(kept.path).write_bytes(b"")
    assert not is_intact(spool, kept.path)
    spool.locate(kept.path).unlink()
    assert is_intact(spool, kept.path)


def test_a_file_that_the_disk_does_not_give_back_is_not_intact(spool: Spool) -> None:
    kept = spool.keep(b"instance")
    spool.locate(kept.path).unlink()
    spool.locate(kept.path).mkdir()
    assert not is_intact(spool, kept.path)


def test_a_file_is_set_aside_with_its_bytes(spool: Spool) -> None:
    kept = spool.keep(b"instance")
    aside = set_aside(spool, kept.path, _now() + MOMENT)
    assert aside == Kept(path=f"quarantine/{kept.digest[:2]}/{kept.digest}.dcm", digest=kept.digest, size=8)
    assert not spool.locate(kept.path).exists()
    assert spool.locate(aside.path).read_bytes() == b"instance"


def test_a_young_file_stays(spool: Spool) -> None:
    kept = spool.keep(b"instance")
    before = _now() - MOMENT
    assert not has_settled(spool, kept.path, before)
    assert set_aside(spool, kept.path, before) is None
    assert has_settled(spool, kept.path, _now() + MOMENT)
    assert spool.locate(kept.path).is_file()


def test_what_is_gone_is_neither_settled_nor_set_aside(spool: Spool) -> None:
    path = f"instances/ab/{'ab' * 32}.dcm"
    assert not has_settled(spool, path, _now())
    assert set_aside(spool, path, _now()) is None


def test_the_age_counts_from_the_name_and_not_from_the_last_write(spool: Spool) -> None:
    kept = spool.keep(b"instance")
    os.utime(spool.locate(kept.path), (0, 0))
    assert not has_settled(spool, kept.path, _now() - MOMENT)


def test_the_same_bytes_received_while_they_are_set_aside_stay(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The receiver renames its file over the old one after the look and before the move."""
    kept = spool.keep(b"instance")
    rename, received = os.rename, []

    def rename_late(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "rename", rename)
        received.append(spool.keep(b"instance"))
        rename(source, target)

    monkeypatch.setattr(os, "rename", rename_late)
    assert set_aside(spool, kept.path, _now() + MOMENT) is None
    assert received == [kept]
    assert spool.locate(kept.path).read_bytes() == b"instance"
    assert list(kept_files(spool, QUARANTINE)) == []


def test_a_file_moves_between_the_rooms_and_back(spool: Spool) -> None:
    kept = spool.keep(b"instance")
    there = move(spool, kept.path, QUARANTINE)
    assert list(kept_files(spool, INSTANCES)) == []
    assert move(spool, there, INSTANCES) == kept.path
    assert spool.locate(kept.path).read_bytes() == b"instance"


def test_a_file_that_cannot_be_moved_is_said(spool: Spool) -> None:
    kept = spool.keep(b"instance")
    (spool.root / "quarantine" / kept.digest[:2]).rmdir()
    (spool.root / "quarantine" / kept.digest[:2]).touch()
    with pytest.raises(SpoolFull, match="could not be moved"):
        move(spool, kept.path, QUARANTINE)
    assert set_aside(spool, kept.path, _now() + MOMENT) is None
    assert spool.locate(kept.path).is_file()


def test_a_file_that_is_gone_cannot_be_moved(spool: Spool) -> None:
    with pytest.raises(NotInLedger):
        move(spool, f"instances/ab/{'ab' * 32}.dcm", QUARANTINE)
    with pytest.raises(NotInLedger):
        move(spool, "../outside", QUARANTINE)


def test_each_directory_is_synced_once(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def observed(descriptor: int) -> None:
        fsync(descriptor)
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(spool.root)))

    monkeypatch.setattr(os, "fsync", observed)
    paths = [f"{room}/ab/{number:064x}.dcm" for number in range(5) for room in (INSTANCES, QUARANTINE)]
    sync_rooms(spool, paths)
    assert synced == ["instances/ab", "quarantine/ab"]


def test_a_directory_that_cannot_be_synced_is_said(spool: Spool) -> None:
    (spool.root / "instances" / "ab").rmdir()
    with pytest.raises(SpoolFull, match="made durable"):
        sync_rooms(spool, [f"instances/ab/{'ab' * 32}.dcm"])
