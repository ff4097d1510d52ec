"""Predicates, cells and regression terms of single candidates, each computed once, and how large an effect must be."""

from __future__ import annotations

import math

import numpy as np

from keras_otel.analysis.aggregation.arrays import Floats, Mask
from keras_otel.analysis.aggregation.cells import Cells, Predicates
from keras_otel.analysis.slices.candidates import Candidates
from keras_otel.analysis.slices.comparison import MIN_RISK_RATIO, MIN_SHARE
from keras_otel.analysis.slices.regression import Regression
from keras_otel.analysis.slices.regression_terms import Effect, make_effect


class CandidateCache:
    """What is computed for single candidates, by their index among all candidates.

    Args:
        candidates: All of them.
        is_significant: [S], whether a slice is significant compared with its complement.
        inflation: [S], the variance of a slice's rate divided by that of independent rows; NaN where
            it was not tested.
        tested: Number of slices tested.
        multiplicity: [S], factor for the p value: how many slices like it there are, among all features, for
            each one that was tested.
        is_better: Whether slices that fail less often are looked for: failures and successes are swapped in
            the candidates.
    """

    def __init__(
        self,
        candidates: Candidates,
        is_significant: Mask,
        inflation: Floats,
        tested: int,
        multiplicity: Floats,
        *,
        is_better: bool,
    ) -> None:
        self.candidates = candidates
        self.cells: Cells = candidates.cells
        self.is_significant = is_significant
        self.inflation = inflation
        self.tested = max(1, tested)
        self.multiplicity = multiplicity
        self.is_better = is_better
        self._predicates: dict[int, Predicates] = {}
        self._masks: dict[int, Mask] = {}
        self._effects: dict[int, Effect] = {}
        failures = self.cells.failed_weight
        self._total_failures = float(
            (self.cells.weight - failures if is_better else failures).sum()
        )

    @property
    def is_robust(self) -> bool:
        """Whether variances are those of clusters or weights."""
        return self.cells.clusters is not None or self.cells.is_weighted

    def predicates(self, index: int) -> Predicates:
        """Return the predicates of a slice."""
        if index not in self._predicates:
            self._predicates[index] = self.candidates.predicates(index)
        return self._predicates[index]

    def mask(self, index: int) -> Mask:
        """Return which cells belong to a slice, [C]."""
        if index not in self._masks:
            self._masks[index] = self.cells.where(self.predicates(index))
        return self._masks[index]

    def effect(self, index: int) -> Effect:
        """Return the terms of a slice in a regression."""
        if index not in self._effects:
            self._effects[index] = make_effect(self.cells, self.predicates(index))
        return self._effects[index]

    def insignificant_values(self) -> list[int]:
        """Return the slices of a single value that are not significant, those with most rows first."""
        single = np.flatnonzero(~self.is_significant & (self.candidates.predicate_counts() == 1))
        values = [int(index) for index in single if self.is_single_value(int(index))]
        return sorted(values, key=lambda index: -float(self.candidates.sums.rows[index]))

    def significant_values(self, places: frozenset[int]) -> list[int]:
        """Return the significant slices of one predicate on one of these features."""
        single = np.flatnonzero(self.is_significant & (self.candidates.predicate_counts() == 1))
        return [int(index) for index in single if self.predicates(int(index))[0].place in places]

    def is_single_value(self, index: int) -> bool:
        """Return whether a slice is a single value of a feature without an order."""
        predicates = self.predicates(index)
        return len(predicates) == 1 and not self.cells.features[predicates[0].place].bounds

    def observed_and_expected(
        self, regression: Regression, number: int, index: int
    ) -> tuple[float, float]:
        """Return the failures of a slice, and those expected of its rows without its own effect.

        Args:
            regression: A regression with the slice's effect.
            number: Place of that effect in the regression.
            index: Index of the slice.
        """
        mask = self.mask(index)
        failed = float(self.cells.failed_weight[mask].sum())
        expected = float(regression.expected_without(number)[mask].sum())
        return self._counted_failures(index, failed, expected)

    def is_large_enough(
        self, index: int, failed: float, expected: float, *, tolerance: float = 1.0
    ) -> bool:
        """Return whether the difference between observed and expected failures is worth reporting.

        Args:
            index: Index of the slice.
            failed: Failures observed.
            expected: Failures expected.
            tolerance: Factor for the limits: below 1 for numbers that are approximate.
        """
        return self._is_large(*self._counted_failures(index, failed, expected), tolerance)

    def has_large_effect(self, regression: Regression, number: int, index: int) -> bool:
        """Return whether a slice's own effect in a regression is worth reporting."""
        return self._is_large(*self.observed_and_expected(regression, number, index), 1.0)

    def _is_large(self, failed: float, expected: float, tolerance: float) -> bool:
        excess = (expected - failed) if self.is_better else (failed - expected)
        share = excess / self._total_failures
        return share >= MIN_SHARE * tolerance and self.ratio_of_worse(failed, expected) >= (
            MIN_RISK_RATIO * tolerance
        )

    def ratio_of_worse(self, failed: float, expected: float) -> float:
        """Return the risk ratio; for slices that fail less often, its inverse."""
        return ratio(expected, failed) if self.is_better else ratio(failed, expected)

    def _counted_failures(self, index: int, failed: float, expected: float) -> tuple[float, float]:
        if not self.is_better:
            return failed, expected
        n = float(self.cells.weight[self.mask(index)].sum())
        return n - failed, n - expected


def ratio(failed: float, expected: float) -> float:
    """Divide failures by those expected."""
    return failed / expected if expected > 0 else math.inf


def differ_in_touching_ranges(first: Predicates, second: Predicates) -> bool:
    """Return whether two slices differ only in ranges of the same features, and these overlap or adjoin."""
    if [term.place for term in first] != [term.place for term in second]:
        return False
    touches, has_range = True, False
    for a, b in zip(first, second, strict=True):
        if (a.low, a.high) == (b.low, b.high):
            continue
        if a.low == a.high and b.low == b.high:
            return False
        has_range = True
        touches &= a.low <= b.high + 1 and b.low <= a.high + 1
    return has_range and touches
