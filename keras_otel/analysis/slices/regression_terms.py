"""The terms of a finding in the regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from keras_otel.analysis.aggregation.arrays import Floats, Mask
from keras_otel.analysis.aggregation.cells import Cells, Predicates, Term

_CURVES: Final = 2
_NEAR: Final = 2
"""Number of values on each side of a range whose rates may be between those inside and outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """The terms of a finding in the regression.

    Its rows have a coefficient. A range has more: for a curve along the values of its feature, and for
    the values next to it among the rows that match the other predicates. Rates mostly rise or fall along a
    number: with a single step, parts of the range and its neighbours would look like findings of their own.
    Values further away have no term: the other end may be a finding.

    Attributes:
        inside: [C], which cells belong to the finding.
        patterns: [C], a number for each combination of values of the terms.
        pattern_count: Upper bound of these numbers.
        terms: [C, T], columns of the design matrix. A curve has mean 0 over the rows inside, a
            neighbouring value over those outside: so with all coefficients at 0, the rows inside are like
            the average row outside.
    """

    inside: Mask
    patterns: npt.NDArray[np.int64]
    pattern_count: int
    terms: Floats


def make_effect(cells: Cells, predicates: Predicates) -> Effect:
    """Compute the terms of a finding."""
    inside = cells.where(predicates)
    patterns = inside.astype(np.int64)
    pattern_count = 2
    terms = [inside.astype(np.float64)]
    for term in predicates:
        bounds = len(cells.features[term.place].bounds)
        if not bounds:
            continue
        others = cells.where(tuple(other for other in predicates if other is not term))
        codes = cells.codes[:, term.place]
        is_ordered = others & (codes < bounds)
        patterns = patterns * (bounds + 1) + np.where(is_ordered, codes + 1, 0)
        pattern_count *= bounds + 1
        terms += _curves(inside, codes, cells.weight)
        outside = is_ordered & ~inside
        terms += [
            _centred(outside, codes == code, cells.weight) for code in _neighbours(term, bounds)
        ]
    return Effect(
        inside=inside, patterns=patterns, pattern_count=pattern_count, terms=np.stack(terms, axis=1)
    )


def _neighbours(term: Term, bounds: int) -> list[int]:
    """List the values next to a range, nearest first; at least one value stays outside to compare with."""
    below = range(term.low - 1, max(-1, term.low - 1 - _NEAR), -1)
    above = range(term.high + 1, min(bounds, term.high + 1 + _NEAR))
    nearest_first = sorted(
        [*below, *above], key=lambda code: max(term.low - code, code - term.high)
    )
    outside = bounds - (term.high - term.low + 1)
    return nearest_first[: max(0, outside - 1)]


def _curves(part: Mask, codes: npt.NDArray[np.int64], weight: Floats) -> list[Floats]:
    """Compute a line and a parabola along the values of some cells, if these have enough different values."""
    values = np.unique(codes[part])
    if not len(values):
        return []
    line: Floats = (codes - float(np.mean(values))) / len(values)
    powers = range(1, min(_CURVES, len(values) - 1) + 1)
    return [_centred(part, np.asarray(line**power), weight) for power in powers]


def _centred(part: Mask, values: Floats | Mask, weight: Floats) -> Floats:
    """Subtract from values their mean over some cells; 0 outside these."""
    total = float(weight[part].sum())
    mean = float(np.sum(values[part] * weight[part])) / total if total else 0.0
    return np.where(part, values - mean, 0.0)
