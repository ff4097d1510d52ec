"""Select the slices to report: each has failures that the others do not explain.

Slices that contain a cause, a part of it, or by chance much of it, all fail more often than the rest. The
best description is selected first, then the best of what it leaves unexplained, and so on; a finding
that later ones explain is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from keras_otel.analysis.aggregation.arrays import Floats, Mask
from keras_otel.analysis.slices.candidate_cache import CandidateCache, ratio
from keras_otel.analysis.slices.regression import Regression
from keras_otel.analysis.slices.regression_terms import make_effect
from keras_otel.analysis.slices.shortlist import ALPHA, Shortlist

MOST: Final = 20
"""Maximum number of findings of a family: nobody reads more."""

_STEPS: Final = 2 * MOST
_KEPT_REGRESSIONS: Final = 8
_CLEAR_Z: Final = 6.0  # standard errors
_NOTABLE_SHARE: Final = 0.2
"""A finding explains a slice if it has at least this part of the failures that the strongest one explains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A slice to report.

    Attributes:
        index: Index of the candidate.
        ratio: Its failures, divided by those that all other findings expect of it.
        p: P value of its failures, given the other findings.
    """

    index: int
    ratio: float
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CausalOrder:
    """Which features are consequences of which, where that is known.

    Attributes:
        causes: Places of features such as the model's version.
        consequences: Places of features that depend on them, such as the confidence. Such a mediator
            shows how a cause works, and does not explain it away.
    """

    causes: frozenset[int] = frozenset()
    consequences: frozenset[int] = frozenset()


class Search:
    """The search for findings among candidates.

    Args:
        slices: The candidates.
        order: Which features are consequences of which.
    """

    def __init__(self, slices: CandidateCache, order: CausalOrder) -> None:
        self._slices = slices
        self._order = order
        self._shortlist = Shortlist(slices)
        self._selected: list[int] = []
        self._regressions: dict[tuple[int, ...], Regression] = {}
        self._excess: dict[int, Floats] | None = None

    def findings(self) -> list[Finding]:
        """Return the findings in the order in which they were selected."""
        if not self._slices.is_significant.any():
            return []
        for _ in range(_STEPS):
            index = self._next() if len(self._selected) < MOST else None
            if index is None:
                break
            self._selected.append(index)
            self._shortlist.exclude(index)
            self._drop_explained()
        return [*self._described(), *self._explained_by_consequences_alone()]

    def findings_explaining(self, inside: Mask) -> list[int]:
        """Return the findings that explain a slice's failures, the one that explains most first.

        Args:
            inside: [C], which cells belong to the slice.
        """
        if self._excess is None:
            full = self._regression()
            self._excess = {
                index: full.expected - full.expected_without(number)
                for number, index in enumerate(self._selected)
            }
        shares = {index: float(excess[inside].sum()) for index, excess in self._excess.items()}
        most = max(shares.values(), default=0.0)
        chosen = [index for index in shares if shares[index] >= _NOTABLE_SHARE * most]
        return sorted(chosen, key=lambda index: -shares[index])

    def _regression(self, kept: Sequence[int] | None = None) -> Regression:
        """Return the regression on some slices, by default on those selected."""
        key = tuple(self._selected if kept is None else kept)
        if key not in self._regressions:
            previous = next(reversed(self._regressions.values()), None)
            effects = [self._slices.effect(index) for index in key]
            self._regressions[key] = Regression(self._slices.cells, effects, previous)
            if len(self._regressions) > _KEPT_REGRESSIONS:
                self._regressions.pop(next(iter(self._regressions)))
        return self._regressions[key]

    def _next(self) -> int | None:
        """Return the slice that explains most of what is unexplained; None if there is none."""
        regression, selected = self._regression(), self._selected
        if selected:
            index = self._shortlist.best_of_ranked(regression, selected, self._has_large_effect)
            if index is not None:
                return index
        self._shortlist.rank_all(regression, is_first=not selected)
        return self._shortlist.best(regression, selected, self._has_large_effect)

    def _has_large_effect(self, index: int) -> bool:
        """Return whether a slice's effect beside those selected is worth reporting."""
        regression = self._regression([*self._selected, index])
        return self._slices.has_large_effect(regression, len(self._selected), index)

    def _drop_explained(self) -> None:
        """Drop findings that the others explain, the weakest first."""
        while len(self._selected) > 1:
            full = self._regression()
            weakest, weakest_p = None, 0.0
            for number, index in enumerate(self._selected):
                p = (
                    0.0
                    if self._is_clearly_unexplained(full, number, index)
                    else self._p_given_others(index)
                )
                p *= float(self._slices.multiplicity[index])
                if not self._slices.has_large_effect(full, number, index):
                    p = 1.0 + p
                if not p <= self._shortlist.threshold and p > weakest_p:
                    weakest, weakest_p = index, p
            if weakest is None:
                return
            self._selected.remove(weakest)

    def _is_clearly_unexplained(self, full: Regression, number: int, index: int) -> bool:
        """Return whether a finding is so far from explained that the exact test can be skipped."""
        return full.z(number) > _CLEAR_Z * math.sqrt(float(self._slices.inflation[index]))

    def _p_given_others(self, index: int) -> float:
        """Test a finding given the others; 1 if it cannot be tested."""
        others = [other for other in self._selected if other != index]
        scores = self._regression(others).scores([self._slices.mask(index)])
        p = float(scores.p[0])
        return p if np.isfinite(p) else 1.0

    def _described(self) -> list[Finding]:
        """Compute ratio and p value of those selected."""
        full = self._regression()
        return [
            Finding(
                index=index,
                ratio=ratio(*self._slices.observed_and_expected(full, number, index)),
                p=self._p_given_others(index),
            )
            for number, index in enumerate(self._selected)
        ]

    def _explained_by_consequences_alone(self) -> list[Finding]:
        """Return the values of causes that only their consequences seem to explain."""
        slices, consequences = self._slices, self._order.consequences
        without_consequences = {
            tuple(term for term in slices.predicates(index) if term.place not in consequences)
            for index in self._selected
        }
        others = [
            make_effect(slices.cells, predicates)
            for predicates in sorted(without_consequences)
            if predicates
        ]
        values = slices.significant_values(self._order.causes)
        findings = []
        for index in values:
            if index in self._selected:
                continue
            scores = Regression(slices.cells, others).scores([slices.mask(index)])
            full = Regression(slices.cells, [*others, slices.effect(index)])
            # All are significant alone, so the correction is only for this second, smaller set of tests.
            is_unexplained = bool(scores.p[0] <= ALPHA / len(values))
            if is_unexplained and slices.has_large_effect(full, len(others), index):
                failures = slices.observed_and_expected(full, len(others), index)
                p = float(scores.p[0])
                findings.append(Finding(index=index, ratio=ratio(*failures), p=p))
        return findings
