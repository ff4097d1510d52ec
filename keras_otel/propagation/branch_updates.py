"""What other code has predicted for a flow, and which of two predictions code goes on with."""

from __future__ import annotations

from contextvars import Context
from typing import TYPE_CHECKING, Any, NamedTuple

from keras_otel.propagation.execution_units import Unit
from keras_otel.propagation.request_tree import Publication, Slot

if TYPE_CHECKING:
    from keras_otel.propagation.task_flow import Flow


class Concern(NamedTuple):
    """A flow that other code's predictions concern.

    Attributes:
        flow: The flow.
        via: Serial number of the flow next to it which they come from.
        gate: The task that has to be done before they count for it, if any.
        context: The context that the flow's unit waits in, where it is known.
        seen_by: Number of the flow's state that this context holds; -1 where that is not known.
        is_awaited: Whether the unit waits for that code.
        pool: The pool that the code runs in, if any.
    """

    flow: Flow
    via: int
    gate: Unit | None
    context: Context | None
    seen_by: int
    is_awaited: bool
    pool: Any


class News(NamedTuple):
    """What other code has predicted since, for the flow that it concerns.

    Attributes:
        slot: Its newest prediction.
        gate: The task that has to be done before it counts, if any.
        via: Serial number of the flow next to that one which the news came from.
        seen_by: Number of the flow's state that the context which waited for it held until then.
        orphan: Number of the newest prediction that nobody is known to wait for; -1 for none.
        orphan_pool: The pool that it was made in, if any.
        covers_another: True if there was news of other code before, which this code did not know.
    """

    slot: Slot
    gate: Unit | None
    via: int
    seen_by: int
    orphan: int
    orphan_pool: Any
    covers_another: bool

    @property
    def is_awaited(self) -> bool:
        """True if the flow's unit waited for it, so that the unit's context knows."""
        return self.orphan != self.slot.latest.number

    @property
    def is_beside(self) -> bool:
        """True while the task still runs, so that nobody has waited for it."""
        return self.gate is not None and self.gate.is_running

    @classmethod
    def after(cls, earlier: News | None, publication: Publication, concern: Concern) -> News:
        """Return the newest news, in place of earlier ones."""
        orphan, pool = -1, None
        if not concern.is_awaited:
            orphan, pool = publication.number, concern.pool
        is_another = False
        if earlier is not None:
            if earlier.orphan > orphan:
                orphan, pool = earlier.orphan, earlier.orphan_pool
            is_another = earlier.covers_another or earlier.gate is not concern.gate
            is_another = is_another and publication.knows < earlier.slot.latest.number
        return cls(
            slot=Slot(publication, None if earlier is None else earlier.slot),
            gate=concern.gate,
            via=concern.via,
            seen_by=concern.seen_by,
            orphan=orphan,
            orphan_pool=pool,
            covers_another=is_another,
        )


def newer_of(known: Slot, news: News, *, is_own: bool) -> Slot:
    """Return which of two differing predictions code follows that knows both.

    The newer one, unless whoever made it has also used it, and nobody else has: whether the code
    goes on from a turn that other code had for itself is not known. And unless the code's own one
    is unused, and the newer one was made without knowing of it.
    """
    latest = news.slot.latest
    is_closed = latest.is_used and all(news.via in line for line in latest.users)
    is_unaware = is_own and known.latest.is_open and latest.knows < known.latest.number
    is_contested = known.is_contested or latest.contests(known.latest)
    if is_closed or is_unaware or is_contested or news.slot.is_ambiguous:
        return Slot.undecided(latest)
    return news.slot
