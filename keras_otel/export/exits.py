"""How a process with `export=` may end, and what is sent before it does."""

from __future__ import annotations

import atexit
import logging
from typing import Final

from keras_otel import semconv
from keras_otel._forks import run_in_child
from keras_otel._guard import guarded
from keras_otel._worker import flush_workers
from keras_otel.export.child_exits import ChildExits
from keras_otel.export.deadline import side_by_side
from keras_otel.export.delivery import Pipeline, pipelines
from keras_otel.export.stop_signal import LAST_FLUSH_S, StopSignal
from keras_otel.row_counts import has_counted_rows

_log = logging.getLogger("keras_otel")

# How long inferences that are still being read may take before what there is is sent, and how long
# all of it may take: what an endpoint that answers needs, since others are given up.
_AT_EXIT_S: Final = 5.0
_AT_SIGNAL_S: Final = 2.0
_LAST_DRAIN_S: Final = LAST_FLUSH_S - 0.5
_SHUTDOWN_S: Final = 30.0


def watch_exits() -> None:
    """See to it that what `export=` set up has sent everything when the process ends.

    At the interpreter's exit, at SIGTERM, and at the end of forked children.
    """
    if not _exits.is_watched:
        _exits.is_watched = True
        atexit.register(_at_exit)
        run_in_child(_exits.enter_child)
        _exits.children.watch()
    _exits.stop_signal.install()


class _Exits:
    """How this process may end."""

    def __init__(self) -> None:
        self.is_watched = False
        self.is_forked = False
        self.stop_signal = StopSignal(_drain, _flush_last)
        self.children = ChildExits(_at_end_of_child, self.stop_signal.spare_default)

    def enter_child(self) -> None:
        """Note that this process was forked."""
        self.is_forked = True


def unwatch_stop_signal() -> None:
    """Leave SIGTERM to the program alone; for a main thread that has nothing more to send."""
    _exits.stop_signal.remove()


def _drain() -> None:
    """Flush what `export=` set up, while the program ends and may still record something."""
    if not _has_something_to_send():
        return
    flush_workers(_AT_SIGNAL_S)
    for each in pipelines:
        if not each.tally.is_shut_down:
            guarded(semconv.SITE_FLUSH_A_PROVIDER, each.provider.force_flush)


def _flush_last() -> None:
    """Flush once more, and say what is lost: the process ends right after."""
    if not _has_something_to_send():
        return
    close_endpoints()
    flush_workers(_AT_SIGNAL_S)
    # Side by side: an export that is on its way already may take all the time that there is.
    open_pipelines = [each for each in pipelines if not each.tally.is_shut_down]
    side_by_side([each.provider.force_flush for each in open_pipelines], _LAST_DRAIN_S)
    log_losses(is_done=True)


def _at_exit() -> None:
    if _has_something_to_send():
        close_endpoints()
        _exits.stop_signal.run(_shut_down, _SHUTDOWN_S)


def _shut_down() -> None:
    is_done = flush_workers(_AT_EXIT_S)
    for each in pipelines:
        if not each.tally.is_shut_down:
            guarded(semconv.SITE_SHUT_A_PROVIDER_DOWN, each.provider.shutdown)
    log_losses(is_done=is_done)


def _at_end_of_child() -> None:
    if _exits.is_watched and _exits.is_forked and _has_something_to_send():
        _exits.stop_signal.run(_flush_last, _SHUTDOWN_S)


def _has_something_to_send() -> bool:
    """Return False in a forked child that has recorded nothing: its parent reports the rest."""
    if not _exits.is_forked:
        return True
    return has_counted_rows() or any(each.tally.taken for each in pipelines)


def close_endpoints() -> None:
    """Stop asking endpoints that do not answer: the process ends."""
    for each in pipelines:
        each.endpoint.is_closing = True


def log_losses(*, is_done: bool) -> bool:
    """Log in one line what was lost; True if nothing was."""
    losses = [loss for each in pipelines if (loss := _loss(each))]
    if not is_done:
        losses.insert(0, "inferences that were still being read")
    if losses and not _logged:
        _logged.append(losses)
        shown = next((each.endpoint.shown for each in pipelines), "the endpoint")
        guarded(
            semconv.SITE_LOG,
            _log.warning,
            "keras_otel: not sent to %s before the end: %s (the queue was full, or the endpoint "
            "did not answer or refused; `keras-otel doctor` asks it)",
            shown,
            ", ".join(losses),
        )
    return not losses


_logged: Final[list[list[str]]] = []


def _loss(pipeline: Pipeline) -> str | None:
    tally = pipeline.tally
    if tally.kind == "metrics":
        return "the last metrics" if tally.last_has_failed else None
    return f"{tally.missing} of {tally.taken} {tally.kind}" if tally.missing else None


_exits: Final = _Exits()
