"""Whether a model's weights are still those that its fingerprint was computed from.

Asked at every inference, so it is answered by the cheapest means first: a count of assignments, the
framework's own count of changes in place, and once in a while a sample of the numbers, which sees
what compiled code writes. On an accelerator the sample is taken in the background.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel.introspection.assignments import assignments

if TYPE_CHECKING:
    from keras_otel.introspection.variables import Means

LOOK_EVERY_S: Final = 1.0
LOOK_EVERY_ON_ACCELERATOR_S: Final = 10.0
_LOOK_SHARE: Final = 0.01
"""Of the time that passes, what looking at samples may take."""

_HASH_SHARE: Final = 0.05
_HASH_AT_ONCE_S: Final = 1.0


class Weights:
    """The variables of one model, as they were when this was made."""

    def __init__(self, variables: Sequence[Any], means: Means, own_state: frozenset[int]) -> None:
        self.changes = 0
        self.changed_at = 0
        self._means = means
        self._refs = [weakref.ref(variable) for variable in variables]
        # What the model writes at its own inferences says nothing of who it is.
        watched = [v for v in variables if own_state.isdisjoint(means.keys(v))]
        self._watched = [weakref.ref(variable) for variable in watched]
        self._keys = [key for variable in watched for key in means.keys(variable)]
        assignments.hold(self, self._keys)
        self._created, self._interruptions = assignments.created, assignments.interruptions
        self._counted = means.count(self._watched) if means.count is not None else 0
        self._sample: tuple[int, ...] | None = None
        self._look_at = 0.0
        self._is_on_host = all(map(means.is_on_host, watched))
        self._look()

    def close(self) -> None:
        """Nobody asks any more."""
        assignments.release(self, self._keys)

    def changed_since(self, noted: int) -> bool:
        """True if one was assigned to after `assignments.noted` was this, or is being just now."""
        if self.changed_at > noted:
            return True
        under_way = assignments.under_way
        return bool(under_way) and not under_way.keys().isdisjoint(self._keys)

    def have_changed(self, variables: Callable[[], Sequence[Any]]) -> bool:
        """True if the model holds other variables, or one of them has another value.

        Args:
            variables: The model's weights as of now; asked rarely.
        """
        if self.changes or self._interruptions != assignments.interruptions:
            return True
        count = self._means.count
        if count is not None and count(self._watched) != self._counted:
            return True
        is_due = time.monotonic() >= self._look_at
        if is_due or assignments.created != self._created:
            self._created = assignments.created
            if not self._are(variables()):
                return True
        if is_due:
            self._look()
        return bool(self.changes)

    def _are(self, variables: Sequence[Any]) -> bool:
        return len(variables) == len(self._refs) and all(
            ref() is variable for ref, variable in zip(self._refs, variables, strict=True)
        )

    def _look(self) -> None:
        """Compare a sample of the numbers with the first one."""
        if self._means.sample is None or self._is_on_host:
            started = time.monotonic()
            self._compare_sample()
            now = time.monotonic()
            self._look_at = now + max(LOOK_EVERY_S, (now - started) / _LOOK_SHARE)
            return
        self._look_at = time.monotonic() + LOOK_EVERY_ON_ACCELERATOR_S
        threading.Thread(
            target=self._compare_sample, name="keras_otel weights", daemon=True
        ).start()

    def _compare_sample(self) -> None:
        sample = guarded(semconv.SITE_LOOK_AT_THE_WEIGHTS, self._take_sample)
        if sample is None:
            return
        if self._sample is None:
            self._sample = sample
        elif sample != self._sample:
            self.changes += 1

    def _take_sample(self) -> tuple[int, ...] | None:
        take = self._means.sample
        if take is None:
            return None
        return tuple([take(v) for ref in self._watched if (v := ref()) is not None])


class Allowance:
    """Time that hashing a model again and again may take: a second, then a share of all time.

    A model that learns while it serves has other weights at every inference.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left_s = _HASH_AT_ONCE_S
        self._at_s = clock()

    def is_left(self) -> bool:
        """True if there is time to hash the model now."""
        now = self._clock()
        self._left_s = min(_HASH_AT_ONCE_S, self._left_s + (now - self._at_s) * _HASH_SHARE)
        self._at_s = now
        return self._left_s > 0

    def spend(self, duration_s: float) -> None:
        """Hashing took this long."""
        self._left_s -= duration_s
