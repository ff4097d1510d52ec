"""Does a slice stand out by itself, or by what it happens to come with?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from keras_otel.analysis.aggregation.cells import Cells, Mask, Predicates, totals
from keras_otel.analysis.result import Adjustment

_NOTABLE: Final = math.log(1.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confounding:
    """What holding other attributes fixed does to a slice's risk ratio.

    Attributes:
        adjustments: By the attributes that change it by more than a tenth, the largest change first.
    """

    adjustments: tuple[Adjustment, ...]

    @property
    def by(self) -> tuple[str, ...]:
        """The attributes."""
        return tuple(adjusted.attribute for adjusted in self.adjustments)


def mantel_haenszel_risk_ratio(
    failed: npt.ArrayLike,
    n: npt.ArrayLike,
    failed_rest: npt.ArrayLike,
    n_rest: npt.ArrayLike,
) -> float:
    """The risk ratio of a slice with each stratum compared within itself.

    Args:
        failed: Failures in the slice, by stratum.
        n: Rows in the slice.
        failed_rest: Failures outside it.
        n_rest: Rows outside it.

    Returns:
        The ratio; infinite where nothing failed outside in any stratum that has both, and NaN where
        no stratum has both or nothing failed in those.

    Source:
        S. Greenland and J. M. Robins, "Estimation of a common effect parameter from sparse follow-up
        data", Biometrics 41 (1985), 55-68.
    """
    k, rows = np.asarray(failed, dtype=np.float64), np.asarray(n, dtype=np.float64)
    k_rest, rows_rest = (np.asarray(a, dtype=np.float64) for a in (failed_rest, n_rest))
    total = rows + rows_rest
    there = total > 0
    inside = float(np.sum(k[there] * rows_rest[there] / total[there]))
    outside = float(np.sum(k_rest[there] * rows[there] / total[there]))
    if not outside:
        return math.inf if inside else math.nan
    return inside / outside


def confounding(
    cells: Cells, predicates: Predicates, always: Sequence[str], ratio: float
) -> Confounding:
    """Compare a slice's risk ratio with that adjusted for each feature that is no part of it.

    Every feature is looked at; reported are those named in `always`, and of the others the one that
    changes the ratio most.

    Args:
        cells: All rows.
        predicates: The slice.
        always: Names of features.
        ratio: The slice's risk ratio.
    """
    inside = cells.where(predicates)
    taken = {term.place for term in predicates}
    changes: list[tuple[float, Adjustment]] = []
    for place, feature in enumerate(cells.features):
        if place in taken or len(feature.values) < 2:
            continue
        adjusted = ratio_within(cells, inside, place)
        if not (0 < adjusted < math.inf and 0 < ratio < math.inf):
            continue
        change = abs(math.log(adjusted) - math.log(ratio))
        if change > _NOTABLE:
            reverses = (adjusted - 1) * (ratio - 1) < 0
            found = Adjustment(attribute=feature.name, risk_ratio=adjusted, reverses=reverses)
            changes.append((change, found))
    changes.sort(key=lambda each: -each[0])
    others = [adjusted.attribute for _, adjusted in changes if adjusted.attribute not in always]
    shown = {*always, *others[:1]}
    return Confounding(adjustments=tuple(found for _, found in changes if found.attribute in shown))


def ratio_within(cells: Cells, inside: Mask, place: int) -> float:
    """The risk ratio of some cells with a feature held fixed.

    Args:
        cells: All rows.
        inside: [C], the cells of a slice.
        place: Of the feature.
    """
    strata, count = cells.codes[:, place], len(cells.features[place].values)
    sums = [
        totals(strata[part], values[part], count)
        for part in (inside, ~inside)
        for values in (cells.failed_weight, cells.weight)
    ]
    return mantel_haenszel_risk_ratio(*sums)
