"""pytest plugin: instrument the process, and look at where each span is made.

A span is wrong where a method that is no inference is on the Python stack, where another inference
is still open, and where a compiler is tracing.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

import keras_otel
from keras_otel import _guard

WATCH_VARIABLE = "KERAS_SUITE_WATCH"

NO_INFERENCE = frozenset(
    {
        "build",
        "build_from_config",
        "clone_model",
        "compile",
        "compute_output_spec",
        "evaluate",
        "export",
        "fit",
        "from_config",
        "load_model",
        "load_weights",
        "quantize",
        "save",
        "save_weights",
        "symbolic_call",
        "test_on_batch",
        "train_on_batch",
    }
)
"""Keras functions under which no span may be made."""

_KERAS = f"{os.sep}keras{os.sep}src{os.sep}"
_TESTS = "_test.py"
_OBSERVED = f"runtimes{os.sep}calls.py"


class Watch(logging.Handler):
    """Counts spans and keeps what is wrong with them, by test, and what keras_otel logs."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._log: list[str] = []
        self._path = path
        self._test = "<import>"
        self._spans: Counter[str] = Counter()
        self._by_test: Counter[str] = Counter()
        self._wrong: list[dict[str, str]] = []
        self._failures: list[dict[str, Any]] = []
        self._counts: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        self._log.append(self.format(record))

    def on_prediction(self, span: Any, inference: Any) -> None:
        self._spans[inference.operation] += 1
        self._by_test[self._test] += 1
        for reason in _reasons(sys._getframe(1), inference.operation):
            self._wrong.append({"test": self._test, "span": span.name, "reason": reason})

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._test = item.nodeid.partition("::")[2]
        try:
            return (yield)
        finally:
            self._note_failures()
            self._test = "<between tests>"

    def _note_failures(self) -> None:
        counts = _guard.failure_counts()
        for site, count in counts.items():
            new = count - self._counts.get(site, 0)
            if new:
                self._failures.append({"test": self._test, "site": site, "count": new})
        self._counts = counts

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._note_failures()
        record = {
            "spans": self._spans,
            "by_test": self._by_test,
            "wrong": self._wrong,
            "guard": self._failures,
            "log": self._log,
        }
        self._path.write_text(json.dumps(record), encoding="utf-8")


def _reasons(frame: FrameType | None, operation: str) -> Iterator[str]:
    if operation != "traced" and _is_tracing():
        yield "while tracing"
    open_inferences = 0
    while frame is not None:
        code = frame.f_code
        if code.co_filename.endswith(_OBSERVED) and code.co_name == "observed":
            open_inferences += 1
        if (
            code.co_name in NO_INFERENCE
            and _KERAS in code.co_filename
            and not code.co_filename.endswith(_TESTS)
        ):
            yield f"under {code.co_name}"
        frame = frame.f_back
    if open_inferences > 1:
        yield "inside another inference"


def _is_tracing() -> bool:
    tensorflow, jax = sys.modules.get("tensorflow"), sys.modules.get("jax")
    if tensorflow is not None and not tensorflow.executing_eagerly():
        return True
    # Under a trace every operation gives a tracer, whatever its arguments are.
    return jax is not None and isinstance(jax.numpy.add(1, 1), jax.core.Tracer)


def pytest_configure(config: pytest.Config) -> None:
    """Instrument before any test module imports Keras."""
    # At DEBUG the first failure behind the guard is logged with its traceback.
    logging.getLogger("keras_otel").setLevel(logging.DEBUG)
    watch = Watch(Path(os.environ[WATCH_VARIABLE]))
    logging.getLogger("keras_otel").addHandler(watch)
    keras_otel.instrument(
        record="inline",  # the hook looks at the frames of its caller
        tracer_provider=TracerProvider(),
        meter_provider=MeterProvider([InMemoryMetricReader()]),
        on_prediction=watch.on_prediction,
    )
    config.pluginmanager.register(watch, "judge watch")


def pytest_unconfigure() -> None:
    """Take the instrumentation out again."""
    keras_otel.uninstrument()
