"""The spool's promise: after `keep` power may go, and before it nothing was ever there."""

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomnode.domain.errors import NotInLedger, SpoolFull
from dicomnode.spool.digest import Digest
from dicomnode.spool.inventory import remove_abandoned
from dicomnode.spool.store import Kept, Spool


def _files(spool: Spool) -> list[Path]:
    return [path for path in spool.root.rglob("*") if path.is_file()]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.lists(st.binary(max_size=3000), max_size=6))
def test_the_bytes_are_kept_under_their_digest(spool: Spool, chunks: list[bytes]) -> None:
    file = spool.begin()
    for chunk in chunks:
        file.write(memoryview(chunk))
    kept = file.keep()

    whole = b"".join(chunks)
    digest = Digest(whole).hex()
    assert kept == Kept(path=f"instances/{digest[:2]}/{digest}.dcm", digest=digest, size=len(whole))
    assert spool.locate(kept.path).read_bytes() == whole
    assert list((spool.root / "incoming").iterdir()) == []


def test_the_same_bytes_again_are_the_same_file(spool: Spool) -> None:
    assert spool.keep(b"instance") == spool.keep(b"instance")
    assert len(_files(spool)) == 1


def test_associations_write_side_by_side(spool: Spool) -> None:
    kept: list[Kept] = []

    def store(number: int) -> None:
        kept.extend(spool.keep(f"instance {index % 5}".encode() * 100) for index in range(number, number + 10))

    threads = [threading.Thread(target=store, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(kept) == 40
    assert len(_files(spool)) == 5


def test_quarantine_is_a_room_of_its_own(spool: Spool) -> None:
    file = spool.begin()
    file.write(b"not readable")
    kept = file.keep("quarantine")
    assert kept.path.startswith("quarantine/")
    assert spool.locate(kept.path).read_bytes() == b"not readable"


def test_what_is_discarded_was_never_there(spool: Spool) -> None:
    file = spool.begin()
    file.write(b"half an inst")
    file.discard()
    file.discard()
    assert _files(spool) == []


def test_discarding_after_keeping_changes_nothing(spool: Spool) -> None:
    file = spool.begin()
    file.write(b"instance")
    kept = file.keep()
    file.discard()
    assert spool.locate(kept.path).read_bytes() == b"instance"


class Observer:
    """Notes the calls that make a file durable while the real ones are made, in their order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.calls: list[str] = []
        rename = os.rename

        def observed(sync: Callable[[int], None], descriptor: int) -> None:
            sync(descriptor)
            self.calls.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().relative_to(root)}")

        def observed_rename(source: Path, target: Path) -> None:
            rename(source, target)
            self.calls.append(f"rename {Path(source).relative_to(root)} {Path(target).relative_to(root)}")

        for name in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, name, partial(observed, getattr(os, name)))
        monkeypatch.setattr(os, "rename", observed_rename)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the observer names open files by /proc")
def test_the_file_is_synced_before_it_gets_its_name_and_the_directory_after(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    observer = Observer(monkeypatch, spool.root)
    file = spool.begin()
    incoming = f"incoming/{file.path.name}"
    file.write(b"instance")
    kept = file.keep()

    assert observer.calls == [f"sync {incoming}", f"rename {incoming} {kept.path}", f"sync {Path(kept.path).parent}"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the observer names open files by /proc")
def test_files_kept_together_are_all_synced_before_their_directories(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    observer = Observer(monkeypatch, spool.root)
    files = [spool.begin() for _ in range(5)]
    for number, file in enumerate(files):
        file.write(b"instance %d" % (number % 3))
    kept = [one for one in spool.keep_together(files) if isinstance(one, Kept)]

    assert len(kept) == 5
    for one in kept:
        directory = observer.calls.index(f"sync {Path(one.path).parent}")
        named = [index for index, call in enumerate(observer.calls) if call.endswith(one.path)]
        assert max(named) < directory
        for index in named:
            assert f"sync {observer.calls[index].split()[1]}" in observer.calls[:index]
    assert len(_files(spool)) == 3


def test_of_files_kept_together_one_may_fail_alone(spool: Spool) -> None:
    files = [spool.begin() for _ in range(3)]
    for number, file in enumerate(files):
        file.write(b"instance %d" % number)
    files[1].path.unlink()
    first, second, third = spool.keep_together(files)
    assert isinstance(second, SpoolFull)
    assert isinstance(first, Kept)
    assert isinstance(third, Kept)
    assert set(_files(spool)) == {spool.locate(first.path), spool.locate(third.path)}


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the observer names open files by /proc")
def test_the_directories_are_durable_before_the_first_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    observer = Observer(monkeypatch, tmp_path)
    spool = Spool(tmp_path / "spool")

    assert {"sync spool/instances", "sync spool/quarantine", "sync spool", "sync ."} <= set(observer.calls)
    assert len(list((spool.root / "instances").iterdir())) == 256


_WRITE_AND_WAIT = """
import sys, time
from pathlib import Path
from dicomnode.spool.digest import Digest
from dicomnode.spool.store import Spool
file = Spool(Path(sys.argv[1])).begin()
file.write(b"x" * 100_000)
print("written", flush=True)
time.sleep(60)
"""


def test_what_a_killed_process_left_is_cleared_and_nothing_else(spool: Spool) -> None:
    kept = spool.keep(b"instance")
    with subprocess.Popen(
        [sys.executable, "-c", _WRITE_AND_WAIT, str(spool.root)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)
    assert len(_files(spool)) == 2

    assert spool.clear_incoming() == 1
    assert _files(spool) == [spool.locate(kept.path)]
    assert spool.clear_incoming() == 0


def test_a_running_node_removes_what_a_killed_writer_left_and_leaves_a_silent_one_alone(spool: Spool) -> None:
    silent = spool.begin()
    silent.write(b"a sender that pauses")
    with subprocess.Popen(
        [sys.executable, "-c", _WRITE_AND_WAIT, str(spool.root)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        long_after = datetime.now(UTC) + timedelta(minutes=2)
        assert remove_abandoned(spool, before=long_after) == 0
        process.send_signal(signal.SIGKILL)
    assert remove_abandoned(spool, before=datetime.now(UTC) - timedelta(minutes=2)) == 0
    assert remove_abandoned(spool, before=long_after) == 1
    assert _files(spool) == [silent.path]
    kept = silent.keep()
    assert remove_abandoned(spool, before=long_after) == 0
    assert _files(spool) == [spool.locate(kept.path)]


def test_what_a_derivation_left_at_the_gate_is_cleared_too(spool: Spool) -> None:
    gate = spool.root / "incoming" / "gate-abc"
    gate.mkdir()
    (gate / "00000.dcm").write_bytes(b"derived")
    assert spool.clear_incoming() == 1
    assert _files(spool) == []


@contextmanager
def _largest_file(size: int) -> Iterator[None]:
    """Let the kernel refuse every file of this process that grows beyond a size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_bytes_the_disk_refuses_leave_no_file(spool: Spool) -> None:
    with _largest_file(10_000):
        file = spool.begin()
        file.write(b"x" * 9_000)
        with pytest.raises(SpoolFull, match="the disk refused the bytes"):
            file.write(b"x" * 9_000)
    assert _files(spool) == []


def test_keeping_whole_bytes_on_a_full_disk_leaves_no_file(spool: Spool) -> None:
    with _largest_file(10_000), pytest.raises(SpoolFull):
        spool.keep(b"x" * 20_000)
    assert _files(spool) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root; RLIMIT_FSIZE is tested for everyone")
def test_a_really_full_disk_is_said_and_left_as_it_was(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=False)
    if mounted.returncode != 0:
        pytest.skip("this container may not mount; RLIMIT_FSIZE is tested for everyone")
    try:
        spool = Spool(disk / "spool")
        before = spool.keep(b"x" * 500_000)
        with pytest.raises(SpoolFull, match="No space left"):
            spool.keep(b"y" * 700_000)
        assert _files(spool) == [spool.locate(before.path)]
        after = spool.keep(b"z" * 400_000)
        assert spool.locate(after.path).stat().st_size == 400_000
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_file_that_cannot_be_renamed_is_not_kept(spool: Spool) -> None:
    file = spool.begin()
    file.write(b"instance")
    file.path.unlink()
    with pytest.raises(SpoolFull, match="could not be made durable"):
        file.keep()
    assert _files(spool) == []


def test_a_spool_that_cannot_open_files_says_so(spool: Spool) -> None:
    (spool.root / "incoming").rmdir()
    with pytest.raises(SpoolFull, match="cannot open a file"):
        spool.begin()


@pytest.mark.parametrize("path", ["../outside", "instances/../../outside", "/etc/hostname", "incoming/../.."])
def test_a_path_that_leaves_the_spool_is_refused(spool: Spool, path: str) -> None:
    (spool.root.parent / "outside").write_bytes(b"secret")
    with pytest.raises(NotInLedger):
        spool.locate(path)


def test_a_link_that_leads_out_of_the_spool_is_refused(spool: Spool) -> None:
    (spool.root.parent / "outside").write_bytes(b"secret")
    (spool.root / "instances" / "link").symlink_to(spool.root.parent / "outside")
    with pytest.raises(NotInLedger):
        spool.locate("instances/link")


def test_a_spool_opens_again_with_what_it_held(spool: Spool) -> None:
    kept = spool.keep(b"instance")
    assert Spool(spool.root).locate(kept.path).read_bytes() == b"instance"
