"""Warnings about bad input, each logged once."""

from __future__ import annotations

import logging
from typing import Final

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel._unicode import well_formed

_log = logging.getLogger("keras_otel")

_MAX_MESSAGES: Final = 256
"""Different messages per process: they contain names that the program makes up without limit."""

_logged: set[str] = set()


def log_once(message: str) -> None:
    """Log a warning, unless the same one was logged before."""
    if message not in _logged and len(_logged) < _MAX_MESSAGES:
        _logged.add(message)
        # A log handler of the program may raise; the feedback is recorded all the same.
        guarded(semconv.SITE_LOG, _log.warning, "keras_otel: %s", well_formed(message))
