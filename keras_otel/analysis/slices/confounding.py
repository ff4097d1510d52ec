"""Check whether a slice's risk ratio changes when another attribute is held fixed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from keras_otel.analysis.aggregation.arrays import Mask
from keras_otel.analysis.aggregation.cells import Cells, Predicates, totals
from keras_otel.analysis.result import Adjustment

_NOTABLE: Final = math.log(1.1)
"""Least change of the log of a risk ratio that is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confounding:
    """Risk ratios of a slice with other attributes held fixed.

    Attributes:
        adjustments: For the attributes that change it by more than a tenth, the largest change first.
    """

    adjustments: tuple[Adjustment, ...]

    @property
    def by(self) -> tuple[str, ...]:
        """Names of these attributes."""
        return tuple(adjusted.attribute for adjusted in self.adjustments)


def mantel_haenszel_risk_ratio(
    failed: npt.ArrayLike,
    n: npt.ArrayLike,
    failed_rest: npt.ArrayLike,
    n_rest: npt.ArrayLike,
) -> float:
    """Compute the Mantel-Haenszel risk ratio of a slice: it is compared with the rest within each stratum.

    Args:
        failed: Failures in the slice, by stratum.
        n: Rows in the slice.
        failed_rest: Failures outside it.
        n_rest: Rows outside it.

    Returns:
        The ratio; infinite if nothing failed outside in any stratum with rows on both sides, and NaN if
        no stratum has rows on both sides, or nothing failed in those.

    Source:
        S. Greenland and J. M. Robins, "Estimation of a common effect parameter from sparse follow-up
        data", Biometrics 41 (1985), 55-68.
    """
    k, rows = np.asarray(failed, dtype=np.float64), np.asarray(n, dtype=np.float64)
    k_rest, rows_rest = (np.asarray(a, dtype=np.float64) for a in (failed_rest, n_rest))
    total = rows + rows_rest
    has_rows = total > 0
    inside = float(np.sum(k[has_rows] * rows_rest[has_rows] / total[has_rows]))
    outside = float(np.sum(k_rest[has_rows] * rows[has_rows] / total[has_rows]))
    if not outside:
        return math.inf if inside else math.nan
    return inside / outside


def confounding(
    cells: Cells, predicates: Predicates, always: Sequence[str], ratio: float
) -> Confounding:
    """Compare a slice's risk ratio with that stratified by each feature that it has no predicate on.

    The features in `always` are reported, and of the others the one that changes the ratio most.

    Args:
        cells: All rows.
        predicates: The slice.
        always: Names of features to report whenever they change the ratio notably.
        ratio: The slice's risk ratio.
    """
    inside = cells.where(predicates)
    own_places = {term.place for term in predicates}
    changes: list[tuple[float, Adjustment]] = []
    for place, feature in enumerate(cells.features):
        if place in own_places or len(feature.values) < 2:
            continue
        adjusted = stratified_risk_ratio(cells, inside, place)
        if not (0 < adjusted < math.inf and 0 < ratio < math.inf):
            continue
        change = abs(math.log(adjusted) - math.log(ratio))
        if change > _NOTABLE:
            reverses = (adjusted - 1) * (ratio - 1) < 0
            adjustment = Adjustment(attribute=feature.name, risk_ratio=adjusted, reverses=reverses)
            changes.append((change, adjustment))
    changes.sort(key=lambda pair: -pair[0])
    ranked = [adjustment for _, adjustment in changes]
    others = [each.attribute for each in ranked if each.attribute not in always]
    reported = {*always, *others[:1]}
    return Confounding(adjustments=tuple(each for each in ranked if each.attribute in reported))


def stratified_risk_ratio(cells: Cells, inside: Mask, place: int) -> float:
    """Compute the risk ratio of a slice with a feature held fixed.

    Args:
        cells: All rows.
        inside: [C], the cells of the slice.
        place: Place of the feature.
    """
    strata, count = cells.codes[:, place], len(cells.features[place].values)
    sums = [
        totals(strata[part], values[part], count)
        for part in (inside, ~inside)
        for values in (cells.failed_weight, cells.weight)
    ]
    return mantel_haenszel_risk_ratio(*sums)
