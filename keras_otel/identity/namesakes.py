"""Different models that are in use under one name.

They would overwrite each other's labels in whatever is asked by name, so they are pointed out once.
A model that takes the place of one that is gone is no such case, however long the old one is kept
until it is collected; only a model that is used again after another one tells that both live.
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
class Bearer:
    """A model under a name.

    Attributes:
        number: The model's own in this process.
        fingerprint: None while it is not known.
        label: The version label of a model whose name somebody chose: two versions of one model.
        model: Gives the model while it lives.
    """

    number: int
    fingerprint: str | None
    label: str | None
    model: Callable[[], object | None]


class NameUse:
    """Who was used under one name, in turn."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._bearers: OrderedDict[int, Bearer] = OrderedDict()
        self._since_ns = 0
        self._is_reported = False
        self.last = 0
        """The number of the model that was used last."""
        self.reset_lock()

    def take_turn(self, bearer: Bearer, start_ns: int) -> None:
        """Another model than the last one was used, by a call that began at `start_ns`."""
        with self._lock:
            other = self._bearers.get(self.last)
            # A call that began before the other model's may only have been the slower one.
            is_again = bearer.number in self._bearers and start_ns > self._since_ns
            self._bearers[bearer.number] = bearer
            self._bearers.move_to_end(bearer.number)
            if len(self._bearers) > _MAX_MODELS:
                self._bearers.popitem(last=False)
            self.last, self._since_ns = bearer.number, time.time_ns()
            if self._is_reported or not is_again or other is None or not _differ(bearer, other):
                return
            self._is_reported = True
        _log.warning(
            "keras_otel: two models are in use under the name %r, with fingerprints %s and %s: "
            "name each of them, keras_otel.describe(model, name=...)",
            self._name,
            other.fingerprint,
            bearer.fingerprint,
        )

    def reset_lock(self) -> None:
        """In a forked child: another thread may have held the lock at the fork."""
        self._lock = threading.Lock()


def _differ(one: Bearer, other: Bearer) -> bool:
    """True for two models that live, have other weights, and were given no labels to tell them by.

    Two models with one label are a version conflict, and said to be.
    """
    return (
        one.model() is not None
        and other.model() is not None
        and None not in (one.fingerprint, other.fingerprint)
        and one.fingerprint != other.fingerprint
        and (one.label is None or other.label is None)
    )


class NameUses:
    """The use of each name in this process."""

    def __init__(self) -> None:
        self._uses: OrderedDict[str, NameUse] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, name: str) -> NameUse:
        """The use of this name."""
        with self._lock:
            use = self._uses.get(name)
            if use is None:
                use = self._uses[name] = NameUse(name)
                if len(self._uses) > _MAX_NAMES:
                    self._uses.popitem(last=False)
            return use

    def reset_locks(self) -> None:
        """In a forked child: another thread may have held a lock at the fork."""
        self._lock = threading.Lock()
        for use in self._uses.values():
            use.reset_lock()


name_uses = NameUses()
run_in_child(name_uses.reset_locks)
