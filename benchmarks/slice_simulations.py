"""Measure how often slicing finds planted causes, and how often it reports chance as findings.

    python benchmarks/slice_simulations.py [--seeds N] [--null N] [--only TEXT] [--json FILE]

Null data: 5 000 rows, 8 features, about 600 slices, 10 % of the rows fail whatever their features. The
same with sessions of 15 rows that are alike, with `cluster` and without.
Planted data: the kinds of `planted.py`, each with seeds of its own. A cause is found if a finding names it
exactly; other findings are those that are neither a cause nor several causes together. The same causes in
sessions with `cluster`, and in traces that were sampled, are evaluated in part and have evaluator errors.
"""

from __future__ import annotations

import argparse
import json
import statistics
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import ibis
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from planted import KINDS, Planted, features, one_pair, worse_version

from keras_otel.analysis import slice_failures
from keras_otel.analysis.result import EvalResult
from keras_otel.analysis.rows.row_table import Rows
from keras_otel.analysis.slices.settings import Settings
from keras_otel.analysis.slices.slicing import slice_rows

BASE_RATE: Final = 0.1
SESSION: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Counts of one data set."""

    causes: int
    causes_found: int
    findings: int
    others: int
    tested: int


def generator(name: str, seed: int) -> np.random.Generator:
    """Return the random generator of one data set."""
    return np.random.default_rng((zlib.crc32(name.encode()), seed))


def failing(rng: np.random.Generator, planted: Planted) -> npt.NDArray[np.bool_]:
    """Draw the failures."""
    return np.asarray(rng.random(len(planted.rows)) < planted.rate)


def null(rng: np.random.Generator) -> Planted:
    """Generate rows whose failures do not depend on their features."""
    rows = pd.DataFrame({f"f{n}": rng.integers(0, 2, 5000).astype(str) for n in range(8)})
    return Planted(rows=rows, rate=np.full(5000, BASE_RATE), causes=())


def null_sessions(rng: np.random.Generator) -> Planted:
    """Generate sessions whose rows have the same features and a failure rate of their own."""
    count = 5000 // SESSION
    session = np.repeat(np.arange(count), SESSION)
    alike = pd.DataFrame({f"f{n}": rng.integers(0, 2, count).astype(str) for n in range(8)})
    rows = alike.iloc[session].reset_index(drop=True).assign(session=session.astype(str))
    return Planted(rows=rows, rate=rng.beta(0.5, 4.5, count)[session], causes=())


def null_numbers(rng: np.random.Generator) -> Planted:
    """Generate numbers, of which every range is a candidate, that are independent of failures."""
    rows = features(rng, 5000, 4)
    for name in ("a", "b", "c"):
        rows[name] = rng.lognormal(0, 1, len(rows))
    return Planted(rows=rows, rate=np.full(len(rows), BASE_RATE), causes=())


def null_wide(rng: np.random.Generator) -> Planted:
    """Generate forty features, of which those that differ most by chance are combined."""
    rows = features(rng, 5000, 40)
    return Planted(rows=rows, rate=np.full(len(rows), BASE_RATE), causes=())


def in_sessions(kind: Callable[[np.random.Generator], Planted]) -> Any:
    """Add sessions with failure rates of their own to a kind."""

    def draw(rng: np.random.Generator) -> Planted:
        planted = kind(rng)
        count = len(planted.rows)
        session = rng.integers(0, count // SESSION, count)
        level = rng.beta(5, 45, count // SESSION + 1)[session] / 0.1
        rows = planted.rows.assign(session=session.astype(str))
        return replace(planted, rows=rows, rate=np.minimum(planted.rate * level, 1.0))

    return draw


def counted(planted: Planted, family: EvalResult) -> Count:
    """Compare findings with the planted causes."""
    causes_found, others = planted.count_found(family.slices)
    return Count(
        causes=len(planted.causes),
        causes_found=causes_found,
        findings=len(family.slices),
        others=others,
        tested=family.slices_tested,
    )


def sliced(name: str, kind: Callable[[np.random.Generator], Planted], seed: int) -> Count:
    """Slice one data set; by sessions if its rows have a column of them."""
    rng = generator(name, seed)
    planted = kind(rng)
    data = planted.rows.assign(failed=failing(rng, planted))
    cluster = "session" if "session" in data.columns else None
    result = slice_failures(data, failed="failed", cluster=cluster)
    return counted(planted, result.evals[0])


def unclustered(name: str, kind: Callable[[np.random.Generator], Planted], seed: int) -> Count:
    """Slice one data set without its column of sessions."""
    rng = generator(name, seed)
    planted = kind(rng)
    data = planted.rows.drop(columns="session").assign(failed=failing(rng, planted))
    return counted(planted, slice_failures(data, failed="failed").evals[0])


def sampled(name: str, kind: Callable[[np.random.Generator], Planted], seed: int) -> Count:
    """Slice traces that were kept with a probability of 1, a half or a quarter, 70 % of them evaluated."""
    rng = generator(name, seed)
    planted = kind(rng)
    count = len(planted.rows)
    is_evaluated, is_error = rng.random(count) >= 0.3, rng.random(count) < 0.02
    failed = pd.Series(failing(rng, planted)).astype("boolean")
    failed[~is_evaluated | is_error] = pd.NA
    names = list(planted.rows.columns)
    table = planted.rows.assign(
        trace_id=[f"{number:032x}" for number in range(count)],
        model="model",
        eval="planted",
        failed=failed,
        error=is_evaluated & is_error,
        weight=rng.choice([1.0, 2.0, 4.0], count),
        count=1,
        cluster="",
    )
    connection: Any = ibis.duckdb.connect()
    rows = Rows(
        table=connection.create_table("rows", pa.Table.from_pandas(table, preserve_index=False)),
        features=tuple(names),
        is_weighted=True,
        is_clustered=False,
        accounting=None,
        warnings=(),
    )
    result = slice_rows(rows, Settings())
    assert result.totals.errors == int((is_evaluated & is_error).sum())
    return counted(planted, result.evals[0])


def wide_sample(rng: np.random.Generator) -> Planted:
    """Generate so many rows that a sample of them is large enough."""
    parts = [one_pair(rng) for _ in range(3)]
    return Planted(
        rows=pd.concat([part.rows for part in parts], ignore_index=True),
        rate=np.concatenate([part.rate for part in parts]),
        causes=parts[0].causes,
    )


Draw = Callable[[str, Callable[[np.random.Generator], Planted], int], Count]

NULL: Final[dict[str, tuple[Draw, Callable[[np.random.Generator], Planted]]]] = {
    "null": (sliced, null),
    "null, numbers": (sliced, null_numbers),
    "null, forty features": (sliced, null_wide),
    "null in sessions of 15, with cluster": (sliced, null_sessions),
    "null in sessions of 15, without cluster": (unclustered, null_sessions),
}
PLANTED: Final[dict[str, tuple[Draw, Callable[[np.random.Generator], Planted]]]] = {
    **{name: (sliced, kind) for name, kind in KINDS.items()},
    "two predicates, in sessions, with cluster": (sliced, in_sessions(wide_sample)),
    "worse version, in sessions, with cluster": (sliced, in_sessions(worse_version)),
    "two predicates, sampled, evaluated in part": (sampled, wide_sample),
}


def lines(seeds: int, null_seeds: int, only: str) -> Iterator[dict[str, Any]]:
    """Yield the figures of each kind."""
    for cases, count in ((NULL, null_seeds), (PLANTED, seeds)):
        for name, (draw, kind) in cases.items():
            if only not in name or not count:
                continue
            data_sets = [draw(name, kind, seed) for seed in range(count)]
            causes = sum(data_set.causes for data_set in data_sets)
            findings = sum(data_set.findings for data_set in data_sets)
            yield {
                "kind": name,
                "data_sets": count,
                "slices_tested": statistics.median(data_set.tested for data_set in data_sets),
                "causes": causes,
                "told": sum(data_set.causes_found for data_set in data_sets),
                "findings": findings,
                "others": sum(data_set.others for data_set in data_sets),
                "with_findings": sum(data_set.findings > 0 for data_set in data_sets),
            }


def _printed(line: dict[str, Any]) -> str:
    share = f"{line['told']} of {line['causes']}" if line["causes"] else ""
    others = f"{line['others']} of {line['findings']}"
    percent = f"{line['others'] / max(1, line['findings']):.1%}" if line["causes"] else ""
    some = f"{line['with_findings'] / line['data_sets']:.1%}" if not line["causes"] else ""
    cells = (line["kind"], line["data_sets"], f"{line['slices_tested']:g}", share, others, percent)
    return "| " + " | ".join(str(cell) for cell in (*cells, some)) + " |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all simulations and print their figures."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=100, help="planted data sets of a kind")
    options.add_argument("--null", type=int, default=300, help="null data sets of a kind")
    options.add_argument("--only", default="", help="kinds with this in their name")
    options.add_argument("--json", type=Path, help="write the figures there too")
    parsed = options.parse_args(arguments)
    print(
        "| kind | data sets | slices tested | causes found | other findings | share | some finding |"
    )
    print("|---|---|---|---|---|---|---|")
    figures = []
    for line in lines(parsed.seeds, parsed.null, parsed.only):
        print(_printed(line), flush=True)
        figures.append(line)
    if parsed.json is not None:
        parsed.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
