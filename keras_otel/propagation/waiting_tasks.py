"""Which task waits for what runs now.

A task that waits for another task, or for a job of a thread pool, goes on with what that one
predicted. No context variable tells: what runs there has a copy of the context. So the callbacks
of the futures in between are followed, as `await`, `gather`, `wait`, `wait_for`, `shield`,
`TaskGroup`, `to_thread` and `run_in_executor` leave them. Where that leads nowhere, nobody is
known to wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future as Job
from concurrent.futures import thread as executor
from contextvars import Context
from types import CellType, FrameType
from typing import Any, Final, NamedTuple

from keras_otel._forks import run_in_child
from keras_otel.propagation.execution_units import Unit, items_around, local_of

_MAX_FUTURES: Final = 16
"""Futures that are looked at between a task and the one that waits for it."""

_MAX_FRAMES: Final = 12
"""Frames between a thread that starts and `to_thread`, which starts it."""

_MAX_PAUSES: Final = 25
_PAUSE_S: Final = 0.0002

_POOLS: Final = executor.__file__
"""Where `submit` is: instrumentations of threads wrap the method."""


class _Collector:
    """Python's garbage collector, which may not run while frames of other threads are looked at.

    Up to Python 3.11 an allocation may start it. What it finalizes then lets another thread go on and
    return from the very frame that is looked at: `f_back` is whatever lies there by now, and
    `sys._current_frames` may wait for ever.
    """

    def __init__(self) -> None:
        self._is_paused = False
        self._start_over()
        run_in_child(self._start_over)

    def _start_over(self) -> None:
        self._lock = threading.RLock()
        if self._is_paused:  # by a thread that the child does not have
            self._is_paused = False
            gc.enable()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Keep it from running in this block; one that the program has turned off stays so."""
        with self._lock:
            if sys.version_info >= (3, 12) or not gc.isenabled():
                yield
                return
            self._is_paused = True
            gc.disable()
            try:
                yield
            finally:
                gc.enable()
                self._is_paused = False


_collector: Final = _Collector()


class Waiter(NamedTuple):
    """A task that waits.

    Attributes:
        task: The task.
        context: Its own context; None where the task itself still runs, about to wait.
    """

    task: asyncio.Task[Any]
    context: Context | None


def waiter_for(unit: Unit) -> Waiter | None:
    """Return the task that waits for a task or a job to end, where that can be seen."""
    anchor = unit.anchor
    if isinstance(anchor, Job):
        futures = list(_asyncio_futures_of(anchor))
        return _waiter_among(futures, anchor) if futures else _about_to_wait(anchor)
    if isinstance(anchor, asyncio.Future):  # a task, or the future of a job that anyio runs
        return _waiter_among([anchor], anchor)
    return None


def context_of(task: asyncio.Task[Any]) -> Context | None:
    """Return the context that a task which waits runs in."""
    blocker = getattr(task, "_fut_waiter", None)
    for callback, context in getattr(blocker, "_callbacks", None) or ():
        if getattr(callback, "__self__", None) is task:
            return context  # type: ignore[no-any-return]  # of CPython's own making
    return None


def _asyncio_futures_of(job: Job[Any]) -> Iterator[asyncio.Future[Any]]:
    for callback in tuple(getattr(job, "_done_callbacks", ())):
        yield from _futures_in(callback)


def _waiter_among(futures: list[asyncio.Future[Any]], anchor: Any) -> Waiter | None:
    seen: list[Any] = []
    queue = deque(futures)
    while queue and len(seen) < _MAX_FUTURES:
        future = queue.popleft()
        if any(future is other for other in seen):
            continue
        seen.append(future)
        for callback, context in tuple(getattr(future, "_callbacks", None) or ()):
            owner = getattr(callback, "__self__", None)
            if isinstance(owner, asyncio.Task):
                return None if owner is anchor else Waiter(owner, context)
            completed = getattr(owner, "_on_completed_fut", None)  # of a task group that is left
            if asyncio.isfuture(completed):
                queue.append(completed)
            queue.extend(_futures_in(callback))
    return None


def _futures_in(callback: Any) -> Iterator[asyncio.Future[Any]]:
    """Yield the futures that a callback completes, as its closure or its arguments tell."""
    contents = [cell.cell_contents for cell in _filled_cells(callback)]
    for content in (*contents, *(getattr(callback, "args", None) or ())):
        if asyncio.isfuture(content):
            yield content
        elif type(content).__name__ == "TaskGroup":  # AnyIO's
            completed = getattr(content, "_on_completed_fut", None)
            if asyncio.isfuture(completed):
                yield completed


def _filled_cells(callback: Any) -> Iterator[CellType]:
    for cell in getattr(callback, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # a name that has no value yet
            _ = cell.cell_contents
            yield cell


def let_submitter_wait(unit: Unit) -> None:
    """Give the task that submitted this job, which runs now, the time to await it.

    A job may run before `run_in_executor` has returned to whoever awaits it, the sooner the more
    threads compete for Python's lock. This waits no longer than the task goes on running.
    """
    job = unit.anchor
    if not isinstance(job, Job):
        return
    submitter = None
    for _ in range(_MAX_PAUSES):
        future = next(_asyncio_futures_of(job), None)
        if future is None or future._callbacks:  # noqa: SLF001 - see `_waiter_among`
            return
        running = asyncio.current_task(future.get_loop())
        if running is None or (submitter is not None and running is not submitter):
            return
        submitter = running
        time.sleep(_PAUSE_S)


def _about_to_wait(job: Job[Any]) -> Waiter | None:
    """Return the task that is still handing this job to its pool."""
    function = _function_of(job)
    with _collector.paused():
        loop = next(_submitting_loops(job, function), None)
        running = None if loop is None else asyncio.current_task(loop)
    return None if running is None else Waiter(running, None)


def _submitting_loops(job: Job[Any], function: Any) -> Iterator[asyncio.AbstractEventLoop]:
    here = threading.get_ident()
    # Not this thread's own: a frame that knows itself would live on, with all that it holds.
    frames = [f for ident, f in sys._current_frames().items() if ident != here]  # noqa: SLF001 - documented by CPython
    for frame in frames:
        loop = _submitting_loop(frame, job, function)
        if loop is not None:
            yield loop


def _function_of(job: Job[Any]) -> Any:
    """Return what a job runs, if it is the one that runs here."""
    for item in items_around(sys._getframe(1)):  # noqa: SLF001 - documented by CPython
        if item.future is job:
            return item.fn
    return None


def _submitting_loop(
    frame: FrameType | None, job: Job[Any], function: Any
) -> asyncio.AbstractEventLoop | None:
    """Return the loop in whose thread a job is being handed to its pool by this frame's code.

    The local variables of the program's own code are left alone: to look at them keeps them alive.
    """
    is_submitting = False
    for _ in range(_MAX_FRAMES):
        if frame is None:
            break
        name = frame.f_code.co_name
        if name == "submit" and frame.f_code.co_filename == _POOLS:
            is_submitting = local_of(frame, "f") is job
        elif name in ("wrap_future", "_chain_future"):
            is_submitting |= job in (local_of(frame, "future"), local_of(frame, "source"))
        elif name in ("run_in_executor", "to_thread") and (
            is_submitting or (function is not None and local_of(frame, "func") is function)
        ):
            loop = local_of(frame, "loop") or local_of(frame, "self")
            return loop if isinstance(loop, asyncio.AbstractEventLoop) else None
        frame = frame.f_back
    return None
