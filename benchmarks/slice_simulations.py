"""How often slicing finds what is not there, and whether it finds what is.

    python benchmarks/slice_simulations.py [--seeds N] [--planted N] [--json FILE]

Null data: 5 000 rows, 8 features, about 600 slices, 10 % of the rows fail whatever their features. The
same with sessions of 15 rows that are alike, with `cluster` and without. A planted slice: two predicates,
risk ratio 3, in 20 000 traces with sessions, sampling weights, traces without an evaluation, and
evaluator errors; it should come first.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa

from keras_otel.analysis import slice_failures
from keras_otel.analysis.family import Settings
from keras_otel.analysis.result import EvalResult
from keras_otel.analysis.slicing import slice_rows
from keras_otel.analysis.tables import Rows

FEATURES, VALUES = 8, 2
BASE_RATE = 0.1
SESSION = 15
PLANTED = {"f0": "1", "f3": "1"}
RISK_RATIO = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one data set gave."""

    tested: int
    found: bool
    is_first: bool = False


def features(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Independent categorical features."""
    return pd.DataFrame(
        {f"f{n}": rng.integers(0, VALUES, rows).astype(str) for n in range(FEATURES)}
    )


def null_rows(seed: int) -> Finding:
    """Rows that fail whatever their features."""
    rng = np.random.default_rng(seed)
    data = features(rng, 5000).assign(failed=rng.random(5000) < BASE_RATE)
    return finding(slice_failures(data, failed="failed").evals[0])


def null_sessions(seed: int, *, is_clustered: bool) -> Finding:
    """Sessions whose rows have the same features and a failure rate of their own."""
    rng = np.random.default_rng(seed)
    count = 5000 // SESSION
    session = np.repeat(np.arange(count), SESSION)
    data = features(rng, count).iloc[session].reset_index(drop=True)
    rate = rng.beta(0.5, 4.5, count)[session]
    data = data.assign(failed=rng.random(len(session)) < rate)
    if not is_clustered:
        return finding(slice_failures(data, failed="failed").evals[0])
    data = data.assign(session=session.astype(str))
    return finding(slice_failures(data, failed="failed", cluster="session").evals[0])


def planted(seed: int) -> Finding:
    """20 000 traces of sessions that were kept with a probability of 1, a half or a quarter each."""
    rng = np.random.default_rng(seed)
    rows = 20_000
    session = rng.integers(0, rows // SESSION, rows)
    data = features(rng, rows)
    inside = np.logical_and.reduce([data[name] == value for name, value in PLANTED.items()])
    level = rng.beta(5, 45, rows // SESSION + 1)[session]
    rate = np.where(inside, RISK_RATIO, 1.0) * level
    is_evaluated, is_error = rng.random(rows) >= 0.3, rng.random(rows) < 0.02
    failed = pd.Series(rng.random(rows) < rate).astype("boolean")
    failed[~is_evaluated | is_error] = pd.NA
    table = data.assign(
        trace_id=[f"{number:032x}" for number in range(rows)],
        model="model",
        eval="planted",
        failed=failed,
        error=is_evaluated & is_error,
        weight=rng.choice([1.0, 2.0, 4.0], rows),
        cluster=session.astype(str),
    )
    connection = ibis.duckdb.connect()
    made = Rows(
        table=connection.create_table("rows", pa.Table.from_pandas(table, preserve_index=False)),
        features=tuple(data.columns),
        is_weighted=True,
        is_clustered=True,
        accounting=None,
        warnings=(),
    )
    result = slice_rows(made, Settings())
    assert result.totals.errors == int((is_evaluated & is_error).sum())
    return finding(result.evals[0])


def finding(family: EvalResult) -> Finding:
    """What was tested and found, and whether the first finding is the planted one."""
    first = {p.attribute: p.value for p in family.slices[0].predicates} if family.slices else {}
    return Finding(
        tested=family.slices_tested, found=bool(family.slices), is_first=first == PLANTED
    )


def share(
    name: str, draw: Callable[[int], Finding], seeds: int, count: Callable[[Finding], bool]
) -> dict[str, Any]:
    """The share of data sets for which something holds."""
    found = [draw(seed) for seed in range(seeds)]
    held = sum(count(each) for each in found)
    tested = statistics.median(each.tested for each in found)
    line = {"what": name, "share": held / seeds, "of": seeds, "slices_tested": tested}
    print(f"{name:<62} {held / seeds:6.1%} of {seeds}, {tested:g} slices tested", flush=True)
    return line


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all simulations and print their figures."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=300, help="null data sets (default: 300)")
    options.add_argument("--planted", type=int, default=100, help="planted ones (default: 100)")
    options.add_argument("--json", type=Path, help="write the figures there too")
    parsed = options.parse_args(arguments)
    lines = [
        share("null data: some finding", null_rows, parsed.seeds, lambda each: each.found),
        share(
            "null data in sessions of 15, with cluster: some finding",
            lambda seed: null_sessions(seed, is_clustered=True),
            parsed.seeds,
            lambda each: each.found,
        ),
        share(
            "null data in sessions of 15, without cluster: some finding",
            lambda seed: null_sessions(seed, is_clustered=False),
            parsed.seeds,
            lambda each: each.found,
        ),
        share(
            "planted slice, risk ratio 3: first in the ranking",
            planted,
            parsed.planted,
            lambda each: each.is_first,
        ),
    ]
    if parsed.json is not None:
        parsed.json.write_text(json.dumps(lines, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
