"""Rates by the values of one attribute, and counts by version and another attribute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from keras_otel import semconv
from keras_otel.analysis.aggregation.cells import Cells, totals
from keras_otel.analysis.result import Cohort, VersionCell
from keras_otel.analysis.rows.feature_columns import MISSING, OTHER
from keras_otel.analysis.slices.comparison import Variances
from keras_otel.analysis.slices.intervals import wilson
from keras_otel.analysis.slices.sums import Summing

_PLOTTED: Final = (semconv.PREDICTION_CLASS, semconv.CONFIDENCE_BIN, semconv.DURATION_BIN)


def cohorts(cells: Cells, by: Sequence[str]) -> Iterator[Cohort]:
    """Yield the values of each attribute: ranges in their order, others by their rows, the rest last."""
    for name in dict.fromkeys(by):
        place = cells.index(name)
        if place is not None:
            yield from _cohorts(cells, place)


def _cohorts(cells: Cells, place: int) -> Iterator[Cohort]:
    feature = cells.features[place]
    summing = Summing(cells)
    sums = summing.by(cells.codes[:, place], len(feature.values))
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = sums.k / sums.n
        rest = (summing.all.k[0] - sums.k) / (summing.all.n[0] - sums.n)
    effective, _ = Variances(sums, summing.all).effective_rows(rates, rest)
    lower, upper = wilson(rates, effective)
    present = [code for code in range(len(feature.values)) if sums.n[code] > 0]
    ordered = len(feature.bounds)

    def display_order(code: int) -> tuple[bool, int, float, str]:
        value = feature.values[code]
        is_rest = value in (MISSING, OTHER)
        return is_rest, min(code, ordered), -float(sums.n[code]), value

    for code in sorted(present, key=display_order):
        yield Cohort(
            by=feature.name,
            value=feature.values[code],
            n=cells.number(sums.n[code]),
            failed=cells.number(sums.k[code]),
            rate=float(rates[code]),
            ci=(float(lower[code]), float(upper[code])),
        )


def version_cells(cells: Cells) -> Iterator[VersionCell]:
    """Count the rows of each version by class, confidence and latency."""
    version = cells.index(semconv.MODEL_VERSION)
    if version is None:
        return
    versions = cells.features[version].values
    for name in _PLOTTED:
        place = cells.index(name)
        if place is None:
            continue
        values = cells.features[place].values
        groups = cells.codes[:, version] * len(values) + cells.codes[:, place]
        count = len(versions) * len(values)
        n = totals(groups, cells.weight, count)
        k = totals(groups, cells.failed_weight, count)
        for group in np.flatnonzero(n):
            yield VersionCell(
                version=versions[group // len(values)],
                attribute=name,
                value=values[group % len(values)],
                n=cells.number(n[group]),
                failed=cells.number(k[group]),
            )
