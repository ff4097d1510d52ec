"""What an inference records on its instruments, as an SDK reads it."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest
from opentelemetry.context import Context
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import INVALID_SPAN

import keras_otel
from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel.decoding.decode import decode
from keras_otel.decoding.heads import Embedding, Multiclass, Multilabel, Scale
from keras_otel.introspection.call_facts import call_facts
from keras_otel.metrics import Instruments, count_dropped, instruments_of
from keras_otel.records import Evaluation, Inference, ModelIdentity, UpstreamPrediction

IDENTITY = ModelIdentity(name="intent", version="v1", fingerprint="sha256:9f2c01ab34de")
FACTS = call_facts(
    operation="predict",
    identity=IDENTITY,
    model_class="Functional",
    precision="float32",
    runtime=("keras", "jax", "3.15.1"),
)
MODEL = {"keras.model.name": "intent", "keras.model.version": "v1"}
HEAD = Multiclass(scale=Scale.PROBABILITY, labels=("refund", "order"))


def inference(*outputs, duration_s=0.002, error=None):
    """An inference with these outputs."""
    return Inference(
        operation="predict",
        identity=IDENTITY,
        model_class="Functional",
        runtime="keras",
        backend="jax",
        start_ns=0,
        duration_s=duration_s,
        rows=outputs[0].rows if outputs else None,
        cold=False,
        outputs=outputs,
        error=error,
    )


def record(providers, *outputs, span=INVALID_SPAN, **facts):
    """Record an inference with these outputs."""
    instruments_of(providers.meter_provider).record(inference(*outputs, **facts), FACTS, span)


def counts(providers) -> dict[str | None, int]:
    """Rows by class."""
    points = providers.metrics().get("keras.predictions", [])
    return {point.attributes.get("keras.prediction.class"): point.value for point in points}


def test_every_instrument_is_exported_as_described(providers):
    """Names, units, descriptions and kinds are those of the conventions."""
    record(providers, decode(HEAD, np.array([[0.9, 0.1]])))
    instruments_of(providers.meter_provider).count_evaluation(
        Evaluation(name="faithfulness", passed=False),
        [UpstreamPrediction(model="intent", version="v1", class_name="refund", confidence=0.9)],
        Context(),
    )
    count_dropped("test")
    guarded("test", lambda: 1 / 0)

    data = providers.reader.get_metrics_data()
    scope = data.resource_metrics[0].scope_metrics[0]

    assert (scope.scope.name, scope.scope.version) == ("keras_otel", keras_otel.__version__)
    exported = {metric.name: metric for metric in scope.metrics}
    assert set(exported) == set(semconv.METRICS)
    for name, metric in exported.items():
        described = semconv.METRICS[name]
        assert (metric.unit, metric.description) == (described.unit, described.description)
        kind = {"Histogram": "histogram", "Sum": "counter"}[type(metric.data).__name__]
        assert kind == described.kind
        for point in metric.data.data_points:
            assert set(point.attributes) <= set(described.attributes)
        if kind == "histogram":
            assert metric.data.data_points[0].explicit_bounds == described.boundaries
        else:
            assert metric.data.is_monotonic


def test_an_inference_has_its_duration(providers):
    """The duration is in seconds, by operation, model, backend and runtime."""
    record(providers, decode(HEAD, np.array([[0.9, 0.1]])), duration_s=0.003)

    (point,) = providers.metrics()["keras.inference.duration"]
    assert point.attributes == {
        **MODEL,
        "keras.operation.name": "predict",
        "keras.backend.name": "jax",
        "keras.runtime.name": "keras",
    }
    assert (point.count, point.sum) == (1, 0.003)
    assert point.bucket_counts[semconv.DURATION.boundaries.index(0.005)] == 1


def test_rows_and_confidences_are_recorded_by_class(providers):
    """Each row of a listed batch counts in its class and has its confidence."""
    record(providers, decode(HEAD, np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])))
    record(providers, decode(HEAD, np.array([[0.6, 0.4]])))

    metrics = providers.metrics()
    confidences = {
        point.attributes["keras.prediction.class"]: (point.count, point.sum)
        for point in metrics["keras.prediction.confidence"]
    }
    assert {
        point.attributes["keras.prediction.class"]: point.value
        for point in metrics["keras.predictions"]
    } == {
        "refund": 3,
        "order": 1,
    }
    assert confidences == {
        "refund": (3, pytest.approx(2.2)),
        "order": (1, pytest.approx(0.8)),
    }
    for point in [*metrics["keras.predictions"], *metrics["keras.prediction.confidence"]]:
        assert point.attributes.items() >= MODEL.items()


def test_a_large_batch_counts_all_rows_and_samples_confidences(providers):
    """Beyond `max_rows` every row counts, and one of them stands for the confidence."""
    record(providers, decode(HEAD, np.tile([[0.9, 0.1]], (1000, 1))))

    metrics = providers.metrics()
    assert metrics["keras.predictions"][0].value == 1000
    assert metrics["keras.prediction.confidence"][0].count == 1


def test_rows_without_a_class_count_too(providers):
    """Embeddings count as rows, without the attribute for a class and without a confidence."""
    record(providers, decode(Embedding(), np.ones((5, 3))))

    metrics = providers.metrics()
    (point,) = metrics["keras.predictions"]
    assert (point.attributes, point.value) == (MODEL, 5)
    assert "keras.prediction.confidence" not in metrics


def test_labels_of_a_multilabel_row_count_each(providers):
    """A row counts once for each of its labels."""
    head = Multilabel(scale=Scale.PROBABILITY, labels=("toxic", "insult", "threat"))
    record(providers, decode(head, np.array([[0.9, 0.8, 0.1], [0.9, 0.2, 0.1]])))

    assert counts(providers) == {"toxic": 2, "insult": 1}


def test_every_output_is_counted(providers):
    """A model with several outputs counts the rows of each."""
    outputs = [
        decode(HEAD, np.array([[0.9, 0.1]]), output="topic"),
        decode(Embedding(), np.ones((1, 3)), output="vector"),
    ]
    record(providers, *outputs)

    assert counts(providers) == {"refund": 1, None: 1}


def test_classes_beyond_64_share_one_name(providers):
    """The first 64 classes of a model keep their names, in both metrics, and no row is lost."""
    head = Multiclass(scale=Scale.PROBABILITY)
    for first in range(0, 100, 10):
        record(providers, decode(head, np.eye(100)[first : first + 10]))
    record(providers, decode(head, np.eye(100)[[0, 99]]))

    by_class = counts(providers)
    assert len(by_class) == 65
    assert by_class.pop("__other__") == 37
    assert by_class.pop("0") == 2
    assert by_class == {str(number): 1 for number in range(1, 64)}
    confidences = {
        point.attributes["keras.prediction.class"]: point.count
        for point in providers.metrics()["keras.prediction.confidence"]
    }
    assert confidences["__other__"] == 37
    assert len(confidences) == 65


def test_versions_beyond_64_share_one_name(providers):
    """A model retrained without end keeps 64 versions in every metric, and no row is lost."""
    instruments = instruments_of(providers.meter_provider)
    for number in [*range(100), 0, 99]:
        identity = ModelIdentity(name="retrained", version=f"sha256:{number:012x}")
        facts = call_facts(
            operation="predict",
            identity=identity,
            model_class="Functional",
            precision=None,
            runtime=("keras", "jax", "3.15.1"),
        )
        for _ in range(2):
            made = inference(decode(HEAD, np.array([[0.9, 0.1]])))
            instruments.record(made, facts, INVALID_SPAN)
        upstream = UpstreamPrediction(model="retrained", version=identity.version)
        instruments.count_evaluation(Evaluation(name="faithful"), [upstream], Context())
    instruments.record(inference(error=ValueError("bad shape")), facts, INVALID_SPAN)
    record(providers, decode(HEAD, np.array([[0.9, 0.1]])))

    metrics = providers.metrics()
    for name, times in [
        ("keras.predictions", 2),
        ("keras.prediction.confidence", 2),
        ("keras.inference.duration", 2),
        ("keras.evaluations", 1),
    ]:
        counted = {
            point.attributes["keras.model.version"]: getattr(point, "count", None) or point.value
            for point in metrics[name]
            if point.attributes["keras.model.name"] == "retrained"
            and "error.type" not in point.attributes
        }
        assert len(counted) == 65
        assert counted.pop("__other__") == 37 * times
        assert counted.pop(f"sha256:{0:012x}") == 2 * times
        assert set(counted.values()) == {times}
    failed = [p for p in metrics["keras.inference.duration"] if "error.type" in p.attributes]
    assert [p.attributes["keras.model.version"] for p in failed] == ["__other__"]
    others = [p for p in metrics["keras.predictions"] if p.attributes.items() >= MODEL.items()]
    assert [p.value for p in others] == [1]


def test_a_failed_inference_counts_no_prediction(providers):
    """A failure has a duration with its type, and neither a row nor a confidence."""
    record(providers, decode(HEAD, np.array([[0.9, 0.1]])), error=ValueError("bad shape"))

    metrics = providers.metrics()
    (point,) = metrics["keras.inference.duration"]
    assert point.attributes["error.type"] == "ValueError"
    assert "keras.predictions" not in metrics
    assert "keras.prediction.confidence" not in metrics


def test_exemplars_lead_to_the_trace(providers):
    """Both histograms keep the trace and span of an inference beside its bucket."""
    span = providers.tracer_provider.get_tracer("test").start_span("predict intent")
    span.end()
    record(providers, decode(HEAD, np.array([[0.9, 0.1]])), span=span)

    metrics = providers.metrics()
    for name in ("keras.inference.duration", "keras.prediction.confidence"):
        (exemplar,) = metrics[name][0].exemplars
        assert exemplar.trace_id == span.get_span_context().trace_id
        assert exemplar.span_id == span.get_span_context().span_id


def test_a_provider_has_its_instruments_once(providers, caplog):
    """Twenty cycles of instrumenting register no callback twice, so that rows count once."""
    with caplog.at_level(logging.WARNING):
        for _ in range(20):
            providers.instrument()
            record(providers, decode(HEAD, np.array([[0.9, 0.1]])))
            keras_otel.uninstrument()

    assert counts(providers) == {"refund": 20}
    assert caplog.messages == []
    assert instruments_of(providers.meter_provider) is instruments_of(providers.meter_provider)


def test_errors_and_drops_of_the_telemetry_are_metrics(providers):
    """What the guard keeps and the queue drops is counted by site."""
    instruments_of(providers.meter_provider)

    def by_site(name: str, site: str) -> int:
        points = providers.metrics().get(name, [])
        return sum(p.value for p in points if p.attributes == {"keras.telemetry.site": site})

    errors = by_site("keras.telemetry.errors", "here")
    drops = by_site("keras.telemetry.dropped", "there")
    guarded("here", lambda: 1 / 0)
    guarded("here", lambda: 1 / 0)
    count_dropped("there")

    assert by_site("keras.telemetry.errors", "here") == errors + 2
    assert by_site("keras.telemetry.dropped", "there") == drops + 1


def test_threads_lose_no_row(providers):
    """Eight threads that record at once count every row."""
    decoded = decode(HEAD, np.array([[0.9, 0.1], [0.2, 0.8]]))
    start = threading.Barrier(8)

    def run() -> None:
        start.wait()
        for _ in range(100):
            record(providers, decoded)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    metrics = providers.metrics()
    assert {p.value for p in metrics["keras.predictions"]} == {800}
    assert metrics["keras.inference.duration"][0].count == 800


def test_a_dropped_provider_is_forgotten():
    """Instruments do not keep the provider that they were made for."""
    meters = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    reference = weakref.ref(meters)
    instruments_of(meters)
    meters.shutdown()
    del meters
    gc.collect()

    assert reference() is None


def test_a_given_provider_is_read_and_none_is_not(providers):
    """Instruments of an SDK are read; those of a provider that does nothing are not."""
    assert Instruments(providers.meter_provider).are_read()
    assert not Instruments(NoOpMeterProvider()).are_read()


PROCESS = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from keras_otel.metrics import instruments_of

own = instruments_of(None)
assert not own.are_read(), "no SDK is set up yet"
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
assert own.are_read(), "the SDK that was set later reads them"
assert instruments_of(None) is own
own._duration.record(0.5)
(scope,) = reader.get_metrics_data().resource_metrics[0].scope_metrics
assert [metric.name for metric in scope.metrics] == ["keras.inference.duration"]
"""


def test_the_process_own_provider_may_come_later():
    """Without an SDK nothing is read; one that is set later gets what is recorded then."""
    subprocess.run([sys.executable, "-W", "error", "-c", PROCESS], check=True, timeout=60)
