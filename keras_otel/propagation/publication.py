"""Predictions that were published to a request, and the newest one of each model at one place.

Two different predictions of one model that no span has used make a place ambiguous: which of them a
later span follows cannot be known. A place stays ambiguous, because whoever used one of the two
cannot be told from whoever will use the other.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Mapping
from typing import Final

from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from keras_otel.propagation.upstream_attributes import attributes_to_set
from keras_otel.records import ModelIdentity, UpstreamPrediction

MAX_MODELS: Final = 64
"""Models that one place remembers; a request that calls more forgets its oldest."""

_numbers = itertools.count()


def next_number() -> int:
    """Return a number that is higher than that of every publication so far."""
    return next(_numbers)


class Publication:
    """One prediction on its way to later spans.

    Attributes:
        model: Name of the model, as in `UpstreamPrediction`.
        prediction: What it predicted; None where the call names no single prediction (it failed,
            or had several rows), and while an accelerator computes.
        identity: Which of the models of that name it was.
        is_pending: True until the prediction is known.
        is_for_other_task: True if the code that made it is not the code that it is for, as with a
            row of a shared call.
        is_used: True once a span about GenAI carries it.
        user_lines: Of each other code that used it, the serial numbers of its flow and of those
            that wait for it.
        maker_serial: Serial number of the flow that made it; 0 for a row of a shared call.
        number: Orders publications by time.
        last_seen_number: Number of the newest publication of this model that the code which made
            it had seen; -1 without one.
        path: Keys of the nodes it was published to, the one of its own call first.
        waiting_spans: Spans that carry it as soon as it is known.
    """

    __slots__ = (
        "_attributes",
        "identity",
        "is_for_other_task",
        "is_pending",
        "is_used",
        "last_seen_number",
        "maker_serial",
        "model",
        "number",
        "path",
        "prediction",
        "user_lines",
        "waiting_spans",
    )

    def __init__(
        self,
        model: str,
        prediction: UpstreamPrediction | None,
        *,
        identity: ModelIdentity | None = None,
        is_pending: bool = False,
        is_for_other_task: bool = False,
    ) -> None:
        self.model = model
        self.identity = identity
        self.prediction = prediction
        self.is_pending = is_pending
        self.is_for_other_task = is_for_other_task
        self.is_used = False
        self.maker_serial = 0
        self.number = next(_numbers)
        self.last_seen_number = -1
        self.path: tuple[int, ...] = ()
        self.user_lines: list[tuple[int, ...]] = []
        self.waiting_spans: list[weakref.ref[Span]] = []
        self._attributes: Mapping[str, AttributeValue] | None = None

    @property
    def attributes(self) -> Mapping[str, AttributeValue]:
        """The attributes of a span that follows this prediction, in the order to set them in.

        Made once: one prediction is most often carried by several spans.
        """
        if self._attributes is None:
            if self.prediction is None:
                return {}
            self._attributes = attributes_to_set(self.prediction)
        return self._attributes

    @property
    def is_unused(self) -> bool:
        """True while a span may still come that follows this prediction."""
        return not self.is_used and (self.is_pending or self.prediction is not None)

    def is_equivalent_to(self, other: Publication) -> bool:
        """Return True if a later span would carry the same for both."""
        if self is other:
            return True
        if self.is_pending or other.is_pending:
            return False
        mine, theirs = self.prediction, other.prediction
        if mine is None or theirs is None:
            return mine is theirs
        return (mine.class_name, mine.confidence, mine.version, mine.value, mine.labels) == (
            theirs.class_name,
            theirs.confidence,
            theirs.version,
            theirs.value,
            theirs.labels,
        )

    def has_name_conflict_with(self, earlier: Publication) -> bool:
        """Return True if two models with one name made the two, whose labels would be mixed up.

        Two versions of one model are no such case, where the older one has had its answer.
        """
        mine, theirs = self.identity, earlier.identity
        if mine is None or theirs is None or not mine.is_other_than(theirs):
            return False
        return not (earlier.is_used and mine.is_version_beside(theirs))

    def competes_with(self, earlier: Publication) -> bool:
        """Return True if code that made neither of the two cannot know which one to follow.

        Code that had seen the earlier one replaces it. Of a row of a shared call only the code that
        waits for it knows whose it is.
        """
        if earlier.prediction is None and not earlier.is_pending:
            return False
        is_replaced = earlier.number <= self.last_seen_number and not earlier.is_for_other_task
        return not is_replaced and not earlier.is_equivalent_to(self)


class Slot:
    """The newest prediction of one model at one place. Never changed, so places may share it.

    Attributes:
        latest: The prediction.
        is_ambiguous: True if another one, which differs, was made by code that the latest one's
            had not seen.
        has_name_conflict: True if two models with one name predicted here.
        follows_use: True if an earlier one was used.
        skips_unused: True if its maker replaced one that differs and that nobody had used yet:
            right for the maker's own code, but other code may be about to follow the older one.
        latest_row: The newest one that was made by a shared call.
    """

    __slots__ = (
        "follows_use",
        "has_name_conflict",
        "is_ambiguous",
        "latest",
        "latest_row",
        "skips_unused",
    )

    def __init__(self, latest: Publication, *earlier: Slot | None) -> None:
        self.latest = latest
        self.is_ambiguous = False
        self.has_name_conflict = False
        self.follows_use = False
        self.skips_unused = False
        self.latest_row: Publication | None = latest if latest.is_for_other_task else None
        for slot in earlier:
            if slot is not None:
                before = slot.latest
                if self.latest_row is None:
                    self.latest_row = slot.latest_row
                self.follows_use |= slot.follows_use or before.is_used
                self.skips_unused |= slot.skips_unused or (
                    before.is_unused and not latest.is_equivalent_to(before)
                )
                self.has_name_conflict |= slot.has_name_conflict or latest.has_name_conflict_with(
                    before
                )
                self.is_ambiguous |= slot.is_ambiguous or latest.competes_with(before)
        self.is_ambiguous |= self.has_name_conflict

    @classmethod
    def ambiguous(cls, latest: Publication) -> Slot:
        """Return a slot that no code can follow."""
        slot = cls(latest)
        slot.is_ambiguous = True
        return slot

    @property
    def is_unused_after_use(self) -> bool:
        """True if the prediction is unused and came after one that was used."""
        return self.follows_use and self.latest.is_unused

    def has_other_row_since(self, number: int, followed: Publication) -> bool:
        """Return True if a row newer than this number, which differs, came for this place."""
        row = self.latest_row
        return row is not None and row.number > number and not row.is_equivalent_to(followed)


Slots = dict[str, Slot]
"""The newest prediction of each model, by its name."""


def put_slot(slots: Slots, slot: Slot) -> None:
    """Replace a model's slot, and forget the oldest model where there are too many."""
    model = slot.latest.model
    if model not in slots and len(slots) >= MAX_MODELS:
        del slots[next(iter(slots))]
    slots[model] = slot
