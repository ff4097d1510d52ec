"""From rows to what is reported of them."""

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
from keras_otel.analysis.slices.screening import screened
from keras_otel.analysis.slices.settings import Settings
from keras_otel.analysis.slices.sums import Sums


def slice_rows(rows: Rows, settings: Settings) -> SliceResult:
    """Find the slices in which failures concentrate.

    Args:
        rows: One for each trace, model and evaluation.
        settings: How to slice them.
    """
    # Matrices are small: threads would wait for one another, many times longer than they compute where
    # other processes use the cores, or where a container has fewer of them than the machine.
    with threadpool_limits(limits=1, user_api="blas"):
        return _sliced(rows, settings)


def _sliced(rows: Rows, settings: Settings) -> SliceResult:
    asked = (*rows.asked, *settings.adjust_for)
    possible = features_of(
        rows.table, rows.features, asked, support=settings.min_support or MIN_ROWS
    )
    chosen = screened(
        rows.table,
        possible.features,
        asked,
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
        elsewhere = chosen.elsewhere(key), chosen.elsewhere(key, is_better=True)
        family = Family(eval_name, model, cells, settings, elsewhere)
        warnings += family.warnings()
        families.append(family)
    by_name = {feature.name: feature for feature in chosen.features}
    examples = example_traces(
        rows.table,
        [family.wanted_examples() for family in families],
        lambda name: by_name[name].of(rows.table),
    )
    return SliceResult(
        totals=_totals(rows, families),
        evals=tuple(family.result(found) for family, found in zip(families, examples, strict=True)),
        warnings=tuple(dict.fromkeys(warnings)),
        accounting=rows.accounting,
    )


def _notes(possible: Features, chosen: Sequence[Feature]) -> Iterator[str]:
    """What was left out, and what was put together in the features that are used."""
    there = {feature.name for feature in possible.features}
    used = {feature.name for feature in chosen}
    for name, note in possible.notes.items():
        if name not in there or name in used:
            yield note


def _totals(rows: Rows, families: Sequence[Family]) -> Totals:
    everything = Sums.joined([family.everything for family in families])
    n, k = float(everything.n.sum()), float(everything.k.sum())
    counted = None if rows.accounting is None else rows.accounting.rows
    row_count = int(everything.rows.sum())
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
