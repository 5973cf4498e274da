"""Native code in children: whatever it does, the worker lives and the next job runs."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dicomnode.domain.errors import ContractViolation, ModelFailed
from dicomnode.engine.children import Children
from tests.engine.child_work import (
    add,
    count_calls,
    crash,
    hang,
    hang_stubbornly,
    process_id,
    refuse,
    vanish,
)
from tests.waiting import PATIENCE_SECONDS, wait_for

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def lasting() -> Iterator[Children]:
    """Children that several tests may harm: that the next one works is what they are about."""
    children = Children()
    yield children
    children.stop()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_call_gives_its_result(lasting: Children) -> None:
    assert lasting.run(add, PATIENCE_SECONDS, 2, 3, times=10) == 50


def test_it_runs_in_another_process_that_is_kept(lasting: Children) -> None:
    child = lasting.run(process_id, PATIENCE_SECONDS)
    assert child != os.getpid()
    assert lasting.run(process_id, PATIENCE_SECONDS) == child
    before = lasting.run(count_calls, PATIENCE_SECONDS)
    assert lasting.run(count_calls, PATIENCE_SECONDS) == before + 1


def test_an_error_of_the_tree_crosses_with_its_reason(lasting: Children) -> None:
    with pytest.raises(ContractViolation, match="slices 9 mm apart"):
        lasting.run(refuse, PATIENCE_SECONDS, "slices 9 mm apart")
    assert lasting.run(add, PATIENCE_SECONDS, 1, 1) == 2


def test_a_child_that_hangs_is_stopped_in_time(lasting: Children) -> None:
    begun = time.monotonic()
    with pytest.raises(ModelFailed, match="stopped after 1 s without a result"):
        lasting.run(hang, 1.0)
    assert time.monotonic() - begun < 10
    assert lasting.run(add, PATIENCE_SECONDS, 1, 1) == 2


@pytest.mark.parametrize(
    ("harm", "code"), [(lambda children: children.run(vanish, PATIENCE_SECONDS, 7), "7"),
                       (lambda children: children.run(crash, PATIENCE_SECONDS), "-11")],
    ids=["exit", "segmentation fault"],
)  # fmt: skip
def test_a_child_that_dies_is_told_with_its_exit_code_and_replaced(
    lasting: Children, harm: Callable[[Children], None], code: str
) -> None:
    with pytest.raises(ModelFailed, match=f"exit code {code}"):
        harm(lasting)
    assert lasting.run(add, PATIENCE_SECONDS, 1, 1) == 2


def test_a_child_that_leaves_quietly_is_noticed_at_its_time_limit(lasting: Children) -> None:
    with pytest.raises(ModelFailed):
        lasting.run(vanish, 1.0, 0)
    assert lasting.run(add, PATIENCE_SECONDS, 1, 1) == 2


def test_an_idle_child_that_is_killed_is_replaced(lasting: Children) -> None:
    """The kernel takes the largest process when memory runs out: often the one that holds a loaded model."""
    for _ in range(2):
        idle = lasting.run(process_id, PATIENCE_SECONDS)
        os.kill(idle, signal.SIGKILL)
        wait_for(lambda idle=idle: not _is_alive(idle))  # type: ignore[misc]
        answer = wait_for(lambda: _answer(lasting))
        assert answer == 2


def _answer(children: Children) -> int | None:
    """Ask until the loss is dealt with; at most the first call may be lost."""
    try:
        return children.run(add, PATIENCE_SECONDS, 1, 1)
    except ModelFailed:
        return None


def test_a_child_outlives_the_thread_that_asked_first() -> None:
    children = Children()
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(children.run(process_id, PATIENCE_SECONDS)))
    thread.start()
    thread.join()
    time.sleep(0.3)
    assert children.run(process_id, PATIENCE_SECONDS) == seen[0]
    children.stop()


def test_several_children_work_side_by_side() -> None:
    children = Children(size=2)
    failed: list[ModelFailed] = []

    def wait_in_vain() -> None:
        try:
            children.run(hang, 1.5)
        except ModelFailed as error:
            failed.append(error)

    thread = threading.Thread(target=wait_in_vain)
    thread.start()
    assert children.run(add, PATIENCE_SECONDS, 1, 1) == 2
    assert failed == []
    thread.join()
    assert len(failed) == 1
    children.stop()


def test_stopping_ends_a_stubborn_child_and_tells_who_waits_for_it(tmp_path: Path) -> None:
    children = Children()
    failed: list[ModelFailed] = []
    file = tmp_path / "pid"

    def wait_in_vain() -> None:
        try:
            children.run(hang_stubbornly, PATIENCE_SECONDS, str(file))
        except ModelFailed as error:
            failed.append(error)

    thread = threading.Thread(target=wait_in_vain)
    thread.start()
    pid = int(wait_for(lambda: file.read_text() if file.exists() else None))
    children.stop()
    thread.join(PATIENCE_SECONDS)

    assert len(failed) == 1
    assert not _is_alive(pid)


_PARENT = """
import sys
from dicomnode.engine.children import Children
from tests.engine.child_work import report_and_hang
if __name__ == "__main__":
    Children().run(report_and_hang, 3600.0, sys.argv[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's death signal is Linux's")
def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    program, file = tmp_path / "parent.py", tmp_path / "pid"
    program.write_text(_PARENT)
    with subprocess.Popen(
        [sys.executable, str(program), str(file)], env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as parent:
        pid = int(wait_for(lambda: file.read_text() if file.exists() else None))
        assert _is_alive(pid)
        parent.kill()
    wait_for(lambda: not _is_alive(pid), seconds=5)
