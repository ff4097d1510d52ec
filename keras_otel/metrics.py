"""Instruments, and what inferences and evaluations record on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import NoneType
from typing import Final
from weakref import WeakKeyDictionary

from opentelemetry.context import Context
from opentelemetry.metrics import (
    CallbackOptions,
    Counter,
    Histogram,
    Meter,
    MeterProvider,
    NoOpMeterProvider,
    Observation,
    get_meter_provider,
)
from opentelemetry.trace import Span, set_span_in_context
from opentelemetry.util.types import AttributeValue

from keras_otel import semconv
from keras_otel._guard import SiteCounts, failure_counts
from keras_otel._worker import flush_workers
from keras_otel.introspection.call_facts import CallFacts
from keras_otel.records import Evaluation, Inference, UpstreamPrediction
from keras_otel.row_counts import RowCounts
from keras_otel.version import __version__

_dropped = SiteCounts()

_RECORD_S: Final = 0.5
"""The longest that a collection waits for pending inferences."""


class Instruments:
    """The instruments of one meter provider, or of the process's own where that is None."""

    def __init__(self, provider: MeterProvider | None) -> None:
        # Not kept where it was given: the provider is the weak key under which this is found.
        self._is_given = not isinstance(provider, (NoOpMeterProvider, NoneType))
        self._is_process_own = provider is None
        meter = (provider or get_meter_provider()).get_meter(semconv.SCOPE_NAME, __version__)
        self.rows = RowCounts()
        self._duration = _histogram(meter, semconv.DURATION)
        self._confidence = _histogram(meter, semconv.CONFIDENCE)
        self._evaluations = _counter(meter, semconv.EVALUATIONS)
        _observable(meter, semconv.PREDICTIONS, self._counted_rows)
        _observable(meter, semconv.TELEMETRY_ERRORS, lambda _: _by_site(failure_counts()))
        _observable(meter, semconv.TELEMETRY_DROPPED, lambda _: _by_site(dropped_counts()))

    def _counted_rows(self, options: CallbackOptions) -> Iterable[Observation]:
        # The SDK asks observable instruments before it collects the others: all of them then have
        # what was pending.
        flush_workers(_RECORD_S)
        return self.rows.observations(options)

    def are_read(self) -> bool:
        """False while there is no SDK to read what would be recorded."""
        if self._is_given:
            return True
        # The API hands out a private proxy until a provider is set.
        name = type(get_meter_provider()).__name__
        return self._is_process_own and name not in ("_ProxyMeterProvider", "NoOpMeterProvider")

    def record(self, inference: Inference, facts: CallFacts, span: Span) -> None:
        """Record one inference, in the context of its span so that exemplars lead to the trace."""
        context = set_span_in_context(span)
        duration = self._with_version(facts, facts.duration_attributes)
        if inference.error is not None:
            failed = {**duration, semconv.ERROR_TYPE: semconv.error_type(inference.error)}
            self._duration.record(inference.duration_s, failed, context=context)
            return
        self._duration.record(inference.duration_s, duration, context=context)
        for decoded in inference.outputs:
            self.rows.add(facts, decoded)
            for name, confidence in decoded.confidence_sample:
                attributes = facts.class_attributes.get(name)
                if attributes is None:
                    attributes = self._class_attributes(facts, name)
                self._confidence.record(confidence, attributes, context=context)

    def count_evaluation(
        self, evaluation: Evaluation, predictions: Iterable[UpstreamPrediction], context: Context
    ) -> None:
        """Count an evaluation once for each upstream model, or once where there is none.

        Args:
            evaluation: The verdict.
            predictions: What was predicted upstream, one prediction for each model.
            context: That of the evaluated span, so that exemplars lead to it.
        """
        attributes: dict[str, AttributeValue] = {semconv.EVALUATION_NAME: evaluation.name}
        if evaluation.passed is not None:
            attributes[semconv.EVALUATION_PASSED] = evaluation.passed
        if evaluation.error_type is not None:
            attributes[semconv.ERROR_TYPE] = evaluation.error_type
        of_each = [self._upstream_attributes(prediction) for prediction in predictions]
        for upstream in of_each or [{}]:
            self._evaluations.add(1, {**attributes, **upstream}, context)

    def _upstream_attributes(self, prediction: UpstreamPrediction) -> dict[str, AttributeValue]:
        attributes: dict[str, AttributeValue] = {semconv.MODEL_NAME: prediction.model}
        if prediction.version is not None:
            admitted = self.rows.versions.admit(prediction.model, prediction.version)
            attributes[semconv.MODEL_VERSION] = admitted
        if prediction.class_name is not None:
            admitted = self.rows.classes.admit(prediction.model, prediction.class_name)
            attributes[semconv.PREDICTION_CLASS] = admitted
        if prediction.confidence is not None and 0 <= prediction.confidence <= 1:
            attributes[semconv.CONFIDENCE_BIN] = semconv.confidence_bin(prediction.confidence)
        return attributes

    def _class_attributes(self, facts: CallFacts, name: str) -> Mapping[str, AttributeValue]:
        admitted = self.rows.classes.admit(facts.identity.name, name)
        model = self._with_version(facts, facts.model_attributes)
        attributes = {**model, semconv.PREDICTION_CLASS: admitted}
        if admitted == name:  # so that the cache holds no more than the admitted classes
            facts.class_attributes[name] = attributes
        return attributes

    def _with_version(
        self, facts: CallFacts, attributes: Mapping[str, AttributeValue]
    ) -> Mapping[str, AttributeValue]:
        """The attributes, with the version that stands for the model's."""
        version = facts.identity.version
        if version is None:
            return attributes
        admitted = self.rows.versions.admit(facts.identity.name, version)
        return (
            attributes if admitted == version else {**attributes, semconv.MODEL_VERSION: admitted}
        )


# Asking a meter twice for an observable instrument registers its callback twice, so each provider
# gets its instruments once, however often the process instruments and uninstruments.
_by_provider: Final[WeakKeyDictionary[MeterProvider, Instruments]] = WeakKeyDictionary()
_of_process: list[Instruments] = []


def instruments_of(provider: MeterProvider | None) -> Instruments:
    """The instruments of a meter provider, made at the first request.

    Args:
        provider: The provider; None for the process's own, whichever that will be.
    """
    if provider is None:
        if not _of_process:
            _of_process.append(Instruments(None))
        return _of_process[0]
    instruments = _by_provider.get(provider)
    if instruments is None:
        instruments = _by_provider[provider] = Instruments(provider)
    return instruments


def count_dropped(site: str) -> None:
    """Count an inference that got no span."""
    _dropped.add(site)


def dropped_counts() -> dict[str, int]:
    """Inferences without a span, by the site that dropped them, since the process started."""
    return _dropped.snapshot()


def _by_site(counts: Mapping[str, int]) -> Iterable[Observation]:
    return [Observation(n, {semconv.TELEMETRY_SITE: site}) for site, n in counts.items()]


def _histogram(meter: Meter, metric: semconv.Metric) -> Histogram:
    return meter.create_histogram(
        metric.name,
        unit=metric.unit,
        description=metric.description,
        explicit_bucket_boundaries_advisory=metric.boundaries,
    )


def _counter(meter: Meter, metric: semconv.Metric) -> Counter:
    return meter.create_counter(metric.name, unit=metric.unit, description=metric.description)


def _observable(
    meter: Meter,
    metric: semconv.Metric,
    callback: Callable[[CallbackOptions], Iterable[Observation]],
) -> None:
    meter.create_observable_counter(
        metric.name, callbacks=[callback], unit=metric.unit, description=metric.description
    )
