"""From an inference to the places where later spans look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from opentelemetry.context import Context
from opentelemetry.trace import Span, get_current_span

from keras_otel._guard import guarded
from keras_otel._unicode import name_of
from keras_otel.propagation import recent_spans
from keras_otel.propagation.flow_events import let_caller_wait, note_known, note_published
from keras_otel.propagation.request_tree import Publication, tree
from keras_otel.propagation.unclassified_spans import settle
from keras_otel.propagation.upstream_attributes import plain, stamp
from keras_otel.records import Decoded, ModelIdentity, UpstreamPrediction


def is_in_request(context: Context) -> bool:
    """True if there is a span to publish to: without one there is no request to belong to."""
    return get_current_span(context).get_span_context().is_valid


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
    publications = []
    for decoded in outputs:
        model = _name(identity, decoded.output)
        prediction = _prediction(model, identity, decoded, span)
        publications.append(
            Publication(model, prediction, identity=identity, is_addressed=not is_callers)
        )
    _remember(span, publications)
    _publish(context, publications, is_callers=is_callers)


def announce(
    context: Context,
    identity: ModelIdentity,
    outputs: Sequence[str | None],
    *,
    is_callers: bool = True,
) -> Announced:
    """Publish predictions that an accelerator still computes; the arguments are as in `publish`."""
    publications = {
        output: Publication(
            _name(identity, output),
            None,
            identity=identity,
            is_pending=True,
            is_addressed=not is_callers,
        )
        for output in outputs
    }
    _publish(context, list(publications.values()), is_callers=is_callers)
    return Announced(identity, publications)


class Announced:
    """Predictions that will be known later, by output."""

    def __init__(
        self, identity: ModelIdentity, publications: dict[str | None, Publication]
    ) -> None:
        self._identity = identity
        self._publications = publications

    def settle(self, outputs: Iterable[Decoded], span: Span) -> None:
        """Fill in what is known now, also on the spans that were started meanwhile."""
        known = {decoded.output: decoded for decoded in outputs}
        for output, publication in self._publications.items():
            decoded = known.get(output)
            prediction = None
            if decoded is not None:
                prediction = _prediction(publication.model, self._identity, decoded, span)
            with tree.lock:
                publication.prediction = prediction
                publication.is_pending = False
                waiting, publication.waiting = publication.waiting, []
            for reference in waiting:
                late = reference()
                if late is not None and prediction is not None:
                    _stamp_late(late, prediction)
        _remember(span, self._publications.values())


def clear() -> None:
    """Forget what was predicted so far in the request of the current span.

    For a root span that lives through many requests, such as that of a session or a worker.
    """
    node = tree.node_of(get_current_span())
    if node is not None:
        tree.clear(node.root)


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


def _publish(context: Context, publications: list[Publication], *, is_callers: bool) -> None:
    calling = get_current_span(context)
    if is_callers:
        guarded("follow who waits", let_caller_wait, tree.node_of(calling))
    with tree.lock:
        node = tree.node_for(calling)
        if node.root.undecided:
            settle(node.root)
        flow = note_known(node.root, publications) if is_callers else None
        node.publish(publications)
        if flow is not None:
            note_published(flow, publications)


def _remember(span: Span, publications: Iterable[Publication]) -> None:
    predictions = tuple([p.prediction for p in publications if p.prediction is not None])
    if predictions:
        recent_spans.inferences.note(span.get_span_context(), predictions)


def _stamp_late(span: Span, prediction: UpstreamPrediction) -> None:
    present = plain(getattr(span, "attributes", None))
    if span.is_recording() and stamp(span, present, (prediction,)):
        context = span.get_span_context()
        recent_spans.stamped.note(context, (*(recent_spans.stamped.of(context) or ()), prediction))
