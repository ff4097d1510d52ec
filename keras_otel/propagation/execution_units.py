"""What runs now: a task, a job of a thread pool, or a thread.

Code of one unit runs one thing after the other, in whichever copies of a context it does so. Units
run side by side.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import thread as executor
from inspect import CO_OPTIMIZED
from types import CodeType, FrameType
from typing import Any, Final

_EXECUTOR_JOB: Final = executor._WorkItem.run.__code__  # noqa: SLF001 - the frame that says where a pool's job begins


class Unit:
    """A task of asyncio or Trio, a job of a thread pool, or a thread.

    Attributes:
        anchor: The object that stands for it as long as it lives: the task or the job's future.
            None for a thread, which may be a worker of somebody's that does one thing after
            another for many, and for a callback of an event loop, which is part of no task.
        is_task: True for a task.
        pool: What all jobs of one pool have in common; None elsewhere.
    """

    __slots__ = ("_anchor", "_thread", "is_task", "pool")

    def __init__(self, anchor: Any, *, is_task: bool, pool: Any = None) -> None:
        self._thread = threading.get_ident()
        self.pool = pool
        self._anchor = None if anchor is None else weakref.ref(anchor)
        self.is_task = is_task

    @property
    def anchor(self) -> Any:
        """The object that stands for it; None where there is none, or it is gone."""
        return None if self._anchor is None else self._anchor()

    @property
    def is_running(self) -> bool:
        """True for a task of asyncio that is not done."""
        is_done = getattr(self.anchor if self.is_task else None, "done", None)
        return is_done is not None and not is_done()

    def is_here(self) -> bool:
        """Return True if this unit runs now, as far as its task or thread tells.

        Of two jobs that a pool's thread runs one after the other it cannot tell which.
        """
        task = current_task()
        if self.is_task:
            return task is not None and task is self.anchor
        return task is None and self._thread == threading.get_ident()


def running_unit() -> Unit:
    """Return the unit that runs now."""
    unit = starting_unit()
    if unit.is_task or threading.get_ident() == threading.main_thread().ident:
        return unit
    job, pool = next(_jobs_around(sys._getframe(1)), (None, None))  # noqa: SLF001 - documented by CPython
    return unit if job is None else Unit(job, is_task=False, pool=pool)


def starting_unit() -> Unit:
    """Return the task or thread that runs now, whichever job of a pool it may be in."""
    task = current_task()
    return Unit(task, is_task=task is not None)


def current_task() -> Any:
    """Return the task that runs now, if one does."""
    # A program without asyncio or Trio does not import it for us.
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:  # noqa: SLF001 - the public one raises
        return asyncio.current_task()
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        return trio.lowlevel.current_task()
    return None


def _jobs_around(frame: FrameType | None) -> Iterator[tuple[Any, Any]]:
    """Yield the future and the pool of each job that the running code is in, the innermost first."""
    anyio_job = _anyio_job()
    while frame is not None:
        if frame.f_code is _EXECUTOR_JOB:
            worker = frame.f_back
            pool = None if worker is None else local_of(worker, "work_queue")
            yield local_of(frame, "self").future, pool
        elif frame.f_code is anyio_job and (future := local_of(frame, "future")) is not None:
            yield future, None
        frame = frame.f_back


def items_around(frame: FrameType | None) -> Iterator[Any]:
    """Yield the work item of each job of an executor that the running code is in."""
    while frame is not None:
        if frame.f_code is _EXECUTOR_JOB:
            yield local_of(frame, "self")
        frame = frame.f_back


def local_of(frame: FrameType, name: str) -> Any:
    """Return a local variable of a function that runs; None if it has none of that name.

    Before Python 3.13 a look at them leaves a copy of all of them with the frame. That of a worker
    lives on, and would keep the arguments of its last job alive, so the copy is emptied.
    """
    if not frame.f_code.co_flags & CO_OPTIMIZED:  # a module's own variables are no copy
        return None
    variables = frame.f_locals
    value = variables.get(name)
    if type(variables) is dict:
        variables.clear()
    return value


def _anyio_job() -> CodeType | None:
    backend = sys.modules.get("anyio._backends._asyncio")
    run = getattr(getattr(backend, "WorkerThread", None), "run", None)
    code: CodeType | None = getattr(run, "__code__", None)
    return code
