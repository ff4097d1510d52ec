"""Encode the cells for the page: a few columns, each with a dictionary of its values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from keras_otel import semconv
from keras_otel.analysis.aggregation.arrays import Codes, Floats
from keras_otel.analysis.aggregation.cells import Cells, totals
from keras_otel.analysis.aggregation.features import Feature
from keras_otel.analysis.reports import wording
from keras_otel.analysis.result import EvalResult, Predicate, Slice
from keras_otel.analysis.rows.feature_columns import MISSING, OTHER

ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
"""A letter encodes the place of a value, in columns with no more values than letters."""

_FIRST: Final = (
    semconv.PREDICTION_CLASS,
    semconv.MODEL_VERSION,
    semconv.CONFIDENCE_BIN,
    semconv.DURATION_BIN,
)
_SPREADS: Final = (semconv.CONFIDENCE_BIN, semconv.DURATION_BIN)
_PLAIN_BYTES: Final = 7  # of a cell's rows and failures, about
_WEIGHTED_BYTES: Final = 52
_DIGITS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """One feature of the cells that have rows, its values in the order in which they are displayed."""

    feature: Feature
    values: tuple[str, ...]
    codes: Codes


def embedded_cells(
    family: EvalResult, findings: Sequence[Slice], budget: int
) -> dict[str, Any] | None:
    """Encode what the page needs to add up the rows of any selection; None if nothing fits.

    Features are embedded in order of their use: those of findings, the usual ones, those requested, the
    others. If all of them exceed the budget, the last ones are left out, and the page names them.

    Args:
        family: The evaluation whose cells are embedded.
        findings: The slices that can be selected with one click.
        budget: Approximate limit in bytes of JSON.
    """
    cells = family.cells
    if cells is None or not (cells.rows > 0).any():
        return None
    kept = cells.within(cells.rows > 0)
    columns = list(_columns(kept, _by_use(family, findings, kept)))
    groups, fitting = _grouped(kept, columns, budget)
    if not fitting:
        return None
    firsts = np.unique(groups, return_index=True)[1]
    shown = sorted(columns[:fitting], key=_place_shown)
    places = {column.feature.name: place for place, column in enumerate(shown)}
    return {
        "features": [_encoded_feature(column) for column in shown],
        "codes": [_encoded_codes(column, column.codes[firsts]) for column in shown],
        **_sums(kept, groups, len(firsts)),
        "design": _design_effect(kept),
        "isClustered": kept.clusters is not None,
        "leftOut": [wording.noun(column.feature.name) for column in columns[fitting:]],
        "class": places.get(semconv.PREDICTION_CLASS),
        "version": places.get(semconv.MODEL_VERSION),
        "spreads": [places[name] for name in _SPREADS if name in places],
        "findings": [_selection(finding.predicates, shown) for finding in findings],
    }


def _place_shown(column: _Column) -> int:
    """Return the sort key of a column: the usual features are first, whatever the findings are about."""
    name = column.feature.name
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)


def _by_use(family: EvalResult, findings: Sequence[Slice], cells: Cells) -> list[Feature]:
    """Return the features in order of their use."""
    requested = [cohort.by for cohort in family.cohorts]
    used = [predicate.attribute for finding in findings for predicate in finding.predicates]
    order = dict.fromkeys([*used, *_FIRST, *requested])
    known = {feature.name: feature for feature in cells.features}
    first = [known[name] for name in order if name in known]
    return [*first, *(feature for feature in cells.features if feature.name not in order)]


def _columns(cells: Cells, features: Sequence[Feature]) -> Iterator[_Column]:
    """Yield the column of each feature, without values that no row has."""
    for feature in features:
        codes = cells.codes[:, cells.features.index(feature)]
        rows = totals(codes, cells.rows, len(feature.values))
        present = [code for code in range(len(feature.values)) if rows[code] > 0]
        present.sort(key=lambda code: _value_place(feature, code, float(rows[code])))
        places = np.zeros(len(feature.values), dtype=np.int64)
        places[present] = range(len(present))
        yield _Column(
            feature=feature,
            values=tuple(feature.values[code] for code in present),
            codes=places[codes],
        )


def _value_place(feature: Feature, code: int, rows: float) -> tuple[bool, int, float, str]:
    """Return the sort key of a value: ranges in their order, others by their rows, the rest last."""
    value = feature.values[code]
    order = code if feature.bounds else 0
    return value in (MISSING, OTHER), order, -rows, value


def _grouped(cells: Cells, columns: Sequence[_Column], budget: int) -> tuple[Codes, int]:
    """Group the cells by as many columns as fit.

    Returns:
        [C], the group of each cell, and the number of columns.
    """
    groups = np.zeros(len(cells.rows), dtype=np.int64)
    sums = _WEIGHTED_BYTES if cells.is_weighted else _PLAIN_BYTES
    left = budget
    for count, column in enumerate(columns):
        left -= len(str(_encoded_feature(column)).encode())
        finer = np.unique(groups * len(column.values) + column.codes, return_inverse=True)[1]
        letters = sum(
            1 if len(used.values) <= len(ALPHABET) else 4 for used in columns[: count + 1]
        )
        if (int(finer.max(initial=0)) + 1) * (letters + sums) > left:
            return groups, count
        groups = finer
    return groups, len(columns)


def _encoded_feature(column: _Column) -> dict[str, Any]:
    name = column.feature.name
    return {
        "name": name,
        "noun": wording.noun(name),
        "values": list(column.values),
        "labels": [wording.value_text(name, value) for value in column.values],
        "ends": [wording.value_ends(name, value) for value in column.values],
        "between": wording.range_words(name),
        "phrases": [wording.predicate_text(name, value) for value in column.values],
    }


def _encoded_codes(column: _Column, codes: Codes) -> str | list[int]:
    if len(column.values) > len(ALPHABET):
        return [int(code) for code in codes]
    return "".join(ALPHABET[code] for code in codes)


def _sums(cells: Cells, groups: Codes, count: int) -> dict[str, list[float]]:
    sums = {"n": cells.rows, "k": cells.failed}
    if cells.is_weighted:
        sums = {
            "n": cells.weight,
            "k": cells.failed_weight,
            "nn": cells.weight_squares,
            "kk": cells.failed_squares,
        }
    return {name: _numbers(totals(groups, values, count)) for name, values in sums.items()}


def _numbers(values: Floats) -> list[float]:
    shown = (float(f"{value:.{_DIGITS}g}") for value in values)
    return [int(value) if value.is_integer() else value for value in shown]


def _design_effect(cells: Cells) -> float:
    """Compute the design effect: the variance of the rate divided by that of independent rows, at least 1."""
    if cells.clusters is None:
        return 1.0
    rate = cells.failed_weight.sum() / cells.weight.sum()
    count = int(cells.clusters.max()) + 1
    n = totals(cells.clusters, cells.weight, count)
    k = totals(cells.clusters, cells.failed_weight, count)
    clustered = float(((k - rate * n) ** 2).sum())
    alone = float(
        (cells.failed_squares * (1 - 2 * rate)).sum() + rate**2 * cells.weight_squares.sum()
    )
    effect = clustered / alone if alone > 0 else 1.0
    return float(f"{max(effect, 1.0):.{_DIGITS}g}") if math.isfinite(effect) else 1.0


def _selection(
    predicates: Sequence[Predicate], columns: Sequence[_Column]
) -> list[tuple[int, list[int]]] | None:
    """Return the places of a slice's features and values; None if one of them is not embedded."""
    chosen = []
    for predicate in predicates:
        wanted = predicate.values or (predicate.value,)
        for place, column in enumerate(columns):
            if column.feature.name == predicate.attribute:
                codes = [code for code, value in enumerate(column.values) if value in wanted]
                chosen.append((place, codes))
                break
        else:
            return None
    return chosen if all(codes for _, codes in chosen) else None
