"""What keras_otel raises: only from calls a user makes on purpose, never from a prediction."""

from __future__ import annotations


class KerasOtelError(Exception):
    """Every error that keras_otel raises derives from this class."""


class OptionError(KerasOtelError, ValueError):
    """An option of `instrument()` is unknown or has a bad value."""


class DescriptionError(KerasOtelError, ValueError):
    """What `describe()` or a card says of a model cannot be true of it."""


class CardError(KerasOtelError, ValueError):
    """A card cannot be read or written."""


class FeedbackError(KerasOtelError, ValueError):
    """What `record_evaluation()` or `record_outcome()` was called with cannot be meant."""


class SourceError(KerasOtelError, ValueError):
    """A source of traces or evaluations cannot be read, or does not say what slicing needs."""


class DashboardError(KerasOtelError, ValueError):
    """Dashboards cannot be made or written."""
