"""Which predictions a later span of the same request follows.

For each upstream model the first of these that knows it decides:

1. a `prediction_context` block around the code;
2. what the running task or thread predicted or used itself, unless the span's own step has
   predictions of its own that this one is not among;
3. the nearest local ancestor span with a prediction;
4. what another service sent along.

Where two different predictions are left and no span has used either, none is right. How 2 and 3 are
decided stands in `decision.resolve` and `Flow.resolve`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import NamedTuple

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, get_current_span
from opentelemetry.util.types import AttributeValue

from keras_otel import semconv
from keras_otel.propagation import recent_spans
from keras_otel.propagation.decision import newest_first
from keras_otel.propagation.flow_lookup import flow_below
from keras_otel.propagation.genai import has_genai_name, is_genai_scope
from keras_otel.propagation.prediction_context import given_predictions
from keras_otel.propagation.publication import Publication
from keras_otel.propagation.remote_predictions import remote_predictions, usage
from keras_otel.propagation.request_node import Node, Request
from keras_otel.propagation.request_tree import tree
from keras_otel.propagation.task_flow import Flow
from keras_otel.propagation.upstream_attributes import attributes_to_set, first_per_model, plain
from keras_otel.records import UpstreamPrediction


class Followed(NamedTuple):
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

    @property
    def is_any(self) -> bool:
        """True if there is anything, also if it is not known yet."""
        return bool(self.published or self.given or self.remote)

    def predictions(self, without: Container[str] = ()) -> tuple[UpstreamPrediction, ...]:
        """Return all that are known by now, without those that these models made here."""
        known = [
            p.prediction
            for p in self.published
            if p.prediction is not None and p.model not in without
        ]
        return (*self.given, *known, *self.remote)

    def attributes(self) -> Mapping[str, AttributeValue]:
        """Return what a span sets of all that are known by now, in the order to set it in."""
        if len(self.published) == 1 and not self.given and not self.remote:
            return self.published[0].attributes
        return attributes_to_set(*self.predictions())


def followed_from(
    position: Node | None,
    context: Context | None,
    *,
    flow: Flow | None = None,
    uses: bool = False,
    of_answer: bool = False,
) -> Followed:
    """Return what a span started below this position follows.

    Args:
        position: The node of the span of `context`, if it has one.
        context: The context that the span is started in; None for the current one.
        flow: The flow of the running code, where the caller has it already.
        uses: Whether the span makes use of what it follows, as one about GenAI does. A prediction
            that was used can be followed by another one without becoming ambiguous.
        of_answer: Whether an answer is looked at, which a newer and unused prediction cannot have
            led to.
    """
    given = given_predictions()
    published: tuple[Publication, ...] = ()
    newly_used: tuple[Publication, ...] = ()
    if position is not None and position.request.has_predictions():
        tree.resolve_now(position.request)
        published, newly_used = tree.follow(
            position,
            flow=flow,
            without={semconv.key_segment(p.model) for p in given} if given else (),
            uses=uses,
            of_answer=of_answer,
        )
    remote = remote_predictions(context)
    if not given and not remote:
        return Followed((), published, (), newly_used)
    return Followed(
        tuple(first_per_model(given)),
        published,
        tuple(_of_unknown_models(remote, given, position)),
        newly_used,
    )


def predictions_at_end(request: Request, followed: Followed) -> tuple[UpstreamPrediction, ...]:
    """Return what a span around a whole turn carries: what was not predicted anew since its start.

    One that starts before its own turn's prediction would carry that of the turn before.
    """
    flow = flow_below(request)
    slots = request.slots or {}
    outdated = set()
    for publication in followed.published:
        model = publication.model
        newest = -1 if flow is None else flow.newest_seen(model)
        is_replaced = model not in slots or slots[model].latest is not publication
        if newest > publication.number or (newest < publication.number and is_replaced):
            outdated.add(model)
    return followed.predictions(without=outdated)


def has_explicit_predictions(context: Context | None) -> bool:
    """Return True if the program, or another service, has handed any prediction on."""
    return bool(given_predictions()) or (usage.is_any and bool(remote_predictions(context)))


def predictions_for(context: Context | None = None) -> tuple[UpstreamPrediction, ...]:
    """Return what a span started in this context would carry, newest first.

    To ask for them does not use them.
    """
    return followed_from(tree.node_of(get_current_span(context)), context).predictions()


def current_predictions() -> tuple[UpstreamPrediction, ...]:
    """Return what this request's models predicted, newest first, one prediction for each model.

    The request is that of the current span; without one there is nothing to go by, and the answer
    is what a `prediction_context` or another service says, if any. Right after an inference the
    first one is that inference's, also where several are still unused, so that it can be kept for
    a `prediction_context`.
    """
    position = tree.node_of(get_current_span())
    followed = followed_from(position, None)
    flow = None if position is None else flow_below(position.request)
    if flow is None:
        return followed.predictions()
    shown = {p.model for p in followed.published} | {p.model for p in followed.given}
    own = [s.latest for s in flow.own.values() if s.is_ambiguous and s.latest.model not in shown]
    published = sorted((*followed.published, *own), key=newest_first)
    return Followed(followed.given, tuple(published), followed.remote).predictions()


def carried_by(span: Span, context: Context | None) -> tuple[UpstreamPrediction, ...]:
    """Return what an evaluation or a log record of a span carries: what the span itself does.

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
    late = None if node is None else tree.predictions_of_open_span(node)
    if late is not None:
        return late  # which it is stamped with before it ends
    scope = getattr(span, "instrumentation_scope", None)
    if scope is not None and is_genai_scope(scope.name):
        return ()
    if has_genai_name(plain(getattr(span, "attributes", None))):
        return ()
    return followed_from(node, context, of_answer=True).predictions()


def stamped_on(span: SpanContext) -> tuple[UpstreamPrediction, ...] | None:
    """Return what a recent span of this process carries; None where it is not remembered."""
    return recent_spans.stamped_spans.get(span)


def predicted_by(span: SpanContext) -> UpstreamPrediction | None:
    """Return what a recent inference span of this process predicted, if it is one prediction."""
    predictions = recent_spans.inference_spans.get(span)
    return predictions[0] if predictions is not None and len(predictions) == 1 else None


def _of_unknown_models(
    remote: Iterable[UpstreamPrediction],
    given: Iterable[UpstreamPrediction],
    position: Node | None,
) -> Iterator[UpstreamPrediction]:
    # Also where this process cannot say which prediction is right: the other service's is older.
    here = () if position is None else tuple(position.request.slots or ())
    known = {semconv.key_segment(p.model) for p in given}
    known |= {semconv.key_segment(model) for model in here}
    return (p for p in remote if semconv.key_segment(p.model) not in known)
