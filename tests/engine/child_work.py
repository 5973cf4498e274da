"""What the tests let children do."""

import os
import signal
import time
from pathlib import Path

from dicomnode.domain.errors import ContractViolation

_calls = 0


def add(one: int, other: int, *, times: int = 1) -> int:
    return (one + other) * times


def process_id() -> int:
    return os.getpid()


def count_calls() -> int:
    """Tell how often this process was asked: what a loaded model would be kept in."""
    global _calls
    _calls += 1
    return _calls


def hang() -> None:
    time.sleep(3600)


def hang_stubbornly(file: str) -> None:
    """Hang and ignore every polite request to end, as native code does."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(file).write_text(str(os.getpid()))
    time.sleep(3600)


def vanish(code: int) -> None:
    os._exit(code)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def refuse(reason: str) -> None:
    raise ContractViolation(reason)


def report_and_hang(file: str) -> None:
    Path(file).write_text(str(os.getpid()))
    time.sleep(3600)
