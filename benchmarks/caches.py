"""The same span after different neighbours: how much of the overhead is cold caches.

    python benchmarks/caches.py

Times the call `ready` of `overhead.py`, so that nothing but what keras_otel adds is in it, right
after doing nothing, after a short sleep, and after TensorFlow has run.
"""

from __future__ import annotations

import logging
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

# Before TensorFlow is imported: its start-up notes would bury the table.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from opentelemetry.instrumentation.utils import suppress_instrumentation
from overhead import Bench

ROUNDS = 7
CALLS = 50
VARIANTS = ("spans", "metrics", "unsampled", "no_sdk")


def measure(bench: Bench, variant: str, before: Callable[[], Any]) -> float:
    """Median time of one call, µs."""
    x = bench.input("ready", 1)
    function = bench.ours("ready")
    times = []
    with bench.instrumented(variant):
        function(x)
        for _ in range(CALLS):
            with suppress_instrumentation():
                before()
            started = time.perf_counter_ns()
            function(x)
            times.append(time.perf_counter_ns() - started)
    return statistics.median(times) / 1e3


def main() -> None:
    """Print one line for each neighbour."""
    logging.getLogger("keras_otel").setLevel(logging.ERROR)
    bench = Bench()
    rows = bench.input("predict_on_batch", 1)
    neighbours: dict[str, Callable[[], Any]] = {
        "nothing": lambda: None,
        "sleep 0.2 ms": lambda: time.sleep(0.0002),
        "predict_on_batch": lambda: bench.model.predict_on_batch(rows),
    }
    figures: dict[tuple[str, str], list[float]] = {}
    for _ in range(ROUNDS):
        for name, before in neighbours.items():
            for variant in VARIANTS:
                figures.setdefault((name, variant), []).append(measure(bench, variant, before))
    print(f"{'before it':18}" + "".join(f"{variant:>12}" for variant in VARIANTS))
    for name in neighbours:
        values = [statistics.median(figures[name, variant]) for variant in VARIANTS]
        print(f"{name:18}" + "".join(f"{value:12.1f}" for value in values))


if __name__ == "__main__":
    main()
