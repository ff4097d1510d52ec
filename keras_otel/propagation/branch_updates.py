"""What concurrent code has predicted for a flow, and which of two predictions code goes on with."""

from __future__ import annotations

from contextvars import Context
from typing import Any, NamedTuple

from keras_otel.propagation.execution_units import Unit
from keras_otel.propagation.publication import Publication, Slot


class UpdateOrigin(NamedTuple):
    """How a prediction of other code reaches a flow.

    Attributes:
        via: Serial number of the flow next to the receiving one that it comes from.
        waits_for: The task that has to be done before it counts, if any.
        context: The context that the receiving unit waits in, where it is known.
        seen_by: Number of the flow's state that this context holds; -1 where that is not known.
        is_awaited: Whether the receiving unit waits for the code that predicted.
        pool: The pool that this code runs in, if any.
    """

    via: int
    waits_for: Unit | None
    context: Context | None
    seen_by: int
    is_awaited: bool
    pool: Any


class BranchUpdate(NamedTuple):
    """What other code has predicted since, for the flow that receives it.

    Attributes:
        slot: Its newest prediction.
        waits_for: The task that has to be done before it counts, if any.
        via: Serial number of the flow next to the receiving one that it came from.
        seen_by: Number of the flow's state that the context which waited for it held until then.
        unawaited: Number of the newest prediction that nobody is known to wait for; -1 for none.
        unawaited_pool: The pool that it was made in, if any.
        replaces_other_branch: True if there was an update of other code before, which this code
            had not seen.
    """

    slot: Slot
    waits_for: Unit | None
    via: int
    seen_by: int
    unawaited: int
    unawaited_pool: Any
    replaces_other_branch: bool

    @property
    def is_awaited(self) -> bool:
        """True if the flow's unit waited for it, so that the unit's context knows."""
        return self.unawaited != self.slot.latest.number

    @property
    def is_concurrent(self) -> bool:
        """True while the task still runs, so that nobody has waited for it."""
        return self.waits_for is not None and self.waits_for.is_running

    @classmethod
    def after(
        cls, earlier: BranchUpdate | None, publication: Publication, origin: UpdateOrigin
    ) -> BranchUpdate:
        """Return the newest update, in place of earlier ones."""
        unawaited, pool = -1, None
        if not origin.is_awaited:
            unawaited, pool = publication.number, origin.pool
        is_replacing = False
        if earlier is not None:
            if earlier.unawaited > unawaited:
                unawaited, pool = earlier.unawaited, earlier.unawaited_pool
            is_other = earlier.replaces_other_branch or earlier.waits_for is not origin.waits_for
            is_replacing = is_other and publication.last_seen_number < earlier.slot.latest.number
        return cls(
            slot=Slot(publication, None if earlier is None else earlier.slot),
            waits_for=origin.waits_for,
            via=origin.via,
            seen_by=origin.seen_by,
            unawaited=unawaited,
            unawaited_pool=pool,
            replaces_other_branch=is_replacing,
        )


def newer_of(known: Slot, update: BranchUpdate, *, is_own: bool) -> Slot:
    """Return which of two differing predictions code follows that has seen both: the newer one.

    No code can follow either (the slot is ambiguous) where

    * whoever made the newer one has also used it, and nobody else has: whether the code goes on
      from a turn that other code had for itself is not known;
    * the code's own one is unused, and the newer one was made without having seen it;
    * two models with one name made them, or the newer one is ambiguous in itself.
    """
    latest = update.slot.latest
    is_answered = latest.is_used and all(update.via in line for line in latest.user_lines)
    is_unaware = is_own and known.latest.is_unused and latest.last_seen_number < known.latest.number
    has_conflict = known.has_name_conflict or latest.has_name_conflict_with(known.latest)
    if is_answered or is_unaware or has_conflict or update.slot.is_ambiguous:
        return Slot.ambiguous(latest)
    return update.slot
