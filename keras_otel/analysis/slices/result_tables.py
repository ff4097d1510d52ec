"""Convert results to flat rows, for data frames, Arrow tables and spreadsheets."""

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
_INTERVAL_FIELDS: Final = {"ci": "ci", "risk_ratio": "risk_ratio_ci"}
"""Field of `Slice` by the first part of the column names: `ci_lower` and `ci_upper` are the ends of `ci`."""

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
    """Yield a row for each slice, in order of rank, those that fail less often last."""
    for family in result.evals:
        for slice_ in family.slices:
            yield _slice_row(family, slice_, is_better=False)
        for slice_ in family.better:
            yield _slice_row(family, slice_, is_better=True)


def slice_text(predicates: Sequence[Predicate]) -> str:
    """Write the predicates of a slice as one text, such as "keras.model.version=v2 & class=refund"."""
    return " & ".join(f"{predicate.attribute}={predicate.value}" for predicate in predicates)


def arrow_table(result: SliceResult, kind: Kind) -> pa.Table:
    """Build an Arrow table of the slices, or of the cohorts.

    Raises:
        OptionError: `kind` is neither.
    """
    import pyarrow as pa

    if kind not in get_args(Kind):
        raise OptionError(f"{kind!r} is no table of a result: there are 'slices' and 'cohorts'")
    rows = list(slice_rows_of(result) if kind == "slices" else _cohort_rows(result))
    columns = SLICE_COLUMNS if kind == "slices" else _COHORT_COLUMNS
    text, list_of_text, boolean = pa.string(), pa.list_(pa.string()), pa.bool_()
    types: dict[str, pa.DataType] = {
        **dict.fromkeys(("eval", "model", "slice", "by", "value"), text),
        **dict.fromkeys(("finding", "significant", "better"), boolean),
        **dict.fromkeys(("errors", "traces"), pa.int64()),
        **dict.fromkeys(("confounded_by", "explained_by", "example_trace_ids"), list_of_text),
        "predicates": pa.list_(pa.struct([("attribute", text), ("value", text)])),
    }
    schema = pa.schema([(name, types.get(name, pa.float64())) for name in columns])
    return pa.Table.from_pylist(rows, schema=schema)


def _slice_row(family: EvalResult, slice_: Slice, *, is_better: bool) -> dict[str, Any]:
    return {
        "eval": family.eval,
        "model": family.model,
        "slice": slice_text(slice_.predicates),
        "finding": slice_.is_finding and not is_better,
        **{name: _number(slice_, name) for name in _NUMBERS},
        "significant": slice_.significant,
        "better": is_better,
        "errors": slice_.errors,
        "traces": slice_.traces,
        "confounded_by": list(slice_.confounded_by),
        "explained_by": [slice_text(predicates) for predicates in slice_.explained_by],
        "example_trace_ids": list(slice_.example_trace_ids),
        "predicates": [{"attribute": p.attribute, "value": p.value} for p in slice_.predicates],
    }


def _number(slice_: Slice, name: str) -> float | None:
    """Return the value of a column of numbers."""
    first, _, end = name.rpartition("_")
    interval = (
        getattr(slice_, _INTERVAL_FIELDS[first])
        if first in _INTERVAL_FIELDS and end in ("lower", "upper")
        else None
    )
    value = interval[end == "upper"] if interval is not None else getattr(slice_, name)
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
