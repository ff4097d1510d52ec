"""A finding as terms of a regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from keras_otel.analysis.aggregation.cells import Cells, Floats, Mask, Predicates, Term

_CURVES: Final = 2
_NEAR: Final = 2
"""Values on each side of a range whose rates may be between those inside and outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A finding as terms of the regression.

    Its rows have a coefficient. A range has more: for a curve along its feature's values, and, where the
    other predicates hold, for the values next to it. Rates mostly rise or fall along a number; with one
    step alone, parts of the range and its neighbours would be left over as if they were findings of their
    own. Values further off are left alone: the other end may be a finding.

    Attributes:
        inside: [C], its cells.
        kinds: [C], a number for each combination of terms.
        count: Such numbers there may be.
        terms: [C, T], what the coefficients are multiplied with. The mean of a curve is 0 over the
            rows inside, and of a neighbouring value over those outside: without all of it, rows inside
            are like the average outside.
    """

    inside: Mask
    kinds: npt.NDArray[np.int64]
    count: int
    terms: Floats


def effect(cells: Cells, predicates: Predicates) -> Effect:
    """Make the terms of a finding."""
    inside = cells.where(predicates)
    kinds = inside.astype(np.int64)
    count = 2
    terms = [inside.astype(np.float64)]
    for term in predicates:
        bounds = len(cells.features[term.place].bounds)
        if not bounds:
            continue
        others = cells.where(tuple(each for each in predicates if each is not term))
        codes = cells.codes[:, term.place]
        is_ordered = others & (codes < bounds)
        kinds = kinds * (bounds + 1) + np.where(is_ordered, codes + 1, 0)
        count *= bounds + 1
        terms += _curves(inside, codes, cells.weight)
        outside = is_ordered & ~inside
        terms += [
            _centred(outside, codes == code, cells.weight) for code in _neighbours(term, bounds)
        ]
    return Effect(inside=inside, kinds=kinds, count=count, terms=np.stack(terms, axis=1))


def _neighbours(term: Term, bounds: int) -> list[int]:
    """List the values next to a range; at least one value further off is left to compare with."""
    below = range(term.low - 1, max(-1, term.low - 1 - _NEAR), -1)
    above = range(term.high + 1, min(bounds, term.high + 1 + _NEAR))
    nearest_first = sorted(
        [*below, *above], key=lambda code: max(term.low - code, code - term.high)
    )
    outside = bounds - (term.high - term.low + 1)
    return nearest_first[: max(0, outside - 1)]


def _curves(part: Mask, codes: npt.NDArray[np.int64], weight: Floats) -> list[Floats]:
    """Make a line and a parabola along the values of some cells, as far as there are values for them."""
    there = np.unique(codes[part])
    if not len(there):
        return []
    line: Floats = (codes - float(np.mean(there))) / len(there)
    powers = range(1, min(_CURVES, len(there) - 1) + 1)
    return [_centred(part, np.asarray(line**power), weight) for power in powers]


def _centred(part: Mask, values: Floats | Mask, weight: Floats) -> Floats:
    """Take values less their mean over some cells; 0 elsewhere."""
    total = float(weight[part].sum())
    mean = float(np.sum(values[part] * weight[part])) / total if total else 0.0
    return np.where(part, values - mean, 0.0)
