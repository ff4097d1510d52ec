"""Log lines about bad input, each said once."""

from __future__ import annotations

import logging
from typing import Final

from keras_otel._guard import guarded
from keras_otel._unicode import well_formed

_log = logging.getLogger("keras_otel")

_MAX_NOTES: Final = 256
"""Different lines in the life of a process: names of evaluations are the program's to make up."""

_said: set[str] = set()


def say_once(note: str) -> None:
    """Log a warning, unless the same one was logged before."""
    if note not in _said and len(_said) < _MAX_NOTES:
        _said.add(note)
        # A log handler of the program may raise; what the line is about is recorded all the same.
        guarded("log", _log.warning, "keras_otel: %s", well_formed(note))
