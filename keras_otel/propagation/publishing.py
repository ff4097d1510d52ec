"""From an inference to the places where later spans look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import Span, get_current_span

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel._span_limits import limit_of_span
from keras_otel._unicode import name_of
from keras_otel.propagation import recent_spans
from keras_otel.propagation.context_state import DeferredState
from keras_otel.propagation.flow_events import let_caller_wait
from keras_otel.propagation.publication import Publication
from keras_otel.propagation.request_node import Node, Request
from keras_otel.propagation.request_tree import tree
from keras_otel.propagation.upstream_attributes import attributes_to_set, plain, stamp
from keras_otel.records import Decoded, ModelIdentity, UpstreamPrediction

_MAX_ATTEMPTS: Final = 20
"""How often to publish what others defer at the same time, before one's own is published."""


def is_in_request(context: Context) -> bool:
    """Return True if there is a span to publish to: without one there is no request to belong to."""
    return bool(context) and get_current_span(context).get_span_context().is_valid


def publish(
    context: Context,
    identity: ModelIdentity,
    outputs: Sequence[Decoded],
    span: Span,
    *,
    is_callers: bool = True,
) -> None:
    """Publish to the span of `context` and its local ancestors.

    An output of several rows, or of a call that failed, is published as no prediction: what the
    model said before does not hold any longer, and which of the rows a later span follows cannot
    be known.

    Args:
        context: The context that the inference was made in, or made for.
        identity: The model.
        outputs: What each of its outputs says.
        span: The span of the inference.
        is_callers: Whether the running task or thread is the one that the predictions are for.
    """
    publications = _publications(identity, outputs, span, is_callers=is_callers)
    _remember(span, publications)
    _publish(context, publications, is_callers=is_callers)


def _publications(
    identity: ModelIdentity, outputs: Iterable[Decoded], span: Span, *, is_callers: bool = True
) -> list[Publication]:
    publications = []
    for decoded in outputs:
        model = _name(identity, decoded.output)
        prediction = _prediction(model, identity, decoded, span)
        publications.append(
            Publication(model, prediction, identity=identity, is_for_other_task=not is_callers)
        )
    return publications


def publish_pending(
    context: Context,
    identity: ModelIdentity,
    outputs: Sequence[str | None],
    *,
    is_callers: bool = True,
    resolve_now: Callable[[], object] | None = None,
) -> PendingPrediction | None:
    """Publish predictions that are not known yet.

    Args:
        context: As in `publish`.
        identity: The model.
        outputs: Names of its outputs, None for the only one.
        is_callers: As in `publish`.
        resolve_now: Resolves them at once, for a span that needs to know now; None where only
            waiting helps, as with what an accelerator still computes.

    Returns:
        None if they have to be known before: the request has an earlier prediction of the model,
        and two are compared as the second one is published. Nothing was published then.
    """
    publications = {
        output: Publication(
            _name(identity, output),
            None,
            identity=identity,
            is_pending=True,
            is_for_other_task=not is_callers,
        )
        for output in outputs
    }
    request = _publish(
        context, list(publications.values()), is_callers=is_callers, resolve_now=resolve_now
    )
    return None if request is None else PendingPrediction(request, identity, publications)


class PendingPrediction:
    """Predictions that will be known later, by output."""

    def __init__(
        self,
        request: Request,
        identity: ModelIdentity,
        publications: dict[str | None, Publication],
    ) -> None:
        self._request = request
        self._identity = identity
        self._publications = publications

    def resolve(self, outputs: Iterable[Decoded], span: Span) -> None:
        """Fill in what is known now, also on the spans that were started meanwhile."""
        known = {decoded.output: decoded for decoded in outputs}
        for output, publication in self._publications.items():
            decoded = known.get(output)
            prediction = None
            if decoded is not None:
                prediction = _prediction(publication.model, self._identity, decoded, span)
            for reference in tree.resolve_pending(self._request, publication, prediction):
                waiting = reference()
                if waiting is not None and prediction is not None:
                    _stamp_late(waiting, prediction)
        _remember(span, self._publications.values())


def defer(
    context: Context,
    identity: ModelIdentity,
    outputs: Sequence[str | None],
    resolve_now: Callable[[], object],
) -> DeferredPrediction | None:
    """Publish predictions of the running code later, where that makes no difference.

    Args:
        context: As in `publish`.
        identity: The model.
        outputs: Names of its outputs, None for the only one.
        resolve_now: Resolves them at once, for whoever looks before.

    Returns:
        None if they have to be published now.
    """
    node = tree.node_of(get_current_span(context))
    if node is None:
        return None
    models = tuple([_name(identity, output) for output in outputs])
    state = tree.defer(node, models, resolve_now)
    return None if state is None else DeferredPrediction(node, identity, models, state)


class DeferredPrediction:
    """Predictions that will be known and published later."""

    __slots__ = ("_identity", "_models", "_node", "_state")

    def __init__(
        self, node: Node, identity: ModelIdentity, models: tuple[str, ...], state: DeferredState
    ) -> None:
        self._node = node
        self._identity = identity
        self._models = models
        self._state = state

    def resolve(self, outputs: Iterable[Decoded], span: Span) -> None:
        """Publish what is known now; nothing where that is nothing."""
        publications = _publications(self._identity, outputs, span)
        _remember(span, publications)
        tree.publish_deferred(self._node, self._models, publications, self._state)


def clear() -> None:
    """Forget what was predicted so far in the request of the current span.

    For a root span that lives through many requests, such as that of a session or a worker.
    """
    node = tree.node_of(get_current_span())
    if node is not None:
        tree.resolve_now(node.request)
        tree.clear(node.request)


def _name(identity: ModelIdentity, output: str | None) -> str:
    return identity.name if output is None else name_of(f"{identity.name}.{output}")


def _prediction(
    model: str, identity: ModelIdentity, decoded: Decoded, span: Span
) -> UpstreamPrediction | None:
    if decoded.rows != 1:
        return None
    context = span.get_span_context()
    return UpstreamPrediction(
        model=model,
        version=identity.version,
        class_name=decoded.classes[0] if decoded.classes else None,
        confidence=decoded.confidences[0] if decoded.confidences else None,
        value=decoded.value,
        labels=decoded.labels,
        trace_id=context.trace_id,
        span_id=context.span_id,
    )


def _publish(
    context: Context,
    publications: list[Publication],
    *,
    is_callers: bool,
    resolve_now: Callable[[], object] | None = None,
) -> Request | None:
    """Publish, and return the request; None if the predictions have to be known before."""
    node = tree.node_for(get_current_span(context))
    request = node.request
    if resolve_now is not None and request.has_models_of(publications):
        return None
    if is_callers:
        guarded(semconv.SITE_FOLLOW_WHO_WAITS, let_caller_wait, node)
    for attempt in range(_MAX_ATTEMPTS):
        tree.resolve_now(request)  # the earlier ones are compared with these, and must be known
        is_published = tree.publish(
            node,
            publications,
            is_callers=is_callers,
            resolve_now=resolve_now,
            is_forced=attempt == _MAX_ATTEMPTS - 1,
        )
        if is_published is not None:
            break
    return request if is_published else None


def _remember(span: Span, publications: Iterable[Publication]) -> None:
    predictions = tuple([p.prediction for p in publications if p.prediction is not None])
    if predictions:
        recent_spans.inference_spans.add(span.get_span_context(), predictions)


def _stamp_late(span: Span, prediction: UpstreamPrediction) -> None:
    present = plain(getattr(span, "attributes", None))
    if span.is_recording() and stamp(
        span, present, attributes_to_set(prediction), limit_of_span(span)
    ):
        context = span.get_span_context()
        stamped = recent_spans.stamped_spans
        stamped.add(context, (*(stamped.get(context) or ()), prediction))
