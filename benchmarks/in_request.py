"""What `propagation.py` times: spans, publications, evaluations and inferences of a request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import by_hand
import subject
from opentelemetry.context import get_current
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span
from overhead import Bench, Call

import keras_otel
from keras_otel.propagation.publishing import publish

GENAI = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5",
}
"""What an LLM instrumentation passes when its span starts."""

Evaluate = Callable[[Span | None], None]
"""Records a verdict on a span; None for the current one."""


class Requests:
    """Requests of an instrumented process; each method opens one and yields what is timed in it.

    Attributes:
        plain: A tracer provider without keras_otel's processor.
        stamping: The same with it, to which keras_otel's own spans go.
    """

    def __init__(self, bench: Bench) -> None:
        self.plain, self.stamping = bench.plain_provider, bench.provider
        self._loggers = subject.logger_provider()
        self._meters = MeterProvider([InMemoryMetricReader()])
        self._bench = bench
        self._x = {name: bench.input(name, 1) for name in ("ready", "predict_on_batch")}
        self._by_hand = {name: bench.manual(name, x) for name, x in self._x.items()}
        self._published = self._one_inference()

    @contextmanager
    def _instrumented(self, **options: Any) -> Iterator[None]:
        """The process with spans, metrics, log events and propagation on."""
        keras_otel.instrument(
            tracer_provider=self.stamping,
            logger_provider=self._loggers,
            meter_provider=self._meters,
            **options,
        )
        try:
            yield
        finally:
            keras_otel.uninstrument()

    @contextmanager
    def _request(self, provider: TracerProvider, *, is_observed: bool = True) -> Iterator[None]:
        self._bench.flush()
        self._loggers.force_flush()
        with ExitStack() as block:
            if is_observed:
                block.enter_context(self._instrumented())
            block.enter_context(provider.get_tracer("app").start_as_current_span("request"))
            yield

    def _one_inference(self) -> tuple[Any, Any]:
        seen: list[tuple[Any, Any]] = []
        with self._instrumented(on_prediction=lambda *inference: seen.append(inference)):
            self._predict()
        return seen[0]

    def _predict(self) -> None:
        self._bench.ours("ready")(self._x["ready"])

    @contextmanager
    def nothing(self) -> Iterator[Call]:
        """An empty call."""
        yield lambda _: None

    @contextmanager
    def span(
        self,
        provider: TracerProvider,
        attributes: Mapping[str, str] | None = None,
        *,
        is_after_prediction: bool = True,
    ) -> Iterator[Call]:
        """A span of the program, started, ended and gone."""
        tracer = provider.get_tracer("app")
        with self._request(provider):
            if is_after_prediction:
                self._predict()
            yield lambda _: tracer.start_span("step", attributes=attributes).end()

    @contextmanager
    def publication(self, depth: int) -> Iterator[Call]:
        """What an inference publishes to this many local spans, the one it is made in first."""
        span, inference = self._published
        tracer = self.stamping.get_tracer("app")
        with ExitStack() as spans:
            spans.enter_context(self._request(self.stamping))
            for _ in range(depth - 1):
                spans.enter_context(tracer.start_as_current_span("step"))
            context = get_current()
            yield lambda _: publish(context, inference.identity, inference.outputs, span)

    @contextmanager
    def evaluation(self, *, is_ended: bool, is_by_hand: bool = False) -> Iterator[Call]:
        """A verdict on a span about GenAI that carries a prediction."""
        tracer = self.stamping.get_tracer("app")
        with self._request(self.stamping):
            self._predict()
            with tracer.start_as_current_span("chat", attributes=GENAI) as span:
                evaluate = self._evaluation_by_hand(span) if is_by_hand else _evaluate
                if not is_ended:
                    yield lambda _: evaluate(None)
            if is_ended:
                yield lambda _: evaluate(span)

    def _evaluation_by_hand(self, span: Any) -> Evaluate:
        carried = {key: span.attributes[key] for key in span.attributes if key not in GENAI}
        return by_hand.evaluation_by_hand(
            self.plain.get_tracer("by_hand"),
            self._loggers.get_logger("by_hand"),
            self._meters.get_meter("by_hand").create_counter("evaluations"),
            carried,
            self._bench.model.name,
        )

    @contextmanager
    def inference(self, variant: str, operation: str = "ready") -> Iterator[Call]:
        """An inference in a request: `bare`, `by_hand` or `ours`."""
        call = {
            "bare": self._bench.bare(operation),
            "by_hand": self._by_hand[operation],
            "ours": self._bench.ours(operation),
        }[variant]
        x, is_ours = self._x[operation], variant == "ours"
        with self._request(self.stamping if is_ours else self.plain, is_observed=is_ours):
            yield lambda _: call(x)


def _evaluate(span: Span | None) -> None:
    keras_otel.record_evaluation("faithfulness", score=0.2, passed=False, span=span)
