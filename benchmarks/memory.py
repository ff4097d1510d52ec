"""Does memory stay flat? Many inferences of a tiny model, with spans and metrics.

    python benchmarks/memory.py [--inferences N] [--bound KIB] [--tracemalloc] [--json FILE]

Exit code 1 if resident memory grows by more than the bound per 10 000 inferences after warm-up.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before TensorFlow is imported: its start-up notes would bury the figures.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import subject
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import keras_otel

SAMPLES = 100
WARM_UP_SHARE = 0.25
"""The allocator's pools and the span queue fill up first; growth is judged on what follows."""
BOUND_KIB = 64.0
"""Growth per 10 000 inferences that passes: 6.5 bytes each, less than any object kept by mistake."""


def resident_kib() -> float:
    """Resident memory of this process."""
    try:
        import psutil
    except ImportError:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return float(status.partition("VmRSS:")[2].split()[0])
    return float(psutil.Process().memory_info().rss) / 1024


def python_kib() -> float:
    """What Python itself has allocated since tracing began, without what only waits to be freed."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0] / 1024


def sample(call: Callable[[], Any], inferences: int, read: Callable[[], float]) -> list[float]:
    """Memory after each equal part of the inferences."""
    readings = []
    for _ in range(SAMPLES):
        for _ in range(inferences // SAMPLES):
            call()
        readings.append(read())
    return readings


def growth(readings: list[float], inferences: int) -> float:
    """Slope per 10 000 inferences after warm-up, by Theil and Sen.

    The median of all pairwise slopes: one step of the allocator does not tilt it, as it would
    tilt a least-squares line.
    """
    steady = readings[int(len(readings) * WARM_UP_SHARE) :]
    slopes = [
        (later - earlier) / (j - i)
        for i, earlier in enumerate(steady)
        for j, later in enumerate(steady)
        if j > i
    ]
    return statistics.median(slopes) * 10_000 / (inferences / len(readings))


def measure(inferences: int, *, is_python_only: bool) -> dict[str, Any]:
    """Run the inferences and return the readings in KiB."""
    model = keras_otel.describe(subject.classifier(), version="1", labels=subject.LABELS)
    function = keras_otel.traced(subject.compiled(model), model)
    x = np.random.default_rng(5).random((1, subject.INPUTS), dtype=np.float32)
    reader = InMemoryMetricReader()
    keras_otel.instrument(
        tracer_provider=subject.tracer_provider(), meter_provider=MeterProvider([reader])
    )
    function(x)

    def read() -> float:
        reader.get_metrics_data()  # collected regularly, as a periodic reader would
        return python_kib() if is_python_only else resident_kib()

    if is_python_only:
        tracemalloc.start()
    started = time.perf_counter()
    readings = sample(lambda: function(x), inferences, read)
    elapsed_s = time.perf_counter() - started
    keras_otel.uninstrument()
    return {
        "inferences": inferences,
        "seconds": round(elapsed_s, 1),
        "measure": "python" if is_python_only else "resident",
        "kib": [round(reading, 1) for reading in readings],
        "growth_kib_per_10000": round(growth(readings, inferences), 2),
        "machine": subject.machine(),
    }


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inferences", type=int, default=200_000, help="default %(default)s")
    parser.add_argument(
        "--bound",
        type=float,
        default=BOUND_KIB,
        metavar="KIB",
        help="per 10 000, default %(default)s",
    )
    parser.add_argument(
        "--tracemalloc", action="store_true", help="count Python's own allocations instead (slower)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all readings there")
    options = parser.parse_args()
    if options.inferences < 10 * SAMPLES:
        parser.error(f"--inferences must be at least {10 * SAMPLES}")
    report = measure(options.inferences, is_python_only=options.tracemalloc)
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    readings, slope = report["kib"], report["growth_kib_per_10000"]
    for share in (0, int(SAMPLES * WARM_UP_SHARE), SAMPLES // 2, SAMPLES - 1):
        done = (share + 1) * options.inferences // SAMPLES
        print(f"after {done:8} inferences: {readings[share]:12.1f} KiB")
    is_flat = slope <= options.bound
    print(
        f"{report['measure']} memory after warm-up: {slope:+.2f} KiB per 10 000 inferences, "
        f"at most {options.bound:g}: {'flat' if is_flat else 'GROWS'} ({report['seconds']:.0f} s)"
    )
    return 0 if is_flat else 1


if __name__ == "__main__":
    sys.exit(main())
