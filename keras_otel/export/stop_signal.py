"""SIGTERM: telemetry leaves before the process does, and the process ends as it would without us.

By default SIGTERM ends a process on the spot, without exit handlers. A server has a handler of its
own, ends gracefully, puts back what was there before, and sends itself the signal again: uvicorn
does, also in a gunicorn worker. So the signal's default is what telemetry must be sent before, and
a program that sets the default, whenever it does, gets our handler in its place. A handler of the
program is called as ever. `signal.signal` and `signal.getsignal` show what the program set.
"""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any, Final

from keras_otel import semconv
from keras_otel._forks import run_in_child
from keras_otel._guard import guarded
from keras_otel._patching import PatchSet

LAST_FLUSH_S: Final = 5.0
"""How long the end of the process may be put off; an endpoint that answers takes milliseconds."""

_PAUSES_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Between flushes while the program ends gracefully: it may be killed before it is done."""


class _Handler:
    """Stands in the signal's place for what the program set there."""

    __slots__ = ("program", "stop")

    def __init__(self, program: Any, stop: StopSignal) -> None:
        self.program = program
        self.stop = stop

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.stop.arrived(self.program, number, frame)


class StopSignal:
    """Watches for SIGTERM.

    What a handler calls may interrupt its own thread in the middle of anything: nothing here takes
    a lock that the interrupted code may hold. Flushing is the work of a thread of its own.
    """

    def __init__(self, flush: Callable[[], object], last_flush: Callable[[], object]) -> None:
        self._flush = flush
        self._last_flush = last_flush
        self._patches = PatchSet()
        self._is_on = False
        self._is_registered = False
        self._is_ending = False
        self._spares_default = False
        self._exit: Callable[[int], Any] | None = None
        # Its `put` may be interrupted by a handler that calls `put`.
        self._orders: SimpleQueue[Any] = SimpleQueue()

    def install(self) -> None:
        """Watch from now on; harmless twice. From any thread, though only the main one can at once."""
        if self._is_on:
            return
        self._is_on = True
        self._set = signal.signal
        self._get = signal.getsignal
        self._patches.install(signal, {"signal": self._setting, "getsignal": self._getting})
        if not self._is_registered:
            self._is_registered = True
            run_in_child(self._in_child)
            self._start_thread()
        if threading.current_thread() is threading.main_thread():
            self._arm()
        else:
            guarded(semconv.SITE_STOP_SIGNAL, _call_in_main_thread, self._arm)

    def remove(self) -> None:
        """Leave the signal to the program alone."""
        if not self._is_on:
            return
        self._is_on = False
        self._patches.undo()
        self._restore_exit()
        if threading.current_thread() is threading.main_thread():
            present = self._get(signal.SIGTERM)
            if isinstance(present, _Handler):
                self._set(signal.SIGTERM, present.program)

    def spare_default(self) -> None:
        """Leave the default to the system in this process, now and later.

        A handler in Python runs when the main thread next runs Python code. A signal that comes
        just before that thread waits in C, as the workers of a pool do most of their time and
        where `Pool.terminate` finds them, would wait with it for ever.
        """
        self._spares_default = True
        present = self._get(signal.SIGTERM)
        if isinstance(present, _Handler) and present.program is signal.SIG_DFL:
            self._set(signal.SIGTERM, signal.SIG_DFL)

    def arrived(self, program: Any, number: int, frame: FrameType | None) -> None:
        """Do what the program wants at the signal, and see to it that telemetry leaves."""
        if callable(program):
            if self._is_on:
                guarded(semconv.SITE_STOP_SIGNAL, self._drain)
            program(number, frame)
            return
        if self._is_on and not self._is_ending:  # a second signal does not wait for the first
            guarded(semconv.SITE_STOP_SIGNAL, self._flush_last)
        self._set(number, signal.SIG_DFL)
        _send_to_self(number)
        self._is_ending = False  # the first process of a container outlives its default
        self._arm()

    # -- what the program sets and sees --------------------------------------------------------

    def _setting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def set_handler(signalnum: Any, handler: Any) -> Any:
            if signalnum != signal.SIGTERM or not self._is_on:
                return original(signalnum, handler)
            if isinstance(handler, _Handler):
                handler = handler.program
            previous = original(signalnum, handler)  # raises where the program may not do this
            self._arm()
            return previous.program if isinstance(previous, _Handler) else previous

        return set_handler

    def _getting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def present_handler(signalnum: Any) -> Any:
            present = original(signalnum)
            return present.program if isinstance(present, _Handler) else present

        return present_handler

    def _arm(self) -> None:
        present = self._get(signal.SIGTERM)
        # An ignored signal stays ignored.
        is_default = present is signal.SIG_DFL and not self._spares_default
        is_program = callable(present) and not isinstance(present, _Handler)
        if self._is_on and (is_default or is_program):
            self._set(signal.SIGTERM, _Handler(present, self))

    # -- flushing ------------------------------------------------------------------------------

    def run(self, work: Callable[[], object], timeout_s: float) -> None:
        """Have the thread do some work, and wait for it, but not for ever.

        The caller holds no lock of the SDK then: a signal may interrupt it, and still find the
        thread able to flush.
        """
        done = threading.Lock()
        done.acquire()
        self._orders.put((work, done))
        done.acquire(timeout=timeout_s)

    def _flush_last(self) -> None:
        self._is_ending = True
        self.run(self._last_flush, LAST_FLUSH_S)

    def _drain(self) -> None:
        """Flush now and again while the program ends; and before it ends by `os._exit`."""
        if self._exit is None:
            self._exit = os._exit
            os._exit = self._exit_flushed  # type: ignore[assignment]
        self._orders.put(None)

    def _exit_flushed(self, status: int) -> None:
        original = self._exit if self._exit is not None else os._exit
        self._restore_exit()
        if self._is_on and not self._is_ending:
            guarded(semconv.SITE_STOP_SIGNAL, self._flush_last)
        original(status)

    def _restore_exit(self) -> None:
        if self._exit is not None and os._exit == self._exit_flushed:
            os._exit = self._exit  # type: ignore[assignment]  # it was the original
        self._exit = None

    def _start_thread(self) -> None:
        threading.Thread(
            target=self._serve, args=(self._orders,), name="keras_otel stop", daemon=True
        ).start()

    def _serve(self, orders: SimpleQueue[Any]) -> None:
        """Do each piece of work; `None` asks for a flush now, and more of them later."""
        pauses: list[float] = []
        while True:
            try:
                order = orders.get(timeout=pauses.pop(0) if pauses else None)
                pauses = list(_PAUSES_S) if order is None else []
            except Empty:
                order = None
            if order is None:
                guarded(semconv.SITE_FLUSH_OF_A_PROCESS_THAT_ENDS, self._flush)
            else:
                work, done = order
                guarded(semconv.SITE_FLUSH_OF_A_PROCESS_THAT_ENDS, work)
                done.release()

    # -- forked children -----------------------------------------------------------------------

    def _in_child(self) -> None:
        self._restore_exit()
        self._is_ending = False
        self._orders = SimpleQueue()
        self._start_thread()


def _send_to_self(number: int) -> None:
    if os.name == "nt":
        signal.raise_signal(number)  # `os.kill` would end the process with another code
    else:
        os.kill(os.getpid(), number)


def _call_in_main_thread(function: Callable[[], None]) -> None:
    """Have the main thread call `function` as soon as it runs Python code."""
    import ctypes

    def call(_argument: object) -> int:
        guarded(semconv.SITE_STOP_SIGNAL, function)
        return 0

    callback = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(call)
    _callbacks.append(callback)  # the interpreter keeps only its address
    ctypes.pythonapi.Py_AddPendingCall(callback, None)


_callbacks: Final[list[Any]] = []
