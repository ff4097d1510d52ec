"""Children of `multiprocessing` and Celery, which end by `os._exit` and so without exit handlers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import wrapt

from keras_otel import semconv
from keras_otel._guard import guarded

_LAST: Final = -100
"""After the finalizers of the program, which may still make spans."""


class ChildExits:
    """Calls a function at the end of each forked child that would end without it.

    Args:
        at_end: That function.
        at_start: Called at the start of each child of `multiprocessing`.
    """

    def __init__(self, at_end: Callable[[], object], at_start: Callable[[], object]) -> None:
        self._at_end = at_end
        self._at_start = at_start
        self._is_watching = False

    def watch(self) -> None:
        """Register with each library when the program imports it; harmless twice."""
        if self._is_watching:
            return
        self._is_watching = True
        for module in ("multiprocessing.util", "billiard.util"):
            wrapt.register_post_import_hook(self._register, module)
        wrapt.register_post_import_hook(self._connect, "celery.signals")

    def _register(self, util: Any) -> None:
        def in_child(_self: ChildExits) -> None:
            # A child begins with no finalizer: this is the time to add one.
            util.Finalize(None, self._end, exitpriority=_LAST)
            if util.__name__ == "multiprocessing.util":
                guarded(semconv.SITE_START_OF_A_CHILD, self._at_start)

        guarded(semconv.SITE_EXIT_OF_CHILDREN, util.register_after_fork, self, in_child)

    def _connect(self, signals: Any) -> None:
        # Celery's pool calls `os._exit` itself, after this signal.
        guarded(
            semconv.SITE_EXIT_OF_CHILDREN,
            signals.worker_process_shutdown.connect,
            self._end,
            weak=False,
        )

    def _end(self, *_args: Any, **_kwargs: Any) -> None:
        guarded(semconv.SITE_EXIT_OF_A_CHILD, self._at_end)
