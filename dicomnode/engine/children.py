"""Running native code in a child process that may hang, crash or be stopped without harm to the worker."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import ParamSpec, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from dicomnode.domain.errors import ModelFailed

P = ParamSpec("P")
R = TypeVar("R")

_PR_SET_PDEATHSIG = 1
_LOOK_SECONDS = 1.0


class Children:
    """A pool of child processes, spawned (never forked) and kept between jobs, so that a loaded model stays loaded."""

    def __init__(self, size: int = 1) -> None:
        self._size = size
        self._pool = self._new_pool()
        # The kernel ties a child to the thread that started it, not to the process: one lasting thread starts them.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="children")

    def run(self, function: Callable[P, R], timeout_seconds: float, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a module-level function in a child and give its result or raise its error.

        Raises ModelFailed when the child runs out of time or dies; the worker and the next job are not touched.
        """
        call = partial(function, *args, **kwargs)
        try:
            pool, future = self._starter.submit(self._schedule, call, timeout_seconds).result()
            return _result(pool, future)
        except ProcessExpired as error:
            raise ModelFailed(f"its process ended with exit code {error.exitcode}") from error
        except BrokenProcessPool as error:
            raise ModelFailed("its process ended before or while it had the work") from error
        except TimeoutError as error:
            raise ModelFailed(f"stopped after {timeout_seconds:.0f} s without a result") from error

    def stop(self) -> None:
        """End all children at once; what they did is not recorded and will be done again."""
        self._starter.submit(_end, self._pool).result()
        self._starter.shutdown()

    def _schedule(self, call: Callable[[], R], timeout_seconds: float) -> tuple[ProcessPool, ProcessFuture[R]]:
        """Hand the call to the pool, or to a new one: pebble gives a pool up for good when an idle child dies."""
        if not self._pool.active:
            _end(self._pool)
            self._pool = self._new_pool()
        return self._pool, self._pool.schedule(call, timeout=timeout_seconds)

    def _new_pool(self) -> ProcessPool:
        return ProcessPool(
            max_workers=self._size,
            max_tasks=0,
            context=multiprocessing.get_context("spawn"),
            initializer=_die_with_parent,
            initargs=(os.getpid(),),
        )


def _result(pool: ProcessPool, future: ProcessFuture[R]) -> R:
    """Wait for a call's result; raises BrokenProcessPool when the pool was stopped or broke, and its own errors."""
    while not wait([future], timeout=_LOOK_SECONDS).done:
        if not pool.active:
            raise BrokenProcessPool
    return future.result()


def _end(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


def _die_with_parent(parent: int) -> None:
    """Make the kernel kill this child when its parent dies, so that memory on a GPU is never orphaned (Linux)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
