"""Assignments to variables, noted for the models whose weights they are.

An inference may assign too: a stateful layer keeps its state in a weight, and `predict` on JAX puts
all arrays back. That is the model's own doing and changes nothing of who it is.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Protocol

from keras_otel._forks import run_in_child
from keras_otel.introspection.scope import current


class Holder(Protocol):
    """Who wants to know that one of its variables was assigned to.

    Attributes:
        changes: How often that was.
        changed_at: When last, as `Assignments.noted`.
    """

    changes: int
    changed_at: int


class Assignments:
    """Who holds which variable, by the key that an assignment has: an `id`."""

    def __init__(self) -> None:
        self._holders: dict[int, tuple[Holder, ...]] = {}
        self.created = 0
        """Counts the variables that were made: a layer may have replaced one of its own."""
        self.interruptions = 0
        """Counts the times that nobody was looking."""
        self.noted = 0
        """Counts the changes that were noted, and so tells before from after."""
        self.start_over()

    def hold(self, holder: Holder, keys: Iterable[int]) -> None:
        """From now on count assignments to these variables in `holder.changes`."""
        with self._lock:
            for key in keys:
                self._holders[key] = (*self._holders.get(key, ()), holder)

    def release(self, holder: Holder, keys: Iterable[int]) -> None:
        """Count no longer."""
        with self._lock:
            for key in keys:
                rest = tuple(h for h in self._holders.get(key, ()) if h is not holder)
                if rest:
                    self._holders[key] = rest
                else:
                    self._holders.pop(key, None)

    def interrupt(self) -> None:
        """Nobody was looking until now: what was known of any weight may be old."""
        self.interruptions += 1

    def begin(self, key: int, *, is_traced: bool = False, is_first: bool = False) -> bool:
        """A variable is about to be assigned to; True if that is a change, which must `end`.

        Args:
            key: The variable's.
            is_traced: True if nothing is assigned yet, but by the function that is being traced.
            is_first: True if the variable has no value yet.
        """
        scope = current.get()
        if scope is not None and scope.is_open and scope.keeps_state and scope.model is None:
            if not is_first:  # a model that is built by its first inference gets its values then
                scope.written.add(key)
            return False
        if is_traced:
            return False
        with self._lock:
            self.under_way[key] = self.under_way.get(key, 0) + 1
        return True

    def end(self, key: int) -> None:
        """The variable has its new value."""
        with self._lock:
            left = self.under_way.pop(key, 1) - 1
            if left:
                self.under_way[key] = left
            self.note(key)

    def note(self, key: int) -> None:
        """Count a change for all who hold the variable."""
        scope = current.get()
        # What a model's own method assigns before it predicts does not come in between.
        is_within = scope is not None and scope.is_open and scope.keeps_state
        self.noted += 1
        for holder in self._holders.get(key, ()):
            holder.changes += 1
            if not is_within:
                holder.changed_at = self.noted

    def note_unseen(self) -> int:
        """Weights changed in another way just now; gives the time, as `noted`."""
        with self._lock:
            self.noted += 1
            return self.noted

    def start_over(self) -> None:
        """In a forked child: other threads may have held the lock, or been assigning."""
        # Re-entrant: collecting garbage while it is held may release a model's variables.
        self._lock = threading.RLock()
        self.under_way: dict[int, int] = {}
        """The variables that are being assigned to now."""


assignments = Assignments()
run_in_child(assignments.start_over)
