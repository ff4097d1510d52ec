"""With many features: each is tried alone, and those that differ most go on to combinations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import ibis.expr.types as ir
import numpy as np

from keras_otel.analysis.aggregation.cells import Cells, Floats, cells_by_family
from keras_otel.analysis.aggregation.features import Feature
from keras_otel.analysis.slices.candidates import candidates, support_of
from keras_otel.analysis.slices.comparison import compared
from keras_otel.analysis.slices.sums import Summing

MAX_FEATURES: Final = 12
_NAMED: Final = 8

Family = tuple[str, str]
"""Evaluation name and model."""

Tested = Mapping[Family, Floats]
"""P values of slices, by family."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """What was tested, or might have been, besides the slices of the features that go on.

    Attributes:
        p: Of the slices of one predicate of the other features.
        choices: For one, two and three predicates: how many sets of features there are for each that
            goes on. Those that go on were chosen by what they observed: without this, combinations
            of them would make findings of chance.
    """

    p: Floats
    choices: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Screened:
    """The features that go on, and what became of the others.

    Attributes:
        features: At most 12, or those asked for.
        p: Of the slices of one predicate of all other features: they were tested too.
        p_better: Of the same slices, that they fail less often.
        choices: As in `Elsewhere`.
        note: A sentence on the others; None where there are none.
    """

    features: tuple[Feature, ...]
    p: Tested
    p_better: Tested
    choices: tuple[float, float, float] = (1.0, 1.0, 1.0)
    note: str | None = None

    def elsewhere(self, family: Family, *, is_better: bool = False) -> Elsewhere:
        """What was tested of a family and goes no further."""
        p = (self.p_better if is_better else self.p).get(family, np.zeros(0))
        return Elsewhere(p=p, choices=self.choices)


def screened(
    table: ir.Table,
    features: Sequence[Feature],
    asked: Sequence[str],
    *,
    is_clustered: bool,
    is_weighted: bool,
    min_support: int | None,
) -> Screened:
    """Choose the features to combine: those asked for, then those with the smallest p value alone, up to 12.

    Each feature's p value is corrected for its number of slices.

    Args:
        table: The rows.
        features: All that may be.
        asked: Names of those that the user asked for; they go first.
        is_clustered: As in `cells_by_family`.
        is_weighted: As there.
        min_support: Fewest rows of a slice, instead of the usual.
    """
    differing = [feature for feature in features if len(feature.values) > 1]
    constant = [feature for feature in features if feature not in differing]
    if len(differing) <= MAX_FEATURES:
        # Those with one value say what it is; there is room for some.
        shown = {feature.name for feature in (*differing, *constant)[:MAX_FEATURES]} | set(asked)
        return Screened(
            features=tuple(each for each in features if each.name in shown), p={}, p_better={}
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

    def smallest(feature: Feature) -> tuple[bool, float]:
        tested = [p for p in alone[feature.name].values() if p.size]
        corrected = [float(np.min(p)) * p.size for p in tested]
        return feature.name not in asked, min(corrected, default=float("inf"))

    ranked = sorted(differing, key=smallest)
    room = max(MAX_FEATURES, sum(feature.name in asked for feature in differing))
    kept = {feature.name for feature in ranked[:room]}
    left = [feature.name for feature in ranked[room:]]
    return Screened(
        features=tuple(feature for feature in differing if feature.name in kept),
        p=dict(_joined(alone, left)),
        p_better=dict(_joined(alone_better, left)),
        choices=(1.0, _choices(len(ranked), room, 2), _choices(len(ranked), room, 3)),
        note=(
            f"each of {len(differing)} attributes was tested alone, and the {room} that differ most "
            f"go on to combinations; not combined: {_listed(left)}"
        )
        if left
        else None,
    )


def _choices(there: int, chosen: int, level: int) -> float:
    """The sets of so many features that there are, for each set of those chosen."""
    return math.comb(there, level) / math.comb(min(there, chosen), level)


def _p_alone(cells: Cells, min_support: int | None) -> tuple[Floats, Floats]:
    """The p values of the slices of one predicate: that they fail more often, and less often."""
    summing = Summing(cells)
    support = support_of(float(summing.all.rows[0]), min_support)
    found = candidates(cells, summing, levels=(1,), support=support)
    is_exact = cells.clusters is None and not cells.is_weighted
    worse = compared(found.sums, summing.all, is_exact=is_exact).p
    better = compared(found.sums.flipped(), summing.all.flipped(), is_exact=is_exact).p
    return worse[np.isfinite(worse)], better[np.isfinite(better)]


def _joined(alone: Mapping[str, Tested], left: Sequence[str]) -> Iterator[tuple[Family, Floats]]:
    families = {family for name in left for family in alone[name]}
    for family in families:
        parts = [alone[name][family] for name in left if family in alone[name]]
        yield family, np.concatenate(parts)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
