"""Measure time and memory of `keras-otel slice` on many spans.

    python benchmarks/slice_scale.py [--traces N] [--lines N] [--runs N] [--json FILE]

Parquet: an inference span, an LLM span that carries its prediction, and an evaluation for each of 5 million
traces. OTLP JSON lines: a million spans as the SDK's file exporter writes them, the evaluation as an event. Each
is sliced by the command itself, in a process of its own; the memory is the peak of its largest process.
All slices: every slice of up to three of 14 features over 32 000 ready rows, tested, from cells that are there.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import ibis
import numpy as np
import pyarrow as pa

from keras_otel import semconv
from keras_otel.analysis.aggregation.cells import cells_by_family
from keras_otel.analysis.aggregation.features import Feature
from keras_otel.analysis.slices.candidates import candidates, support_of
from keras_otel.analysis.slices.comparison import compare
from keras_otel.analysis.slices.sums import Summing

START_NS = 1_780_000_000_000_000_000
CLASSES = ("refund", "order", "shipping", "account", "other")
SPANS_A_LINE = 50

_SPANS = f"""
COPY (
  WITH trace AS (
    SELECT i, lower(printf('%032x', hash(i))) AS trace_id,
      {list(CLASSES)!r}[1 + (hash(i, 1) % 5)::INT] AS class,
      'v' || (1 + hash(i, 2) % 3)::VARCHAR AS version,
      0.5 + (hash(i, 3) % 500) / 1000.0 AS confidence,
      0.001 * (1 + hash(i, 4) % 40) AS duration_s
    FROM range({{count}}) r(i))
  SELECT trace_id, printf('%016x', 2 * i + kind + 1) AS span_id,
    {START_NS} + i * 1000000 + kind * 60000000 AS start_ns,
    CASE kind WHEN 0 THEN (duration_s * 1e9)::BIGINT ELSE 900000000 END AS duration_ns,
    CASE kind WHEN 0 THEN 'intent' END AS "{semconv.MODEL_NAME}",
    CASE kind WHEN 0 THEN version END AS "{semconv.MODEL_VERSION}",
    CASE kind WHEN 0 THEN 'sha256:' || version END AS "{semconv.MODEL_FINGERPRINT}",
    CASE kind WHEN 0 THEN 'tensorflow' END AS "{semconv.BACKEND_NAME}",
    CASE kind WHEN 0 THEN 'keras' END AS "{semconv.RUNTIME_NAME}",
    CASE kind WHEN 0 THEN duration_s END AS "{semconv.INFERENCE_DURATION}",
    CASE kind WHEN 0 THEN class END AS "{semconv.PREDICTION_CLASS}",
    CASE kind WHEN 0 THEN confidence END AS "{semconv.PREDICTION_CONFIDENCE}",
    CASE kind WHEN 1 THEN MAP {{{{
      '{semconv.upstream_key("intent", "class")}': class,
      '{semconv.upstream_key("intent", "version")}': version}}}} END AS upstream,
    CASE kind WHEN 1 THEN MAP {{{{'gen_ai.request.model': 'm'}}}} END AS attributes
  FROM trace, range(2) k(kind)
) TO '{{path}}' (FORMAT parquet)
"""

_EVALUATIONS = f"""
COPY (
  SELECT lower(printf('%032x', hash(i))) AS trace_id, printf('%016x', 2 * i + 2) AS span_id,
    'correct' AS name, (hash(i, 9) % 100) >= 10 AS passed, {START_NS} + i * 1000000 AS time_ns
  FROM range({{count}}) r(i) WHERE hash(i, 8) % 10 > 0
) TO '{{path}}' (FORMAT parquet)
"""


def write_parquet(folder: Path, traces: int) -> list[Path]:
    """Write two spans for each trace, and an evaluation for nine of ten."""
    spans, evaluations = folder / "spans.parquet", folder / "evaluations.parquet"
    with duckdb.connect() as connection:
        connection.execute(_SPANS.format(count=traces, path=spans))
        connection.execute(_EVALUATIONS.format(count=traces, path=evaluations))
    return [spans, evaluations]


def write_lines(folder: Path, spans: int) -> list[Path]:
    """Write OTLP JSON lines of many spans each, as the Collector does."""
    path = folder / "traces.jsonl"
    rng = np.random.default_rng(0)
    traces = spans // 2
    chosen, versions = rng.integers(0, 5, traces), rng.integers(1, 4, traces)
    confidences, passed = rng.random(traces) / 2 + 0.5, rng.random(traces) > 0.1
    with path.open("w", encoding="utf-8") as file:
        for first in range(0, traces, SPANS_A_LINE // 2):
            spans_of_line = []
            for i in range(first, min(first + SPANS_A_LINE // 2, traces)):
                prediction = (CLASSES[chosen[i]], f"v{versions[i]}", float(confidences[i]))
                spans_of_line += _spans_of(i, prediction, bool(passed[i]))
            resource_ = {"attributes": [_attribute("service.name", "router")]}
            scope = {"scope": {"name": "app"}, "spans": spans_of_line}
            document = {"resourceSpans": [{"resource": resource_, "scopeSpans": [scope]}]}
            file.write(json.dumps(document) + "\n")
    return [path]


def _spans_of(i: int, prediction: tuple[str, str, float], is_passed: bool) -> list[dict[str, Any]]:  # noqa: FBT001 - one of the row's values
    class_name, version, confidence = prediction
    trace_id, start = f"{i + 1:032x}", START_NS + i * 1_000_000
    inference = {
        semconv.MODEL_NAME: "intent",
        semconv.MODEL_VERSION: version,
        semconv.BACKEND_NAME: "tensorflow",
        semconv.PREDICTION_CLASS: class_name,
        semconv.PREDICTION_CONFIDENCE: confidence,
    }
    stamps = {
        "gen_ai.request.model": "m",
        semconv.upstream_key("intent", "class"): class_name,
        semconv.upstream_key("intent", "version"): version,
    }
    verdict = {semconv.EVALUATION_NAME: "correct", semconv.EVALUATION_PASSED: is_passed}
    event = {
        "name": semconv.EVALUATION_EVENT.name,
        "timeUnixNano": str(start),
        "attributes": _attributes(verdict),
    }
    return [
        _span(trace_id, 2 * i + 1, "predict intent", (start, start + 2_000_000), inference),
        {
            **_span(trace_id, 2 * i + 2, "chat m", (start + 3_000_000, start + 9_000_000), stamps),
            "events": [event],
        },
    ]


def _span(
    trace_id: str, span_id: int, name: str, times: tuple[int, int], attributes: dict[str, Any]
) -> dict[str, Any]:
    return {
        "traceId": trace_id,
        "spanId": f"{span_id:016x}",
        "name": name,
        "kind": 1,
        "startTimeUnixNano": str(times[0]),
        "endTimeUnixNano": str(times[1]),
        "attributes": _attributes(attributes),
        "status": {},
    }


def _attributes(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [_attribute(key, value) for key, value in attributes.items()]


def _attribute(key: str, value: object) -> dict[str, Any]:
    kind = {bool: "boolValue", float: "doubleValue"}.get(type(value), "stringValue")
    return {"key": key, "value": {kind: value}}


def timed(paths: Sequence[Path], runs: int) -> dict[str, Any]:
    """Slice the files by the command: seconds (median) and the largest process's peak memory so far."""
    command = [sys.executable, "-m", "keras_otel.cli", "slice", *map(str, paths)]
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run(
            [*command, "--format", "json", "-o", os.devnull], check=True, stdin=subprocess.DEVNULL
        )
        seconds.append(time.perf_counter() - started)
    peak_kb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {"seconds": statistics.median(seconds), "peak_gb": peak_kb / 2**20}


def all_slices(runs: int) -> dict[str, Any]:
    """Measure the time for all slices of up to three of 14 features over 32 000 rows, and count them."""
    rng = np.random.default_rng(0)
    rows = 32_000
    data = {f"f{n}": rng.integers(0, 2 + n % 5, rows).astype(str) for n in range(14)}
    table = ibis.duckdb.connect().create_table(
        "rows",
        pa.table(
            {
                **data,
                "failed": rng.random(rows) < 0.1,
                "error": np.zeros(rows, bool),
                "weight": np.ones(rows),
                "count": np.ones(rows, "int64"),
                "model": ["m"] * rows,
                "eval": ["e"] * rows,
            }
        ),
    )
    features = [
        Feature(name=name, values=tuple(sorted(set(values)))) for name, values in data.items()
    ]
    ((_, _, cells),) = cells_by_family(table, features, is_clustered=False, is_weighted=False)
    seconds = []
    for _ in range(max(runs, 3)):
        started = time.perf_counter()
        summing = Summing(cells)
        slices = candidates(cells, summing, support=support_of(float(summing.all.rows[0]), None))
        compare(slices.sums, summing.all, is_exact=True)
        seconds.append(time.perf_counter() - started)
    return {"seconds": statistics.median(seconds), "slices": len(slices), "cells": len(cells.rows)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the data, slice it, print the figures."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--traces", type=int, default=5_000_000, help="in Parquet, of two spans")
    options.add_argument("--lines", type=int, default=1_000_000, help="spans in OTLP JSON lines")
    options.add_argument("--runs", type=int, default=3, help="runs of each (default: 3)")
    options.add_argument("--json", type=Path, help="write the figures there too")
    parsed = options.parse_args(arguments)
    slices = all_slices(parsed.runs)
    report: dict[str, Any] = {"all_slices": slices}
    print(
        f"all {slices['slices']:,} slices over {slices['cells']:,} cells: {slices['seconds']:.2f} s",
        flush=True,
    )
    with tempfile.TemporaryDirectory(prefix="slice-scale-") as folder:
        for name, write, count in (
            ("lines", write_lines, parsed.lines),
            ("parquet", write_parquet, parsed.traces),
        ):
            paths = write(Path(folder), count)
            report[name] = figures = timed(paths, parsed.runs)
            noun = "spans of OTLP JSON lines" if name == "lines" else "traces of Parquet"
            print(
                f"{count:,} {noun}: {figures['seconds']:.1f} s, {figures['peak_gb']:.1f} GB",
                flush=True,
            )
    if parsed.json is not None:
        parsed.json.write_text(json.dumps(report, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
