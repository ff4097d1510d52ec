"""Different models that are in use under one name.

Queries by model name would mix their predictions, so a warning about each such name is logged once.
A model that replaces another one is no such case, even while the old one still awaits garbage
collection: only a model that is used again after the other one shows that both are in use.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from keras_otel._forks import run_in_child

_log = logging.getLogger("keras_otel")

_MAX_NAMES = 4096
_MAX_MODELS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedModel:
    """A model that is used under some name.

    Attributes:
        number: Unique among the models of this process.
        fingerprint: None while it is not known.
        label: The version label, if the name was chosen by a person; two labels under one such
            name are two versions of one model.
        model: Returns the model, or None once it is collected.
    """

    number: int
    fingerprint: str | None
    label: str | None
    model: Callable[[], object | None]


class NameUsage:
    """The models that are used under one name."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._models: OrderedDict[int, NamedModel] = OrderedDict()
        self._switched_ns = 0
        self._is_reported = False
        self.latest_number = 0
        """The number of the model that was used latest."""
        self.reset_lock()

    def note_use(self, model: NamedModel, start_ns: int) -> None:
        """Note that a model other than the latest one was used, by a call begun at `start_ns`."""
        with self._lock:
            previous = self._models.get(self.latest_number)
            # A call that began before the previous model took over may only have been slower.
            is_reused = model.number in self._models and start_ns > self._switched_ns
            self._models[model.number] = model
            self._models.move_to_end(model.number)
            if len(self._models) > _MAX_MODELS:
                self._models.popitem(last=False)
            self.latest_number, self._switched_ns = model.number, time.time_ns()
            if self._is_reported or not is_reused:
                return
            if previous is None or not _are_different_models(model, previous):
                return
            self._is_reported = True
        _log.warning(
            "keras_otel: two models are in use under the name %r, with fingerprints %s and %s: "
            "name each of them, keras_otel.describe(model, name=...)",
            self._name,
            previous.fingerprint,
            model.fingerprint,
        )

    def reset_lock(self) -> None:
        """Replace the lock in a forked child: another thread may have held it at the fork."""
        self._lock = threading.Lock()


def _are_different_models(first: NamedModel, second: NamedModel) -> bool:
    """Return True if both are alive and have different weights, and a version label is missing.

    With labels, two models are two versions, or a version conflict that is reported as one.
    """
    return (
        first.model() is not None
        and second.model() is not None
        and None not in (first.fingerprint, second.fingerprint)
        and first.fingerprint != second.fingerprint
        and (first.label is None or second.label is None)
    )


class NameUsages:
    """The usage of each name in this process."""

    def __init__(self) -> None:
        self._usages: OrderedDict[str, NameUsage] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str) -> NameUsage:
        """Return the usage of a name, a new one if it was not used before."""
        with self._lock:
            usage = self._usages.get(name)
            if usage is None:
                usage = self._usages[name] = NameUsage(name)
                if len(self._usages) > _MAX_NAMES:
                    self._usages.popitem(last=False)
            return usage

    def reset_locks(self) -> None:
        """Replace all locks in a forked child: another thread may have held one at the fork."""
        self._lock = threading.Lock()
        for usage in self._usages.values():
            usage.reset_lock()


name_usages = NameUsages()
run_in_child(name_usages.reset_locks)
