"""What carrying predictions to later spans costs, and evaluating those, beside a hand-written span.

    python benchmarks/propagation.py [--json FILE] [--rounds N] [--calls N] [--quick]

What a line adds is a difference, such as that of one span with keras_otel's processor and one
without. It is timed as in `overhead.py`: interleaved in one process, and formed within a round, as
is its ratio to a hand-written span of an inference. Beside the time of the clock stands that of the
processor, of all threads: on a shared machine it varies less.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

# Before TensorFlow is imported: its start-up notes would bury the table.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import subject
from in_request import GENAI, Requests
from overhead import (
    LEAST_ROUNDS,
    PASSES,
    QUICK,
    WARM_UP,
    Bench,
    Call,
    Effort,
    block,
    quartiles,
)

Block = Callable[[], AbstractContextManager[Call]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of the report: what `timed` takes beyond `base`.

    Attributes:
        name: What it is.
        timed: Opens the request and gives the call.
        base: The same without what is measured.
        by_hand: The same written by hand, where there is such a thing.
        at_most_us: Target, µs of processor time.
        at_most_ratio: Target, as a multiple of the hand-written span.
    """

    name: str
    timed: Block
    base: Block
    by_hand: Block | None = None
    at_most_us: float | None = None
    at_most_ratio: float | None = None


def cases_in(requests: Requests) -> list[Case]:
    """Return everything that is measured."""
    plain, stamping = requests.plain, requests.stamping
    span, evaluation, inference = requests.span, requests.evaluation, requests.inference
    return [
        Case(
            name="span, not stamped, no prediction",
            timed=partial(span, stamping, is_after_prediction=False),
            base=partial(span, plain, is_after_prediction=False),
            at_most_us=2.0,
        ),
        Case(
            name="span, not stamped, after a prediction",
            timed=partial(span, stamping),
            base=partial(span, plain),
            at_most_us=2.0,
        ),
        Case(
            name="GenAI span, stamped",
            timed=partial(span, stamping, GENAI),
            base=partial(span, plain, GENAI),
            at_most_us=8.0,
        ),
        *[
            Case(
                name=f"publication, depth {depth}",
                timed=partial(requests.publication, depth),
                base=requests.nothing,
            )
            for depth in (1, 8)
        ],
        *[
            Case(
                name=f"record_evaluation, {which} span",
                timed=partial(evaluation, is_ended=is_ended),
                base=requests.nothing,
                by_hand=partial(evaluation, is_ended=is_ended, is_by_hand=True),
            )
            for which, is_ended in (("current", False), ("ended", True))
        ],
        *[
            Case(
                name=f"inference, {operation}, everything on",
                timed=partial(inference, "ours", operation),
                base=partial(inference, "bare", operation),
                by_hand=partial(inference, "by_hand", operation),
                at_most_ratio=1.5,
            )
            for operation in ("ready", "predict_on_batch")
        ],
    ]


@dataclass(frozen=True, slots=True)
class Times:
    """What one call of a block takes in one round.

    Attributes:
        clock_us: The median of the calls' times, µs.
        processor_us: The processor time of all threads, over the number of calls, µs.
    """

    clock_us: float
    processor_us: float


def measure(case: Case, requests: Requests, effort: Effort) -> list[dict[str, Times]]:
    """Return the times of each block of a case in each round."""
    blocks: dict[str, Block] = {
        "base": case.base,
        "timed": case.timed,
        "span_base": partial(requests.inference, "bare"),
        "span": partial(requests.inference, "by_hand"),
    }
    if case.by_hand is not None:
        blocks["by_hand"] = case.by_hand
    return [_round(blocks, number, effort.calls) for number in range(effort.rounds)]


def _round(blocks: dict[str, Block], number: int, count: int) -> dict[str, Times]:
    names = list(blocks)
    samples: dict[str, list[int]] = {name: [] for name in names}
    processor_ns = dict.fromkeys(names, 0)
    calls = max(1, count // PASSES)
    for turn in range(PASSES):
        shift = (number * PASSES + turn) % len(names)
        for name in names[shift:] + names[:shift]:
            with blocks[name]() as call:
                started = time.process_time_ns()
                samples[name] += block(call, None, calls)
                processor_ns[name] += time.process_time_ns() - started
    timed_calls = PASSES * (calls + WARM_UP)
    return {
        name: Times(statistics.median(samples[name]) / 1e3, processor_ns[name] / timed_calls / 1e3)
        for name in names
    }


def summarise(case: Case, rounds: list[dict[str, Times]]) -> dict[str, Any]:
    """Return the line of a case: medians over the rounds of figures paired within a round."""
    added = _added(rounds, "timed", "base")
    processor = [r["timed"].processor_us - r["base"].processor_us for r in rounds]
    spans = _added(rounds, "span", "span_base")
    line: dict[str, Any] = {
        "case": case.name,
        "added_us": round(statistics.median(added), 2),
        "added_us_quartiles": quartiles(added),
        "added_processor_us": round(statistics.median(processor), 2),
        "added_processor_us_quartiles": quartiles(processor),
        "span_us": round(statistics.median(spans), 2),
        "ratio_to_span": _ratio(added, spans),
        "ratio_to_by_hand": None,
        "at_most_us": case.at_most_us,
        "at_most_ratio": case.at_most_ratio,
    }
    if case.by_hand is not None:
        by_hand = _added(rounds, "by_hand", "base")
        line["ratio_to_by_hand"] = _ratio(added, by_hand)
    line["reached"] = _is_reached(line)
    return line


def _added(rounds: list[dict[str, Times]], name: str, base: str) -> list[float]:
    return [r[name].clock_us - r[base].clock_us for r in rounds]


def _ratio(added: list[float], unit: list[float]) -> float | None:
    ratios = [a / u for a, u in zip(added, unit, strict=True) if u > 0]
    return round(statistics.median(ratios), 2) if ratios else None


def _is_reached(line: dict[str, Any]) -> bool | None:
    if line["at_most_us"] is not None:
        return bool(line["added_processor_us"] <= line["at_most_us"])
    if line["at_most_ratio"] is not None and line["ratio_to_by_hand"] is not None:
        return bool(line["ratio_to_by_hand"] <= line["at_most_ratio"])
    return None


def show(line: dict[str, Any]) -> None:
    """Print one line of the table."""
    low, high = line["added_us_quartiles"]
    ratios = [line["ratio_to_span"], line["ratio_to_by_hand"]]
    shown = [f"{'' if ratio is None else ratio:>9}" for ratio in ratios]
    limit = line["at_most_us"] or line["at_most_ratio"]
    unit = "µs" if line["at_most_us"] else "times"
    verdict = "reached" if line["reached"] else "MISSED"
    target = "" if limit is None else f"  at most {limit:g} {unit}: {verdict}"
    print(
        f"{line['case']:44} {line['added_us']:8.1f} {f'{low:.1f} to {high:.1f}':>16}"
        f" {line['added_processor_us']:12.1f}"
        f" {' '.join(shown)}{target}",
        flush=True,
    )


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--rounds", type=int, default=15, help="default %(default)s")
    parser.add_argument(
        "--calls", type=int, default=400, help="calls a block and round, default %(default)s"
    )
    parser.add_argument("--quick", action="store_true", help="one short round: shows that it runs")
    options = parser.parse_args(arguments)
    if not options.quick and options.rounds < LEAST_ROUNDS:
        parser.error(
            f"--rounds must be at least {LEAST_ROUNDS}: fewer say nothing (or use --quick)"
        )
    if options.calls < PASSES:
        parser.error(f"--calls must be at least {PASSES}")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the JSON file."""
    options = _parse(arguments)
    effort = QUICK if options.quick else Effort(rounds=options.rounds, calls=options.calls)
    logging.getLogger("keras_otel").setLevel(logging.ERROR)
    requests = Requests(Bench())
    report: dict[str, Any] = {"machine": subject.machine(), "cases": []}
    print(
        f"{'':44} {'added µs':>8} {'quartiles':>16} {'processor µs':>12} {'/ span':>9} {'/ by hand':>9}",
        flush=True,
    )
    for case in cases_in(requests):
        line = summarise(case, measure(case, requests, effort))
        show(line)
        report["cases"].append(line)
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
