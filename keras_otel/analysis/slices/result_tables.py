"""Results as flat rows: for data frames, Arrow tables and spreadsheets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, get_args

from keras_otel.analysis.result import EvalResult, Kind, Predicate, Slice, SliceResult
from keras_otel.errors import OptionError

if TYPE_CHECKING:
    import pyarrow as pa

_NUMBERS: Final = (
    "n",
    "failed",
    "rate",
    "ci_lower",
    "ci_upper",
    "rate_rest",
    "risk_difference",
    "risk_ratio",
    "risk_ratio_lower",
    "risk_ratio_upper",
    "excess_failures",
    "excess_failures_lower",
    "share_of_failures",
    "p",
    "q",
)
_OF: Final = {"ci": "ci", "risk_ratio": "risk_ratio_ci"}
"""Intervals, by the first part of the names of their ends."""

SLICE_COLUMNS: Final = (
    "eval",
    "model",
    "slice",
    "finding",
    *_NUMBERS,
    "significant",
    "better",
    "errors",
    "traces",
    "confounded_by",
    "explained_by",
    "example_trace_ids",
    "predicates",
)
_COHORT_COLUMNS: Final = (
    "eval", "model", "by", "value", "n", "failed", "rate", "ci_lower", "ci_upper"
)  # fmt: skip


def slice_rows_of(result: SliceResult) -> Iterator[dict[str, Any]]:
    """A row for each slice, in its rank's order, those that fail less often last."""
    for family in result.evals:
        for found in family.slices:
            yield _slice_row(family, found, is_better=False)
        for found in family.better:
            yield _slice_row(family, found, is_better=True)


def slice_text(predicates: Sequence[Predicate]) -> str:
    """The predicates of a slice as one text, such as "keras.model.version=v2 & class=refund"."""
    return " & ".join(f"{each.attribute}={each.value}" for each in predicates)


def arrow_table(result: SliceResult, kind: Kind) -> pa.Table:
    """The slices, or the cohorts, as an Arrow table.

    Raises:
        OptionError: `kind` is neither.
    """
    import pyarrow as pa

    if kind not in get_args(Kind):
        raise OptionError(f"{kind!r} is no table of a result: there are 'slices' and 'cohorts'")
    rows = list(slice_rows_of(result) if kind == "slices" else _cohort_rows(result))
    columns = SLICE_COLUMNS if kind == "slices" else _COHORT_COLUMNS
    text, texts, truth = pa.string(), pa.list_(pa.string()), pa.bool_()
    types: dict[str, pa.DataType] = {
        **dict.fromkeys(("eval", "model", "slice", "by", "value"), text),
        **dict.fromkeys(("finding", "significant", "better"), truth),
        **dict.fromkeys(("errors", "traces"), pa.int64()),
        **dict.fromkeys(("confounded_by", "explained_by", "example_trace_ids"), texts),
        "predicates": pa.list_(pa.struct([("attribute", text), ("value", text)])),
    }
    schema = pa.schema([(name, types.get(name, pa.float64())) for name in columns])
    return pa.Table.from_pylist(rows, schema=schema)


def _slice_row(family: EvalResult, found: Slice, *, is_better: bool) -> dict[str, Any]:
    return {
        "eval": family.eval,
        "model": family.model,
        "slice": slice_text(found.predicates),
        "finding": found.is_finding and not is_better,
        **{name: _number(found, name) for name in _NUMBERS},
        "significant": found.significant,
        "better": is_better,
        "errors": found.errors,
        "traces": found.traces,
        "confounded_by": list(found.confounded_by),
        "explained_by": [slice_text(each) for each in found.explained_by],
        "example_trace_ids": list(found.example_trace_ids),
        "predicates": [{"attribute": p.attribute, "value": p.value} for p in found.predicates],
    }


def _number(found: Slice, name: str) -> float | None:
    first, _, end = name.rpartition("_")
    interval = getattr(found, _OF[first]) if first in _OF and end in ("lower", "upper") else None
    value = interval[end == "upper"] if interval is not None else getattr(found, name)
    return None if value is None else float(value)


def _cohort_rows(result: SliceResult) -> Iterator[dict[str, Any]]:
    for family in result.evals:
        for cohort in family.cohorts:
            yield {
                "eval": family.eval,
                "model": family.model,
                "by": cohort.by,
                "value": cohort.value,
                "n": float(cohort.n),
                "failed": float(cohort.failed),
                "rate": cohort.rate,
                "ci_lower": cohort.ci[0],
                "ci_upper": cohort.ci[1],
            }
