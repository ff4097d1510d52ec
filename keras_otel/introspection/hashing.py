"""The fingerprint of one model as its weights are now."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any

from keras_otel import semconv
from keras_otel._guard import guarded, guarded_retry
from keras_otel.identity.fingerprint import fingerprint
from keras_otel.introspection.adapter import Adapter
from keras_otel.introspection.assignments import assignments
from keras_otel.introspection.weights import Allowance, Weights

INLINE_FINGERPRINT_BYTES = 64 * 1024 * 1024
"""Weights up to this size are hashed at the first inference, larger ones in the background."""

_RETRY_PAUSES_S = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Between tries to hash in the background."""


class CurrentFingerprint:
    """Computed at the first inference, and again after the weights were seen to change.

    Its methods are called with the model's lock held, but for `have_weights_changed`.
    """

    def __init__(self, lock: threading.RLock, when_found: Callable[[], None]) -> None:
        self._lock = lock
        self._when_found = when_found
        self._digest: str | None = None
        self._asked_in: int | None = None
        self._epoch = 0
        self._changed_at = 0
        self._hasher: threading.Thread | None = None
        self._allowance = Allowance()
        self._weights: Weights | None = None
        self._written: frozenset[int] = frozenset()
        self._own_state: frozenset[int] = frozenset()
        self.parts: frozenset[int] = frozenset()
        """The ids of the layers whose weights were hashed."""

    @property
    def is_settled(self) -> bool:
        """False while the next inference has to ask again."""
        return self._asked_in is not None

    def value(self, model: Any, adapter: Adapter) -> str | None:
        """The fingerprint; None while it is not known."""
        if self._digest is not None or self._asked_in == os.getpid():
            return self._digest
        if not adapter.has_weights(model):
            return None  # the next inference asks again
        if not self._allowance.is_left() or (self._hasher is not None and self._hasher.is_alive()):
            return None
        self.parts = guarded(semconv.SITE_MODEL_PARTS, adapter.parts, model) or frozenset()
        # Before the numbers are read: what changes meanwhile is seen at the next inference.
        guarded(semconv.SITE_WATCH_THE_WEIGHTS, self._watch, model, adapter)
        # Marked first: a model that cannot be hashed is not tried again at every inference.
        self._asked_in = os.getpid()
        if (
            guarded(semconv.SITE_WEIGHT_SIZE, adapter.weight_bytes, model) or 0
        ) <= INLINE_FINGERPRINT_BYTES:
            started = time.monotonic()
            self._digest = guarded(semconv.SITE_FINGERPRINT, compute_fingerprint, model, adapter)
            self._allowance.spend(time.monotonic() - started)
        else:
            self._hasher = threading.Thread(
                target=self._hash_in_background,
                args=(model, adapter, self._epoch),
                name="keras_otel fingerprint",
                daemon=True,
            )
            self._hasher.start()
        return self._digest

    def _hash_in_background(self, model: Any, adapter: Adapter, epoch: int) -> None:
        started = time.monotonic()
        # While `predict` runs on JAX, the weights' buffers are given away to it.
        digest = guarded_retry(
            semconv.SITE_FINGERPRINT,
            lambda: compute_fingerprint(model, adapter),
            pauses_s=_RETRY_PAUSES_S,
        )
        with self._lock:
            self._allowance.spend(time.monotonic() - started)
            if self._epoch == epoch:  # else the weights changed meanwhile
                self._digest = digest
                self._when_found()

    def forget(self) -> None:
        """The weights changed: the fingerprint is no longer theirs."""
        self._epoch += 1
        self._digest = None
        self._asked_in = None
        self.stop_watching()

    # -- watching ------------------------------------------------------------------------------

    def have_weights_changed(self, model: Any, adapter: Adapter, written: AbstractSet[int]) -> bool:
        """True if the weights are not those that were hashed.

        Args:
            model: The model.
            adapter: Its runtime's.
            written: The variables that this inference assigned to.
        """
        if not written <= self._written:
            self._keep_apart(model, adapter, written)
        weights = self._weights
        return weights is not None and weights.have_changed(lambda: adapter.variables(model))

    def stop_watching(self) -> None:
        """Nobody asks any more."""
        weights, self._weights = self._weights, None
        if weights is not None:
            self._changed_at = max(self._changed_at, weights.changed_at)
            weights.close()

    def note_change(self) -> None:
        """The weights changed just now, in a way that is no assignment to one of them."""
        self._changed_at = assignments.note_unseen()

    def changed_since(self, noted: int) -> bool:
        """True if the weights changed after `assignments.noted` was this, so during a call."""
        weights = self._weights
        return self._changed_at > noted or (weights is not None and weights.changed_since(noted))

    def _watch(self, model: Any, adapter: Adapter) -> None:
        self.stop_watching()
        self._weights = Weights(adapter.variables(model), adapter.means, self._own_state)

    def _keep_apart(self, model: Any, adapter: Adapter, written: AbstractSet[int]) -> None:
        """What the model writes itself at its inferences says nothing of who it is."""
        with self._lock:
            self._written |= written
            keys = {key for v in adapter.variables(model) for key in adapter.means.keys(v)}
            own_state = self._own_state | (written & keys)
            if own_state != self._own_state:
                self._own_state = own_state
                if self._weights is not None and not self._weights.changes:
                    self._watch(model, adapter)


def compute_fingerprint(model: Any, adapter: Adapter) -> str:
    """The fingerprint of a model as it is now."""
    return fingerprint(
        adapter.architecture(model), adapter.weights(model), adapter.vocabularies(model)
    )
