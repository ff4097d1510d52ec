"""What is found out about single candidates, once each: predicates, cells, terms, and what is enough."""

from __future__ import annotations

import math

import numpy as np

from keras_otel.analysis.aggregation.cells import Cells, Floats, Mask, Predicates
from keras_otel.analysis.slices.candidates import Candidates
from keras_otel.analysis.slices.comparison import MIN_RISK_RATIO, MIN_SHARE
from keras_otel.analysis.slices.regression import Regression
from keras_otel.analysis.slices.regression_terms import Effect, effect


class KnownSlices:
    """Candidates by their number.

    Args:
        found: The candidates.
        is_significant: [S], those that stand out by themselves.
        inflation: [S], the variance of a slice's rate divided by that of independent rows; NaN where
            it was not tested.
        tested: Slices tested.
        choices: [S], how many there are for each like it that was tested: its p value counts so many times.
        is_better: Whether what counts as a failure is a success.
    """

    def __init__(
        self,
        found: Candidates,
        is_significant: Mask,
        inflation: Floats,
        tested: int,
        choices: Floats,
        *,
        is_better: bool,
    ) -> None:
        self.found = found
        self.cells: Cells = found.cells
        self.is_significant = is_significant
        self.inflation = inflation
        self.tested = max(1, tested)
        self.choices = choices
        self.is_better = is_better
        self._predicates: dict[int, Predicates] = {}
        self._masks: dict[int, Mask] = {}
        self._effects: dict[int, Effect] = {}
        failures = self.cells.failed_weight
        self._failures = float((self.cells.weight - failures if is_better else failures).sum())

    @property
    def is_robust(self) -> bool:
        """Whether variances are those of clusters or weights."""
        return self.cells.clusters is not None or self.cells.is_weighted

    def predicates(self, index: int) -> Predicates:
        """What the rows of a slice have in common."""
        if index not in self._predicates:
            self._predicates[index] = self.found.predicates(index)
        return self._predicates[index]

    def mask(self, index: int) -> Mask:
        """The cells of a slice, [C]."""
        if index not in self._masks:
            self._masks[index] = self.cells.where(self.predicates(index))
        return self._masks[index]

    def effect(self, index: int) -> Effect:
        """The terms of a slice in a regression."""
        if index not in self._effects:
            self._effects[index] = effect(self.cells, self.predicates(index))
        return self._effects[index]

    def insignificant_values(self) -> list[int]:
        """The values that do not stand out by themselves, those with most rows first."""
        single = np.flatnonzero(~self.is_significant & (self.found.level() == 1))
        values = [int(each) for each in single if self.is_value(int(each))]
        return sorted(values, key=lambda index: -float(self.found.sums.rows[index]))

    def values_of(self, places: frozenset[int]) -> list[int]:
        """The significant slices that are a value of one of these features."""
        single = np.flatnonzero(self.is_significant & (self.found.level() == 1))
        return [int(each) for each in single if self.predicates(int(each))[0].place in places]

    def is_value(self, index: int) -> bool:
        """True for a slice that is a value of a feature without an order."""
        predicates = self.predicates(index)
        return len(predicates) == 1 and not self.cells.features[predicates[0].place].bounds

    def observed_and_expected(
        self, regression: Regression, number: int, index: int
    ) -> tuple[float, float]:
        """The failures of a slice, and those expected of its rows without its own effect.

        Args:
            regression: Has the slice's effect.
            number: Of that effect.
            index: Of the slice.
        """
        mask = self.mask(index)
        failed = float(self.cells.failed_weight[mask].sum())
        expected = float(regression.without(number)[mask].sum())
        return self._failures_of(index, failed, expected)

    def is_enough(
        self, index: int, failed: float, expected: float, *, roughly: float = 1.0
    ) -> bool:
        """True if so many of what counts as failures, instead of those expected, are worth reporting."""
        return self._matters(*self._failures_of(index, failed, expected), roughly)

    def matters(self, regression: Regression, number: int, index: int) -> bool:
        """True if a slice's own effect in a regression is worth reporting."""
        return self._matters(*self.observed_and_expected(regression, number, index), 1.0)

    def _matters(self, failed: float, expected: float, roughly: float) -> bool:
        excess = (expected - failed) if self.is_better else (failed - expected)
        share = excess / self._failures
        return share >= MIN_SHARE * roughly and self.larger_ratio(failed, expected) >= (
            MIN_RISK_RATIO * roughly
        )

    def larger_ratio(self, failed: float, expected: float) -> float:
        """The risk ratio; of slices that fail less, that of the rest."""
        return ratio(expected, failed) if self.is_better else ratio(failed, expected)

    def _failures_of(self, index: int, failed: float, expected: float) -> tuple[float, float]:
        if not self.is_better:
            return failed, expected
        n = float(self.cells.weight[self.mask(index)].sum())
        return n - failed, n - expected


def ratio(failed: float, expected: float) -> float:
    """Failures divided by those expected."""
    return failed / expected if expected > 0 else math.inf


def is_same_story(one: Predicates, other: Predicates) -> bool:
    """True if two slices differ in ranges of the same features only, and these touch."""
    if [term.place for term in one] != [term.place for term in other]:
        return False
    touches, has_range = True, False
    for a, b in zip(one, other, strict=True):
        if (a.low, a.high) == (b.low, b.high):
            continue
        if a.low == a.high and b.low == b.high:
            return False
        has_range = True
        touches &= a.low <= b.high + 1 and b.low <= a.high + 1
    return has_range and touches
