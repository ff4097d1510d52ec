"""Which of the published predictions a span follows, from its place and from the code that starts it."""

from __future__ import annotations

from keras_otel.propagation.publication import Publication, Slot
from keras_otel.propagation.request_node import Node
from keras_otel.propagation.task_flow import Flow


def followed_publications(
    position: Node, flow: Flow | None, *, of_answer: bool = False
) -> tuple[Publication, ...]:
    """Return what a span started below this position follows, newest first; some may be pending.

    The tree's lock is held.

    Args:
        position: The node below which the span starts.
        flow: The flow of the running code, if it has anything to go by.
        of_answer: Whether an answer is looked at, which a newer and unused prediction cannot have
            led to.
    """
    followed = []
    for model in position.request.slots or ():
        slot = resolve(position, flow, model)
        if slot is None or slot.is_ambiguous or (of_answer and slot.is_unused_after_use):
            continue
        if slot.latest.is_pending or slot.latest.prediction is not None:
            followed.append(slot.latest)
    if len(followed) > 1:
        followed.sort(key=newest_first)
    return tuple(followed)


def newest_first(publication: Publication) -> int:
    """Return the key that sorts publications by time, the newest one first."""
    return -publication.number


def resolve(position: Node, flow: Flow | None, model: str) -> Slot | None:
    """Return what a span below this position follows of a model; None where nothing was predicted.

    The first line that applies decides. "Flow's" is what the running code itself follows
    (`Flow.resolve`), "nearest" the slot of the nearest span around the position with a prediction.

    | flow's        | nearest                                           | result               |
    |---------------|---------------------------------------------------|----------------------|
    | ambiguous     | any                                               | ambiguous            |
    | any           | none                                              | flow's               |
    | none          | skips an unused one                               | ambiguous            |
    | none          | any other                                         | nearest              |
    | is nearest's, or was published to the nearest span or to one around it | flow's, unless row   |
    | made at a span around the nearest one                             | flow's, unless row   |
    | made in another step, by code that predicted or used it itself    | nearest              |
    | made in another step, by other code                               | ambiguous            |

    "Unless row": a row of a shared call that came since makes it ambiguous (`_unless_row`).
    """
    followed = None if flow is None else flow.resolve(model)
    if followed is not None and followed.is_ambiguous:
        return followed
    nearest: Slot | None = None
    around: list[int] = []  # keys of the nodes from the nearest one up
    node: Node | None = position
    while node is not None:
        if nearest is None and node.slots is not None:
            nearest = node.slots.get(model)
            if nearest is not None:
                if flow is None or followed is None:
                    # Code that runs ahead has replaced a prediction that nobody has used, and this
                    # code may be about to follow that older one.
                    return Slot.ambiguous(nearest.latest) if nearest.skips_unused else nearest
                if followed.latest is nearest.latest or node.key in followed.latest.path:
                    # The code's own prediction was made in this step: what others have published
                    # to it since is theirs, or its spans would carry its neighbour's label.
                    return (
                        followed
                        if nearest.latest_row is None
                        else _unless_row(followed, nearest, flow)
                    )
        if nearest is not None:
            around.append(node.key)
        node = node.parent
    if nearest is None or followed is None or flow is None:
        return nearest or followed
    # The step of the span has predictions of its own, and the code's was made outside of it.
    if followed.latest.path[0] in around:
        # Around the step, by the code that goes on in it.
        return _unless_row(followed, nearest, flow)
    # In another step, which is over for code that predicted there itself: it follows this step's.
    # Code that came from another task may share the step with whoever predicted in it.
    return nearest if model in flow.own else Slot.ambiguous(nearest.latest)


def _unless_row(followed: Slot, nearest: Slot, flow: Flow) -> Slot:
    """Return what the code follows, unless a row of a shared call may be for it as well.

    A row reaches its request's span and not the task that waits for it, so that among the tasks
    below one span which of them has its answer now cannot be known.
    """
    latest = followed.latest
    if nearest.has_other_row_since(flow.newest_followed(latest.model), latest):
        return Slot.ambiguous(latest)
    return followed
