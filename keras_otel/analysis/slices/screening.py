"""Screen many features: test each alone, and combine those whose rates differ most."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import ibis.expr.types as ir
import numpy as np

from keras_otel.analysis.aggregation.arrays import Floats
from keras_otel.analysis.aggregation.cells import Cells, cells_by_family
from keras_otel.analysis.aggregation.features import Feature
from keras_otel.analysis.slices.candidates import candidates, support_of
from keras_otel.analysis.slices.comparison import compare
from keras_otel.analysis.slices.sums import Summing

MAX_FEATURES: Final = 12
_NAMED: Final = 8

Family = tuple[str, str]
"""Evaluation name and model."""

Tested = Mapping[Family, Floats]
"""P values of slices by family."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreeningTests:
    """The tests of the features that were screened out, for the correction of the others.

    Attributes:
        p: P values of the slices of one predicate on these features.
        multiplicity: For one, two and three predicates: how many sets of that many features there are,
            for each set of the features kept. These were chosen by their failures, so without this factor
            chance would make findings of their combinations.
    """

    p: Floats
    multiplicity: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenedFeatures:
    """The features to combine, and the tests of the others.

    Attributes:
        features: At most 12, or those requested if these are more.
        p: P values, that they fail more often, of the slices of one predicate on all other features.
        p_better: P values of the same slices, that they fail less often.
        multiplicity: As in `ScreeningTests`.
        note: A sentence on the others; None if there are none.
    """

    features: tuple[Feature, ...]
    p: Tested
    p_better: Tested
    multiplicity: tuple[float, float, float] = (1.0, 1.0, 1.0)
    note: str | None = None

    def tests_of(self, family: Family, *, is_better: bool = False) -> ScreeningTests:
        """Return the tests of the other features in one family."""
        p = (self.p_better if is_better else self.p).get(family, np.zeros(0))
        return ScreeningTests(p=p, multiplicity=self.multiplicity)


def screen_features(
    table: ir.Table,
    features: Sequence[Feature],
    requested: Sequence[str],
    *,
    is_clustered: bool,
    is_weighted: bool,
    min_support: int | None,
) -> ScreenedFeatures:
    """Choose the features to combine: those requested, then those with the smallest p values alone, up to 12.

    Each feature's p value is corrected for its number of slices.

    Args:
        table: The rows.
        features: The features to choose from.
        requested: Names of the features that the user requested; they are chosen first.
        is_clustered: As in `cells_by_family`.
        is_weighted: As in `cells_by_family`.
        min_support: Minimum number of rows of a slice; the default of `support_of` if None.
    """
    differing = [feature for feature in features if len(feature.values) > 1]
    constant = [feature for feature in features if feature not in differing]
    if len(differing) <= MAX_FEATURES:
        # A feature with one value makes no slices, but its cohort is reported if there is room.
        kept_names = {feature.name for feature in (*differing, *constant)[:MAX_FEATURES]} | set(
            requested
        )
        return ScreenedFeatures(
            features=tuple(each for each in features if each.name in kept_names), p={}, p_better={}
        )
    alone: dict[str, Tested] = {}
    alone_better: dict[str, Tested] = {}
    for feature in differing:
        families = cells_by_family(
            table, [feature], is_clustered=is_clustered, is_weighted=is_weighted
        )
        tested = {
            (eval_name, model): _p_alone(cells, min_support) for eval_name, model, cells in families
        }
        alone[feature.name] = {family: p for family, (p, _) in tested.items()}
        alone_better[feature.name] = {family: p for family, (_, p) in tested.items()}

    def priority(feature: Feature) -> tuple[bool, float]:
        tested = [p for p in alone[feature.name].values() if p.size]
        corrected = [float(np.min(p)) * p.size for p in tested]
        return feature.name not in requested, min(corrected, default=float("inf"))

    ranked = sorted(differing, key=priority)
    room = max(MAX_FEATURES, sum(feature.name in requested for feature in differing))
    kept = {feature.name for feature in ranked[:room]}
    left = [feature.name for feature in ranked[room:]]
    return ScreenedFeatures(
        features=tuple(feature for feature in differing if feature.name in kept),
        p=dict(_concatenated(alone, left)),
        p_better=dict(_concatenated(alone_better, left)),
        multiplicity=(
            1.0,
            _multiplicity(len(ranked), room, 2),
            _multiplicity(len(ranked), room, 3),
        ),
        note=(
            f"each of {len(differing)} attributes was tested alone, and the {room} that differ most "
            f"go on to combinations; not combined: {_listed(left)}"
        )
        if left
        else None,
    )


def _multiplicity(total: int, chosen: int, level: int) -> float:
    """Divide the number of sets of so many features by that of sets of the chosen features."""
    return math.comb(total, level) / math.comb(min(total, chosen), level)


def _p_alone(cells: Cells, min_support: int | None) -> tuple[Floats, Floats]:
    """Return the p values of the slices of one predicate: that they fail more often, and less often."""
    summing = Summing(cells)
    support = support_of(float(summing.all.rows[0]), min_support)
    slices = candidates(cells, summing, levels=(1,), support=support)
    is_exact = cells.clusters is None and not cells.is_weighted
    worse = compare(slices.sums, summing.all, is_exact=is_exact).p
    better = compare(slices.sums.flipped(), summing.all.flipped(), is_exact=is_exact).p
    return worse[np.isfinite(worse)], better[np.isfinite(better)]


def _concatenated(
    alone: Mapping[str, Tested], left: Sequence[str]
) -> Iterator[tuple[Family, Floats]]:
    """Yield the p values of these features together, by family."""
    families = {family for name in left for family in alone[name]}
    for family in families:
        parts = [alone[name][family] for name in left if family in alone[name]]
        yield family, np.concatenate(parts)


def _listed(names: Sequence[str]) -> str:
    """List the first names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
