"""What keras_otel adds to a call, beside a hand-written span with the same facts.

    python benchmarks/overhead.py [--json FILE] [--rounds N] [--calls N] [--quick] [--peers]

All variants run interleaved in one process: each round goes several times through all of them,
starting with another one each time, and times a short block of calls of each. What a variant adds
is the median over the rounds of its own median minus that of the bare call in the same round, so
that a machine which is slower for a while is slower for both.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

# Before TensorFlow is imported: its start-up notes would bury the table.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import by_hand
import numpy as np
import peers
import subject
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import keras_otel
from keras_otel._worker import flush_workers

CALLS = ("ready", "predict_on_batch", "call", "traced")
ROWS = (1, 256)
VARIANTS = (
    "bare",
    "manual",
    "spans",
    "metrics",
    "everything",
    "inline_spans",
    "inline_everything",
    "unsampled",
    "no_sdk",
    "uninstrumented",
)
IN_REQUEST = ("everything", "inline_everything")
"""Variants whose calls are each made in a request of their own, so that the prediction is published."""
LOADS = ("loop", "pauses", "threads")
THREADS = 16
PAUSE_S = 0.003
LEAST_ROUNDS = 7
PASSES = 5
"""Times that one round goes through all variants."""
WARM_UP = 10
"""Calls before each block: patching a class empties the interpreter's caches."""
FRAMEWORKS = ("keras", "tf_keras", "tensorflow", "jax", "torch")

_STATIC_FACTS = (
    "keras.operation.name",
    "keras.model.name",
    "keras.model.version",
    "keras.model.fingerprint",
    "keras.model.class",
    "keras.model.task",
    "keras.model.precision",
    "keras.version",
    "keras.backend.name",
    "keras.runtime.name",
)
"""What the hand-written span prepares ahead; the rest it reads from each result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is measured."""

    rounds: int = 15
    calls: int = 200
    predict_rows: int = 100_000
    predict_rounds: int = 9
    imports: int = 11


FULL = Effort()
QUICK = Effort(rounds=1, calls=10, predict_rows=1000, predict_rounds=1, imports=1)

Call = Callable[[Any], Any]
Around = Callable[[], AbstractContextManager[Any]]


class Bench:
    """One model, and each of its calls in each variant.

    Its call `ready` is a `traced` function whose result is there already: it takes no time of its
    own, so that nothing but what is added around it is timed.
    """

    def __init__(self) -> None:
        self.model = keras_otel.describe(
            subject.classifier(), version="2026-11-01", labels=subject.LABELS
        )
        self.provider = subject.tracer_provider()
        # keras_otel adds its processor to the provider it is given, and hand-written spans have none.
        self.plain_provider = subject.tracer_provider()
        meters = MeterProvider([InMemoryMetricReader()])
        self._options: dict[str, dict[str, Any]] = {
            "spans": {"tracer_provider": self.provider, "metrics": False},
            "metrics": {"tracer_provider": self.provider, "meter_provider": meters},
            "everything": {"tracer_provider": self.provider, "meter_provider": meters},
            "inline_spans": {
                "tracer_provider": self.provider,
                "metrics": False,
                "record": "inline",
            },
            "inline_everything": {
                "tracer_provider": self.provider,
                "meter_provider": meters,
                "record": "inline",
            },
            "unsampled": {
                "tracer_provider": subject.tracer_provider(ALWAYS_OFF),
                "metrics": False,
            },
            # No provider is set in this process, so this is a program without an SDK.
            "no_sdk": {},
        }
        model, function = self.model, subject.compiled(self.model)
        ready = model(self.input("ready", 1))
        self._bare: dict[str, Call] = {
            # Looked up at each call, as in a program: patching replaces it on the class.
            "predict_on_batch": lambda x: model.predict_on_batch(x),  # noqa: PLW0108
            "call": lambda x: model(x),  # noqa: PLW0108
            "traced": function,
            "ready": lambda _: ready,
        }
        self._ours = {
            **self._bare,
            "traced": keras_otel.traced(function, self.model),
            "ready": keras_otel.traced(self._bare["ready"], self.model),
        }

    def input(self, operation: str, rows: int) -> Any:
        """The same rows each time, as the call is fed in a service."""
        import keras

        x = np.random.default_rng(5).random((rows, subject.INPUTS), dtype=np.float32)
        return x if operation == "predict_on_batch" else keras.ops.convert_to_tensor(x)

    def manual(self, operation: str, x: Any) -> Call:
        """The hand-written span, with the unchanging facts of keras_otel's own."""
        ours = self._attributes_of_ours(operation, x)
        static = {key: ours[key] for key in _STATIC_FACTS}
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        by_hand.traced_by_hand(
            self._bare[operation], provider.get_tracer("by_hand"), static, subject.LABELS
        )(x)
        _check_same_facts(ours, dict(exporter.get_finished_spans()[0].attributes or {}))
        return by_hand.traced_by_hand(
            self._bare[operation], self.plain_provider.get_tracer("by_hand"), static, subject.LABELS
        )

    def _attributes_of_ours(self, operation: str, x: Any) -> dict[str, Any]:
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        keras_otel.instrument(tracer_provider=provider, metrics=False)
        try:
            self.ours(operation)(x)
        finally:
            keras_otel.uninstrument()
        return dict(exporter.get_finished_spans()[0].attributes or {})

    def ours(self, operation: str) -> Call:
        """The call as a program that uses keras_otel makes it."""
        return self._ours[operation]

    def bare(self, operation: str) -> Call:
        """The call as a program that does not know of keras_otel makes it."""
        return self._bare[operation]

    def flush(self) -> None:
        """Empty the queues: from a full one the SDK drops spans, and logs each, which takes long."""
        for provider in (self.provider, self.plain_provider):
            provider.force_flush()

    def around(self, variant: str) -> Around:
        """What each call of a variant is made in, and what is not timed."""
        if variant not in IN_REQUEST:
            return nullcontext
        tracer = self.provider.get_tracer("app")
        return lambda: tracer.start_as_current_span("request")

    @contextmanager
    def instrumented(self, variant: str) -> Iterator[None]:
        """The process as the variant has it."""
        self.flush()
        options = self._options.get(variant)
        if options is None:
            yield
            return
        keras_otel.instrument(**options)
        try:
            yield
        finally:
            keras_otel.uninstrument()


def _check_same_facts(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    if {k: type(v) for k, v in ours.items()} != {k: type(v) for k, v in theirs.items()}:
        difference = sorted(ours.keys() ^ theirs.keys())
        raise SystemExit(f"the hand-written span does not say the same: {difference}")


# -- one call ----------------------------------------------------------------------------------


class Figures(NamedTuple):
    """One variant in one round, µs for each call.

    Attributes:
        caller: Median of the time until the call returns.
        processor: Mean processor time of the process, until everything is recorded.
    """

    caller: float
    processor: float


Round = dict[str, Figures]


def case_rounds(bench: Bench, operation: str, rows: int, effort: Effort) -> list[Round]:
    """Measure each variant in each round."""
    x = bench.input(operation, rows)
    calls = {variant: bench.ours(operation) for variant in VARIANTS}
    calls["bare"] = bench.bare(operation)
    calls["bare"](x)
    calls["manual"] = bench.manual(operation, x)
    return [_round(bench, calls, x, number, effort.calls) for number in range(effort.rounds)]


def _round(bench: Bench, calls: dict[str, Call], x: Any, number: int, count: int) -> Round:
    samples: dict[str, list[int]] = {variant: [] for variant in VARIANTS}
    processor_ns = dict.fromkeys(VARIANTS, 0)
    count = max(1, count // PASSES)
    for turn in range(PASSES):
        shift = (number * PASSES + turn) % len(VARIANTS)
        for variant in VARIANTS[shift:] + VARIANTS[:shift]:
            with bench.instrumented(variant):
                around = bench.around(variant)
                samples[variant] += block(calls[variant], x, count, around)
                processor_ns[variant] += processor_time(calls[variant], x, count, around)
    return {
        variant: Figures(
            statistics.median(samples[variant]) / 1e3,
            processor_ns[variant] / 1e3 / (count * PASSES),
        )
        for variant in VARIANTS
    }


def block(call: Call, x: Any, count: int, around: Around = nullcontext) -> list[int]:
    """The time of each of `count` calls, ns, after some that are not counted."""
    for _ in range(WARM_UP):
        with around():
            call(x)
    clock = time.perf_counter_ns
    times = []
    for _ in range(count):
        with around():
            started = clock()
            call(x)
            times.append(clock() - started)
    return times


def processor_time(call: Call, x: Any, count: int, around: Around) -> int:
    """The processor time of `count` calls, ns, with all that is done for them in other threads.

    What surrounds them is taken out: it is measured alone and subtracted.
    """
    flush_workers(60.0)
    started = time.process_time_ns()
    for _ in range(count):
        with around():
            call(x)
    flush_workers(60.0)
    used = time.process_time_ns() - started
    started = time.process_time_ns()
    for _ in range(count):
        with around():
            pass
    return used - (time.process_time_ns() - started)


def summarise(operation: str, rows: int, rounds: list[Round]) -> list[dict[str, Any]]:
    """One line for each variant: medians over the rounds of figures paired within a round."""
    lines = []
    by_hand = [r["manual"].caller - r["bare"].caller for r in rounds]
    by_hand_processor = [r["manual"].processor - r["bare"].processor for r in rounds]
    for variant in VARIANTS:
        added = [r[variant].caller - r["bare"].caller for r in rounds]
        processor = [r[variant].processor - r["bare"].processor for r in rounds]
        lines.append(
            {
                "call": operation,
                "rows": rows,
                "variant": variant,
                "median_us": round(statistics.median(r[variant].caller for r in rounds), 2),
                "added_us": round(statistics.median(added), 2),
                "added_us_quartiles": quartiles(added),
                "ratio_to_manual": _ratio(added, by_hand),
                "processor_us": round(statistics.median(processor), 2),
                "processor_ratio_to_manual": _ratio(processor, by_hand_processor),
            }
        )
    return lines


def _ratio(values: list[float], unit: list[float]) -> float | None:
    ratios = [value / one for value, one in zip(values, unit, strict=True) if one > 0]
    return round(statistics.median(ratios), 2) if ratios else None


def quartiles(values: list[float]) -> list[float]:
    """The lower and the upper one; of a single value, itself twice."""
    if len(values) < 2:
        return [round(values[0], 2)] * 2
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return [round(low, 2), round(high, 2)]


# -- the slowest calls ---------------------------------------------------------------------------


def slowest_calls(bench: Bench, effort: Effort) -> list[dict[str, Any]]:
    """The 99th percentile of `predict_on_batch` of one row under three loads, µs."""
    x = bench.input("predict_on_batch", 1)
    calls = {
        "manual": bench.manual("predict_on_batch", x),
        "spans": bench.ours("predict_on_batch"),
        "everything": bench.ours("predict_on_batch"),
    }
    lines = []
    for load in LOADS:
        figures: dict[str, list[float]] = {variant: [] for variant in calls}
        for number in range(effort.rounds):
            for variant in sorted(calls, key=lambda name: (number + len(name)) % len(calls)):
                with bench.instrumented(variant):
                    times = _times_under(load, calls[variant], x, bench.around(variant), effort)
                figures[variant].append(float(np.percentile(times, 99)) / 1e3)
        ratios = {
            variant: _ratio(figures[variant], figures["manual"])
            for variant in ("spans", "everything")
        }
        p99 = {variant: round(statistics.median(values), 1) for variant, values in figures.items()}
        lines.append({"load": load, "p99_us": p99, "ratio_to_manual": ratios})
    return lines


def _times_under(load: str, call: Call, x: Any, around: Around, effort: Effort) -> list[int]:
    if load == "loop":
        return block(call, x, effort.calls, around)
    if load == "pauses":
        times = []
        for _ in range(max(1, effort.calls // 4)):
            time.sleep(PAUSE_S)
            times += block_of_one(call, x, around)
        return times
    with ThreadPoolExecutor(THREADS) as pool:
        each = max(1, effort.calls // THREADS)
        jobs = [pool.submit(block, call, x, each, around) for _ in range(THREADS)]
        return [duration for job in jobs for duration in job.result()]


def block_of_one(call: Call, x: Any, around: Around) -> list[int]:
    """The time of one call, ns, without any before it."""
    with around():
        started = time.perf_counter_ns()
        call(x)
        return [time.perf_counter_ns() - started]


# -- a long predict, and the import --------------------------------------------------------------


def predict_many(bench: Bench, effort: Effort, batch_size: int) -> dict[str, Any]:
    """What spans and metrics add to one `predict` of many rows."""
    x = bench.input("predict_on_batch", effort.predict_rows)
    times: dict[str, list[float]] = {"bare": [], "metrics": []}
    _predict_ms(bench, "bare", x, batch_size)
    for number in range(effort.predict_rounds):
        order = ("bare", "metrics") if number % 2 else ("metrics", "bare")
        for variant in order:
            times[variant].append(_predict_ms(bench, variant, x, batch_size))
    paired = list(zip(times["bare"], times["metrics"], strict=True))
    added = [100.0 * (ours - bare) / bare for bare, ours in paired]
    return {
        "rows": effort.predict_rows,
        "batch_size": batch_size,
        "bare_ms": round(statistics.median(times["bare"]), 2),
        "metrics_ms": round(statistics.median(times["metrics"]), 2),
        "added_ms": round(statistics.median(ours - bare for bare, ours in paired), 2),
        "added_percent": round(statistics.median(added), 2),
        "added_percent_quartiles": quartiles(added),
    }


def _predict_ms(bench: Bench, variant: str, x: Any, batch_size: int) -> float:
    with bench.instrumented(variant):
        started = time.perf_counter_ns()
        bench.model.predict(x, batch_size=batch_size, verbose=0)
        return (time.perf_counter_ns() - started) / 1e6


def import_cost(effort: Effort) -> dict[str, Any]:
    """What `import keras_otel` adds to a fresh interpreter, and which frameworks it imports."""
    program = f"import sys, keras_otel; print(*sorted({set(FRAMEWORKS)!r} & set(sys.modules)))"
    imported = _interpreter(program)[1].split()
    added = [
        _interpreter("import keras_otel")[0] - _interpreter("pass")[0]
        for _ in range(effort.imports)
    ]
    return {
        "import_ms": round(statistics.median(added), 1),
        "import_ms_quartiles": quartiles(added),
        "import_loads": imported,
    }


def _interpreter(program: str) -> tuple[float, str]:
    started = time.perf_counter_ns()
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return (time.perf_counter_ns() - started) / 1e6, done.stdout


# -- the report --------------------------------------------------------------------------------


def targets(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Each target, what was measured (the worst case where there are several), and whether it holds."""
    cases = report["cases"]
    checks = [
        ("spans only / hand-written", 0.25, _worst(cases, "spans", "ratio_to_manual")),
        ("everything / hand-written", 0.35, _worst(cases, "everything", "ratio_to_manual")),
        (
            "everything / hand-written, processor",
            1.2,
            _worst(cases, "everything", "processor_ratio_to_manual"),
        ),
        (
            "inline, spans only / hand-written",
            1.0,
            _worst(cases, "inline_spans", "ratio_to_manual"),
        ),
        (
            "inline, everything / hand-written",
            1.6,
            _worst(cases, "inline_everything", "ratio_to_manual"),
        ),
        ("unsampled, µs", 5.0, _worst(cases, "unsampled", "added_us")),
        *(
            (
                f"slowest calls, {line['load']}, / hand-written",
                1.0,
                line["ratio_to_manual"]["everything"],
            )
            for line in report["slowest_calls"]
        ),
        ("predict of 100 000 rows, %", 1.0, report["predict_100k"]["added_percent"]),
        ("import keras_otel, ms", 150.0, report["import_ms"]),
        ("frameworks imported by it", 0, len(report["import_loads"])),
    ]
    return [
        {
            "target": name,
            "at_most": limit,
            "measured": measured,
            "reached": measured is not None and measured <= limit,
        }
        for name, limit, measured in checks
    ]


def _worst(cases: list[dict[str, Any]], variant: str, key: str) -> float | None:
    values = [c[key] for c in cases if c["variant"] == variant and c[key] is not None]
    return max(values) if values else None


def show_case(lines: list[dict[str, Any]]) -> None:
    """Print one case as a table."""
    print(f"\n{lines[0]['call']}, {lines[0]['rows']} rows")
    print(
        f"  {'variant':18} {'median µs':>10} {'added µs':>10} {'quartiles':>18} {'/ manual':>9}"
        f" {'processor µs':>13} {'/ manual':>9}"
    )
    for line in lines:
        low, high = line["added_us_quartiles"]
        print(
            f"  {line['variant']:18} {line['median_us']:10.1f} {line['added_us']:10.1f} "
            f"{f'{low:.1f} to {high:.1f}':>18} {_shown(line['ratio_to_manual']):>9}"
            f" {line['processor_us']:13.1f} {_shown(line['processor_ratio_to_manual']):>9}",
            flush=True,
        )


def _shown(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def show_rest(report: dict[str, Any]) -> None:
    """Print everything but the cases."""
    for line in report["slowest_calls"]:
        shown = ", ".join(f"{name} {value:.0f}" for name, value in line["p99_us"].items())
        print(f"99th percentile of predict_on_batch, {line['load']}, µs: {shown}")
    predict = report["predict_100k"]
    low, high = predict["added_percent_quartiles"]
    print(
        f"\npredict of {predict['rows']} rows, batch size {predict['batch_size']}: "
        f"{predict['bare_ms']:.0f} ms bare, {predict['metrics_ms']:.0f} ms with spans and metrics, "
        f"{predict['added_percent']:+.2f} % (quartiles {low:+.2f} to {high:+.2f})"
    )
    print(
        f"import keras_otel: {report['import_ms']:.0f} ms, "
        f"imports {', '.join(report['import_loads']) or 'no framework'}\n"
    )
    for line in report["targets"]:
        verdict = "reached" if line["reached"] else "MISSED"
        print(
            f"  {line['target']:40} at most {line['at_most']:<6g} {line['measured']!s:>8}  {verdict}"
        )


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--rounds", type=int, default=FULL.rounds, help="default %(default)s")
    parser.add_argument(
        "--calls",
        type=int,
        default=FULL.calls,
        help="calls a variant and round, default %(default)s",
    )
    parser.add_argument("--only", choices=CALLS, action="append", help="measure only this call")
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS), help="default 1 256")
    parser.add_argument(
        "--predict-batch-size",
        type=int,
        default=32,
        help="of the long predict, default %(default)s",
    )
    parser.add_argument("--quick", action="store_true", help="one short round: shows that it runs")
    parser.add_argument("--peers", action="store_true", help="also run peers.py")
    options = parser.parse_args(arguments)
    if not options.quick and options.rounds < LEAST_ROUNDS:
        parser.error(
            f"--rounds must be at least {LEAST_ROUNDS}: fewer say nothing (or use --quick)"
        )
    if options.calls < PASSES or min(options.rows) < 1:
        parser.error(f"--calls must be at least {PASSES}, --rows at least 1")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the JSON file."""
    options = _parse(arguments)
    effort = QUICK if options.quick else Effort(rounds=options.rounds, calls=options.calls)
    # The variant without an SDK warns, as it should, that its spans go nowhere.
    logging.getLogger("keras_otel").setLevel(logging.ERROR)
    bench = Bench()
    report: dict[str, Any] = {"machine": subject.machine(), "cases": []}
    for operation in options.only or CALLS:
        for rows in options.rows[:1] if operation == "ready" else options.rows:
            lines = summarise(operation, rows, case_rounds(bench, operation, rows, effort))
            show_case(lines)
            report["cases"] += lines
    report["slowest_calls"] = slowest_calls(bench, effort)
    report["predict_100k"] = predict_many(bench, effort, options.predict_batch_size)
    report |= import_cost(effort)
    report["targets"] = targets(report)
    show_rest(report)
    if options.peers:
        report["peers"] = peers.measure_all(peers.PEERS)
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
