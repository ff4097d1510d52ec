"""Runs in a peer's own environment: what the peer adds to one small numpy function.

    python benchmarks/peer_probe.py NAME ROUNDS

Prints one line of JSON. The hand-written span is measured in the same process, interleaved, so
that the ratios of different peers can be compared. Needs the peer, numpy and opentelemetry-sdk.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import metadata

import numpy as np
from by_hand import traced_by_hand
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SpanExporter,
    SpanExportResult,
)

Call = Callable[[np.ndarray], np.ndarray]
Block = Callable[[], AbstractContextManager[object]]

CALLS = 60
"""Calls in a block. A round has `PASSES` blocks of each variant."""
PASSES = 5
WARM_UP = 10

_RNG = np.random.default_rng(5)
_WEIGHTS = _RNG.random((5, 10), dtype=np.float32)
_LABELS = [f"topic_{i}" for i in range(10)]
# As many as keras_otel's own span has.
_STATIC = {
    "keras.operation.name": "call",
    "keras.model.name": "intent",
    "keras.model.version": "2026-11-01",
    "keras.model.fingerprint": "sha256:9f2c01ab34de",
    "keras.model.class": "function",
    "keras.model.task": "multiclass",
    "keras.model.precision": "float32",
    "keras.version": "0",
    "keras.backend.name": "numpy",
    "keras.runtime.name": "numpy",
}


def classify(x: np.ndarray) -> np.ndarray:
    """One row of 5 numbers in, 10 probabilities out."""
    scores = x @ _WEIGHTS
    grown = np.exp(scores - scores.max(axis=1, keepdims=True))
    return grown / grown.sum(axis=1, keepdims=True)


class NullExporter(SpanExporter):
    """Counts spans and forgets them."""

    def __init__(self) -> None:
        self.exported = 0

    def export(self, spans: Sequence[object]) -> SpanExportResult:
        self.exported += len(spans)
        return SpanExportResult.SUCCESS


SINK = NullExporter()
"""Where a peer's own spans end, to see that there are any."""


def _provider(exporter: NullExporter) -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


# -- the peers, each as its documentation shows for a plain function -----------------------------


def openinference() -> tuple[Call, Block]:
    """`OITracer.chain` on an OpenTelemetry provider."""
    from openinference.instrumentation import OITracer, TraceConfig

    tracer = OITracer(_provider(SINK).get_tracer("peer"), config=TraceConfig())
    return tracer.chain(classify), nullcontext


def logfire() -> tuple[Call, Block]:
    """`logfire.instrument` with a null exporter in place of its own."""
    import logfire as peer

    peer.configure(
        send_to_logfire=False,
        console=False,
        metrics=False,
        inspect_arguments=False,
        additional_span_processors=[BatchSpanProcessor(SINK)],
    )
    return peer.instrument()(classify), nullcontext


def langfuse() -> tuple[Call, Block]:
    """`langfuse.observe` with a null exporter in place of its own."""
    import langfuse as peer

    peer.Langfuse(public_key="pk", secret_key="sk", span_exporter=SINK)
    return peer.observe()(classify), nullcontext


def mlflow() -> tuple[Call, Block]:
    """`mlflow.trace`, with nothing in place of the two requests to its tracking server."""
    import mlflow as peer
    from mlflow.entities.trace_location import MlflowExperimentLocation
    from mlflow.tracing.export.mlflow_v3 import MlflowV3SpanExporter

    def log_nothing(*_: object, **__: object) -> None:
        SINK.exported += 1

    MlflowV3SpanExporter._log_spans = log_nothing
    MlflowV3SpanExporter._log_trace = log_nothing
    peer.set_tracking_uri("http://127.0.0.1:9")
    peer.tracing.set_destination(MlflowExperimentLocation(experiment_id="0"))
    return peer.trace(classify), nullcontext


def ddtrace() -> tuple[Call, Block]:
    """`tracer.wrap` with a filter that drops each finished trace, so that no agent is needed."""
    from ddtrace.trace import TraceFilter, tracer

    class DropAll(TraceFilter):
        def process_trace(self, trace: list[object]) -> None:
            SINK.export(trace)

    tracer.configure(trace_processors=[DropAll()])
    return tracer.wrap("classify")(classify), nullcontext


def newrelic() -> tuple[Call, Block]:
    """`function_trace` in a background transaction for each block, in developer mode."""
    import newrelic.agent as peer

    peer.initialize()
    application = peer.register_application(timeout=10.0)

    @contextmanager
    def block() -> Iterator[None]:
        with peer.BackgroundTask(application, "block"):
            yield
            SINK.exported += peer.current_trace() is not None

    return peer.function_trace()(classify), block


_PEERS: dict[str, Callable[[], tuple[Call, Block]]] = {
    "openinference-instrumentation": openinference,
    "logfire": logfire,
    "langfuse": langfuse,
    "mlflow-tracing": mlflow,
    "ddtrace": ddtrace,
    "newrelic": newrelic,
}

# Read by the peers when they are imported; nothing of theirs may look for a server.
_ENVIRONMENT = {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_TRACE_STARTUP_LOGS": "false",
    "LANGFUSE_BASE_URL": "http://127.0.0.1:9",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "NEW_RELIC_DEVELOPER_MODE": "true",
    "NEW_RELIC_LICENSE_KEY": "0" * 40,
    "NEW_RELIC_APP_NAME": "benchmark",
    "NEW_RELIC_LOG": "stderr",
}


# -- measuring ---------------------------------------------------------------------------------


def measure(peer: str, rounds: int) -> dict[str, object]:
    """Medians over the rounds, paired within each round."""
    peer_call, peer_block = _PEERS[peer]()
    manual = traced_by_hand(
        classify, _provider(NullExporter()).get_tracer("by_hand"), _STATIC, _LABELS
    )
    variants: dict[str, tuple[Call, Block]] = {
        "bare": (classify, nullcontext),
        "manual": (manual, nullcontext),
        "peer": (peer_call, peer_block),
    }
    x = _RNG.random((1, 5), dtype=np.float32)
    if peer_call(x).shape != (1, 10):
        raise SystemExit(f"{peer} changed the function's result")
    figures = [_round(variants, x, number) for number in range(rounds)]
    if not SINK.exported:
        raise SystemExit(f"{peer} made no spans")
    added = {v: [f[v] - f["bare"] for f in figures] for v in ("manual", "peer")}
    return {
        "version": metadata.version(peer),
        "bare_us": round(statistics.median(f["bare"] for f in figures), 2),
        "manual_added_us": round(statistics.median(added["manual"]), 2),
        "added_us": round(statistics.median(added["peer"]), 2),
        "ratio_to_manual": round(
            statistics.median(p / m for p, m in zip(added["peer"], added["manual"], strict=True)),
            2,
        ),
    }


def _round(variants: dict[str, tuple[Call, Block]], x: np.ndarray, number: int) -> dict[str, float]:
    names = list(variants)
    samples: dict[str, list[int]] = {name: [] for name in names}
    for turn in range(PASSES):
        shift = (number + turn) % len(names)
        for name in names[shift:] + names[:shift]:
            call, block = variants[name]
            with block():
                samples[name] += _block(call, x)
    return {name: statistics.median(times) / 1e3 for name, times in samples.items()}


def _block(call: Call, x: np.ndarray) -> list[int]:
    for _ in range(WARM_UP):
        call(x)
    clock = time.perf_counter_ns
    times = []
    for _ in range(CALLS):
        started = clock()
        call(x)
        times.append(clock() - started)
    return times


if __name__ == "__main__":
    os.environ.update(_ENVIRONMENT)
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
    sys.stdout.flush()
    # Some peers would now wait for a server that is not there.
    os._exit(0)
