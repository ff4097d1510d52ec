"""Work that nobody waits for longer than a deadline: the SDK knows no deadlines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from keras_otel import semconv
from keras_otel._guard import guarded


def in_time(work: Callable[[], object], timeout_s: float) -> bool:
    """Call `work` in a thread of its own, and return what it returned, or False if it takes longer.

    What takes longer goes on in the background.
    """
    return side_by_side([work], timeout_s)


def side_by_side(works: Iterable[Callable[[], object]], timeout_s: float) -> bool:
    """Call each in a thread of its own, and return whether all returned something true in time."""
    deadline_s = time.monotonic() + timeout_s
    outcomes: list[bool] = []

    def run(work: Callable[[], object]) -> None:
        outcomes.append(bool(guarded(semconv.SITE_FLUSH, work)))

    threads = []
    for work in works:
        thread = threading.Thread(target=run, args=(work,), name="keras_otel flush", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter exits, and starts no thread any more
            run(work)
        threads.append(thread)
    for thread in threads:
        if thread.ident is not None:
            thread.join(max(0.0, deadline_s - time.monotonic()))
    return len(outcomes) == len(threads) and all(outcomes)
