"""Rows by model, version and class, and which versions and classes have a name of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from weakref import WeakSet

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.util.types import AttributeValue

from keras_otel import semconv
from keras_otel._forks import run_in_child
from keras_otel.introspection.call_facts import CallFacts
from keras_otel.records import Decoded

_ClassKey = tuple[str, str | None, str | None]


class FirstValues:
    """The first values of an attribute that each model had; the rest share one name.

    A model that is retrained in the process that serves it has a new fingerprint each time, and a
    series of its own for each would fill any database in the end.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._admitted: dict[str, set[str]] = {}
        self.reset_lock()

    def admit(self, model: str, value: str) -> str:
        """The value that stands for this one: itself, or `__other__` beyond the first ones."""
        admitted = self._admitted.get(model)
        if admitted is not None and value in admitted:
            return value
        with self._lock:
            admitted = self._admitted.setdefault(model, set())
            if value not in admitted and len(admitted) >= self._limit:
                return semconv.OTHER
            admitted.add(value)
            return value

    def reset_lock(self) -> None:
        """In a forked child: another thread may have held the lock at the fork."""
        self._lock = threading.Lock()


class RowCounts:
    """Rows by model, version and class, counted here and read when metrics are collected.

    The SDK takes about 9 µs for each `add`; a batch with ten classes would cost more than its
    span. An observable counter exports the same sum for one dictionary entry a class.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[_ClassKey, int] = {}
        self.classes = FirstValues(semconv.MAX_METRIC_CLASSES)
        self.versions = FirstValues(semconv.MAX_METRIC_VERSIONS)
        _row_counts.add(self)

    def add(self, facts: CallFacts, decoded: Decoded) -> None:
        """Count the rows of one output."""
        model, version = facts.identity.name, facts.identity.version
        if version is not None:
            version = self.versions.admit(model, version)
        with self._lock:
            for name, rows in decoded.class_counts.items():
                key: _ClassKey = (model, version, self.classes.admit(model, name))
                self._counts[key] = self._counts.get(key, 0) + rows
            if not decoded.class_counts and decoded.rows:
                classless = (model, version, None)
                self._counts[classless] = self._counts.get(classless, 0) + decoded.rows

    def observations(self, _options: CallbackOptions) -> Iterable[Observation]:
        """Everything counted so far."""
        with self._lock:
            counts = dict(self._counts)
        for (model, version, name), rows in counts.items():
            attributes: dict[str, AttributeValue] = {semconv.MODEL_NAME: model}
            if version is not None:
                attributes[semconv.MODEL_VERSION] = version
            if name is not None:
                attributes[semconv.PREDICTION_CLASS] = name
            yield Observation(rows, attributes)

    def has_any(self) -> bool:
        """Return True once a row was counted."""
        return bool(self._counts)

    def start_over(self) -> None:
        """In a forked child: what its parent counted is the parent's to report.

        Another thread may have held the lock at the fork, so the child has one of its own.
        """
        self._lock = threading.Lock()
        self.classes.reset_lock()
        self.versions.reset_lock()
        self._counts = {}


_row_counts: WeakSet[RowCounts] = WeakSet()


def _after_fork() -> None:
    for rows in list(_row_counts):
        rows.start_over()


run_in_child(_after_fork)


def has_counted_rows() -> bool:
    """Return True if this process itself, and not the one it was forked from, counted any row."""
    return any(rows.has_any() for rows in list(_row_counts))
