"""Find the slices of a table of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from threadpoolctl import threadpool_limits

from keras_otel.analysis.aggregation.cells import cells_by_family
from keras_otel.analysis.aggregation.features import Feature, Features, features_of
from keras_otel.analysis.result import SliceResult, Totals
from keras_otel.analysis.rows.row_table import Rows
from keras_otel.analysis.slices.candidates import MIN_ROWS
from keras_otel.analysis.slices.examples import example_traces
from keras_otel.analysis.slices.family import Family
from keras_otel.analysis.slices.screening import screen_features
from keras_otel.analysis.slices.settings import Settings
from keras_otel.analysis.slices.sums import Sums


def slice_rows(rows: Rows, settings: Settings) -> SliceResult:
    """Find the slices in which failures concentrate.

    Args:
        rows: One row for each trace, model and evaluation.
        settings: How to slice them.
    """
    # Matrices are small: threads would wait for one another, many times longer than they compute where
    # other processes use the cores, or where a container has fewer of them than the machine.
    with threadpool_limits(limits=1, user_api="blas"):
        return _sliced(rows, settings)


def _sliced(rows: Rows, settings: Settings) -> SliceResult:
    requested = (*rows.requested, *settings.adjust_for)
    possible = features_of(
        rows.table, rows.features, requested, support=settings.min_support or MIN_ROWS
    )
    chosen = screen_features(
        rows.table,
        possible.features,
        requested,
        is_clustered=rows.is_clustered,
        is_weighted=rows.is_weighted,
        min_support=settings.min_support,
    )
    warnings = [*rows.warnings, *_notes(possible, chosen.features)]
    if chosen.note is not None:
        warnings.append(chosen.note)
    if not any(len(feature.values) > 1 for feature in chosen.features):
        warnings.append(
            "there is nothing to slice by: no attribute has two values with enough rows"
        )
    families = []
    for eval_name, model, cells in cells_by_family(
        rows.table,
        chosen.features,
        is_clustered=rows.is_clustered,
        is_weighted=rows.is_weighted,
    ):
        key = (eval_name, model)
        screening_tests = chosen.tests_of(key), chosen.tests_of(key, is_better=True)
        family = Family(eval_name, model, cells, settings, screening_tests)
        warnings += family.warnings()
        families.append(family)
    by_name = {feature.name: feature for feature in chosen.features}
    examples = example_traces(
        rows.table,
        [family.example_request() for family in families],
        lambda name: by_name[name].values_in(rows.table),
    )
    return SliceResult(
        totals=_totals(rows, families),
        evals=tuple(
            family.result(family_examples)
            for family, family_examples in zip(families, examples, strict=True)
        ),
        warnings=tuple(dict.fromkeys(warnings)),
        accounting=rows.accounting,
    )


def _notes(possible: Features, chosen: Sequence[Feature]) -> Iterator[str]:
    """Yield the notes on features that were left out, and on those that are used."""
    sliceable = {feature.name for feature in possible.features}
    used = {feature.name for feature in chosen}
    for name, note in possible.notes.items():
        if name not in sliceable or name in used:
            yield note


def _totals(rows: Rows, families: Sequence[Family]) -> Totals:
    """Add up all families; traces are counted once if the rows come from spans."""
    total = Sums.concatenated([family.total for family in families])
    n, k = float(total.n.sum()), float(total.k.sum())
    counted = None if rows.accounting is None else rows.accounting.rows
    row_count = int(total.rows.sum())
    traces = sum(int(family.cells.traces.sum()) for family in families)
    return Totals(
        rows=n if rows.is_weighted else int(n),
        failed=k if rows.is_weighted else int(k),
        rate=k / n if n else 0.0,
        evaluated_traces=row_count if counted is None else counted.evaluated_traces,
        traces=traces if counted is None else counted.traces,
        errors=int(sum(family.cells.errors.sum() for family in families)),
        weighted=rows.is_weighted,
    )
