"""Running native code in a child process that may hang, crash or be stopped without harm to the worker."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import ParamSpec, TypeVar

from pebble import ProcessExpired, ProcessPool

from dicomnode.domain.errors import ModelFailed

P = ParamSpec("P")
R = TypeVar("R")

_PR_SET_PDEATHSIG = 1


class Children:
    """A pool of child processes, spawned (never forked) and kept between jobs, so that a loaded model stays loaded."""

    def __init__(self, size: int = 1) -> None:
        self._pool = ProcessPool(
            max_workers=size,
            max_tasks=0,
            context=multiprocessing.get_context("spawn"),
            initializer=_die_with_parent,
            initargs=(os.getpid(),),
        )

    def run(self, function: Callable[P, R], timeout_seconds: float, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a module-level function in a child and give its result or raise its error.

        Raises ModelFailed when the child runs out of time or dies; the worker and the next job are not touched.
        """
        future = self._pool.schedule(function, args=args, kwargs=kwargs, timeout=timeout_seconds)
        try:
            result: R = future.result()
        except TimeoutError as error:
            raise ModelFailed(f"stopped after {timeout_seconds:.0f} s without a result") from error
        except ProcessExpired as error:
            raise ModelFailed(f"its process ended with exit code {error.exitcode}") from error
        except CancelledError as error:
            raise ModelFailed("stopped because the node is stopping") from error
        return result

    def stop(self) -> None:
        """End all children at once; what they did is not recorded and will be done again."""
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()


def _die_with_parent(parent: int) -> None:
    """Make the kernel kill this child when its parent dies, so that memory on a GPU is never orphaned (Linux)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
