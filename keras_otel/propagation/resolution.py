"""Which predictions a later span of the same request follows.

For each upstream model the first of these that knows it decides:

1. a `prediction_context` block around the code;
2. what the running task or thread predicted or used itself, unless the span's own step has
   predictions of its own that this one is not among;
3. the nearest local ancestor span with a prediction;
4. what another service sent along.

Where two different predictions are left and no span has used either, none is right.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import NamedTuple

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, get_current_span

from keras_otel import semconv
from keras_otel.propagation import recent_spans
from keras_otel.propagation.flow_events import note_used
from keras_otel.propagation.flow_lookup import flow_below
from keras_otel.propagation.genai import has_genai_name, is_genai_scope
from keras_otel.propagation.prediction_context import given_predictions
from keras_otel.propagation.remote_predictions import remote_predictions
from keras_otel.propagation.request_tree import Node, Publication, Slot, tree
from keras_otel.propagation.task_flow import Flow
from keras_otel.propagation.unclassified_spans import note_use, settle, watched
from keras_otel.propagation.upstream_attributes import first_per_model, plain
from keras_otel.records import UpstreamPrediction


class Seen(NamedTuple):
    """What one span follows; each model stands in one of the three.

    Attributes:
        given: Handed on by the program.
        published: Made in this process, newest first; some may be pending.
        remote: Sent along by another service.
        newly_used: Those of `published` that nobody had used before.
    """

    given: tuple[UpstreamPrediction, ...]
    published: tuple[Publication, ...]
    remote: tuple[UpstreamPrediction, ...]
    newly_used: tuple[Publication, ...] = ()

    def predictions(self, without: Container[str] = ()) -> tuple[UpstreamPrediction, ...]:
        """All that are known by now, without those that these models made here."""
        known = [
            p.prediction
            for p in self.published
            if p.prediction is not None and p.model not in without
        ]
        return (*self.given, *known, *self.remote)


def seen_from(
    position: Node | None, context: Context | None, *, uses: bool = False, of_answer: bool = False
) -> Seen:
    """What a span started below this position follows.

    Args:
        position: The node of the span of `context`, if it has one.
        context: The context that the span is started in; None for the current one.
        of_answer: Whether an answer is looked at, which a newer and unused prediction cannot have
            led to.
        uses: Whether the span makes use of what it sees, as one about GenAI does. A prediction
            that was used can be followed by another one without becoming ambiguous.
    """
    given = given_predictions()
    published: tuple[Publication, ...] = ()
    newly_used: tuple[Publication, ...] = ()
    if position is not None and position.root.slots:
        with tree.lock:
            if position.root.undecided:
                settle(position.root)
            published = _published(position, of_answer=of_answer)
            if given:
                published = tuple(_without(published, given))
            if uses and published:
                newly_used = tuple([p for p in published if not p.is_used])
                for publication in published:
                    publication.is_used = True
                note_used(position.root, published)
                if position.root.undecided:
                    note_use(position.root, published)
    remote = remote_predictions(context)
    if not given and not remote:
        return Seen((), published, (), newly_used)
    return Seen(
        tuple(first_per_model(given)),
        published,
        tuple(_unknown_to(remote, given, position)),
        newly_used,
    )


def predictions_at_end(root: Node, seen: Seen) -> tuple[UpstreamPrediction, ...]:
    """What a span around a whole turn carries: what was predicted before it, and not anew since.

    One that starts before its own turn's prediction would carry that of the turn before.
    """
    flow = flow_below(root)
    slots = root.slots or {}
    outdated = set()
    for publication in seen.published:
        model = publication.model
        newest = -1 if flow is None else flow.newest_seen(model)
        is_replaced = model not in slots or slots[model].latest is not publication
        if newest > publication.number or (newest < publication.number and is_replaced):
            outdated.add(model)
    return seen.predictions(without=outdated)


def may_follow(position: Node | None, context: Context) -> bool:
    """True if there is anything that a span started below this position could follow."""
    if position is not None and position.root.slots:
        return True
    return bool(given_predictions() or remote_predictions(context))


def predictions_for(context: Context | None = None) -> tuple[UpstreamPrediction, ...]:
    """What a span started in this context would carry, newest first; it is not used by asking."""
    return seen_from(tree.node_of(get_current_span(context)), context).predictions()


def current_predictions() -> tuple[UpstreamPrediction, ...]:
    """What this request's models predicted, newest first, one prediction for each model.

    The request is that of the current span; without one there is nothing to go by, and the answer
    is what a `prediction_context` or another service says, if any. Right after an inference the
    first one is that inference's, also where several are still unused, so that it can be kept for
    a `prediction_context`.
    """
    position = tree.node_of(get_current_span())
    seen = seen_from(position, None)
    flow = None if position is None else flow_below(position.root)
    if flow is None:
        return seen.predictions()
    shown = {p.model for p in seen.published} | {p.model for p in seen.given}
    own = [s.latest for s in flow.own.values() if s.is_ambiguous and s.latest.model not in shown]
    published = sorted((*seen.published, *own), key=_newest_first)
    return Seen(seen.given, tuple(published), seen.remote).predictions()


def carried_by(span: Span, context: Context | None) -> tuple[UpstreamPrediction, ...]:
    """What an evaluation or a log record of a span should carry: what the span itself does.

    A span about GenAI that carries nothing, because right was not knowable, leaves it at that. Any
    other span stands for its request, and an answer is never about a prediction that came after
    the one that was used for it.

    Args:
        span: The span that is evaluated or logged in.
        context: The context of that span; None for the current one.
    """
    carried = stamped_on(span.get_span_context())
    if carried is not None:
        return carried
    node = tree.node_of(span)
    late = watched(node)
    if late is not None and late.is_genai():
        return late.predictions()  # which it is stamped with before it ends
    scope = getattr(span, "instrumentation_scope", None)
    if scope is not None and is_genai_scope(scope.name):
        return ()
    if has_genai_name(plain(getattr(span, "attributes", None))):
        return ()
    return seen_from(node, context, of_answer=True).predictions()


def stamped_on(span: SpanContext) -> tuple[UpstreamPrediction, ...] | None:
    """What a recent span of this process carries; None where it is not remembered."""
    return recent_spans.stamped.of(span)


def predicted_by(span: SpanContext) -> UpstreamPrediction | None:
    """What a recent inference span of this process predicted, if it is one prediction."""
    predictions = recent_spans.inferences.of(span)
    return predictions[0] if predictions is not None and len(predictions) == 1 else None


def _published(position: Node, *, of_answer: bool) -> tuple[Publication, ...]:
    flow = flow_below(position.root)
    found = []
    for model in position.root.slots or ():
        slot = _decide(position, flow, model)
        if slot is None or slot.is_ambiguous or (of_answer and slot.is_news):
            continue
        if slot.latest.is_pending or slot.latest.prediction is not None:
            found.append(slot.latest)
    if len(found) > 1:
        found.sort(key=_newest_first)
    return tuple(found)


def _decide(position: Node, flow: Flow | None, model: str) -> Slot | None:
    verdict = None if flow is None else flow.verdict(model)
    if verdict is not None and verdict.is_ambiguous:
        return verdict
    nearest: Slot | None = None
    above: list[int] = []
    node: Node | None = position
    while node is not None:
        if nearest is None and node.slots is not None:
            nearest = node.slots.get(model)
            if nearest is not None and (
                verdict is None
                or verdict.latest is nearest.latest
                or node.number in verdict.latest.path
            ):
                if verdict is None and nearest.has_skipped:
                    return Slot.undecided(nearest.latest)  # it may lag behind whoever predicts
                return _unless_replaced(verdict, nearest, flow)
        if nearest is not None:
            above.append(node.number)
        node = node.parent
    if verdict is None or nearest is None:
        return nearest or verdict
    # The step of the span has predictions of its own, and this one was made outside of it: around
    # it, where the task that made it still counts, or in another step, where it does not.
    if verdict.latest.path[0] not in above:
        # Code that came from another task may share the step with whoever predicted in it.
        has_own = flow is not None and model in flow.own
        return nearest if has_own else Slot.undecided(nearest.latest)
    return _unless_replaced(verdict, nearest, flow)


def _unless_replaced(verdict: Slot | None, nearest: Slot, flow: Flow | None) -> Slot:
    """What the running code follows, unless a row of a shared call may be for it as well.

    A row reaches its request's span and not the task that waits for it, so that among the tasks
    below one span which of them has its answer now cannot be known.
    """
    if verdict is None or flow is None:
        return nearest
    latest = verdict.latest
    if nearest.may_replace(latest, newer_than=flow.newest_followed(latest.model)):
        return Slot.undecided(latest)
    return verdict


def _newest_first(publication: Publication) -> int:
    return -publication.number


def _without(
    published: Iterable[Publication], given: Iterable[UpstreamPrediction]
) -> Iterator[Publication]:
    known = {semconv.key_segment(prediction.model) for prediction in given}
    return (p for p in published if semconv.key_segment(p.model) not in known)


def _unknown_to(
    remote: Iterable[UpstreamPrediction],
    given: Iterable[UpstreamPrediction],
    position: Node | None,
) -> Iterator[UpstreamPrediction]:
    # Also where this process cannot say which prediction is right: the other service's is older.
    here = () if position is None else tuple(position.root.slots or ())
    known = {semconv.key_segment(p.model) for p in given}
    known |= {semconv.key_segment(model) for model in here}
    return (p for p in remote if semconv.key_segment(p.model) not in known)
