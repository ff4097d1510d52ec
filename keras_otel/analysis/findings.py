"""Which slices to report: those that stand out, each by failures that the others do not explain.

Slices that hold a cause, a part of it, or much of it by chance all fail more often than the rest. The
best description is taken first, then the best of what it leaves unexplained, and so on; what a
later finding explains is given up again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from keras_otel.analysis.candidates import Candidates
from keras_otel.analysis.cells import Cells, Floats, Mask, Predicates
from keras_otel.analysis.comparison import MIN_RISK_RATIO, MIN_SHARE
from keras_otel.analysis.significance import matched_binomial_tail, upper_tail
from keras_otel.analysis.unexplained import Regression, columns

ALPHA: Final = 0.025
"""The error that a further finding may be: half of the first one's, since each may be followed by more."""
MOST: Final = 50
"""Findings of a family: nobody reads more."""

_LOOKED_AT: Final = 48
_PROMISING: Final = 1.8  # standard deviations, by a variance that is too large
_STEPS: Final = 4 * MOST
_NOTABLE_SHARE: Final = 0.2
"""Of the largest share of a slice's failures: findings with less do not explain it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A slice to report.

    Attributes:
        index: Of the candidate.
        ratio: Its failures, divided by those expected by all other findings.
        p: Of its failures, the other findings given.
    """

    index: int
    ratio: float
    p: float


class Search:
    """Looks for the findings among candidates.

    Args:
        found: The candidates.
        is_significant: [S], those that may be findings by themselves.
        inflation: [S], the variance of a slice's rate divided by that of independent rows.
        tested: Slices tested.
        is_better: Whether what counts as a failure is a success: the risk ratio is that of the rest then.
    """

    def __init__(
        self,
        found: Candidates,
        is_significant: Mask,
        inflation: Floats,
        tested: int,
        *,
        is_better: bool = False,
    ) -> None:
        self._found = found
        self._cells: Cells = found.cells
        self._is_significant = is_significant
        self._inflation = inflation
        self._tested = max(1, tested)
        self._is_open = np.isfinite(inflation)
        level = found.level()
        count = np.bincount(level, minlength=4)
        self._penalty: Floats = np.log(np.maximum(count, 1))[level]
        self._picked: list[int] = []
        self._predicates: dict[int, Predicates] = {}
        self._masks: dict[int, Mask] = {}
        self._terms: dict[int, list[Mask]] = {}
        self._effects: dict[int, Floats] | None = None
        self._threshold = ALPHA / self._tested
        self._is_better = is_better
        failures = self._cells.failed_weight
        self._failed = float((self._cells.weight - failures if is_better else failures).sum())

    def findings(self) -> list[Finding]:
        """The findings, as they were found."""
        if not self._is_significant.any():
            return []
        for _ in range(_STEPS):
            if len(self._picked) >= MOST or not self._add():
                break
            self._give_up()
        return self._described()

    def _regression(self, without: int | None = None) -> Regression:
        kept = [index for index in self._picked if index != without]
        return Regression(self._cells, [self._terms[index] for index in kept])

    def _add(self) -> bool:
        """Take the slice that says most of what is unexplained; False if there is none."""
        regression = self._regression()
        promising = self._promising(regression)
        while len(promising):
            looked_at, promising = promising[:_LOOKED_AT], promising[_LOOKED_AT:]
            for index in looked_at:
                self._know(index)
            looked_at = [index for index in looked_at if not self._is_known_story(index)]
            if not looked_at:
                continue
            scores = regression.scores(np.array([self._masks[index] for index in looked_at]))
            penalised = scores.evidence - self._penalty[looked_at]
            for place in np.argsort(-penalised):
                index = looked_at[place]
                bar = self._threshold
                if not self._is_significant[index]:
                    bar = ALPHA / self._tested
                if not scores.p[place] <= bar:
                    continue
                if self._is_large(index):
                    self._picked.append(index)
                    self._is_open[index] = False
                    return True
                self._is_open[index] = False
            return False
        return False

    def _promising(self, regression: Regression) -> list[int]:
        """Slices that may be significant given the findings, the most telling first."""
        found = self._found
        expected, spread = found.totals(regression.expected, regression.spread)
        everything = float(regression.spread.sum())
        variance = np.maximum(spread - spread**2 / everything, 0.0)
        excess = found.sums.k - expected
        with np.errstate(divide="ignore", invalid="ignore"):
            z = excess / np.sqrt(variance * self._inflation)
        may_be = self._is_open & (z > _PROMISING) & (found.sums.k > 1.1 * expected)
        if not self._picked:
            may_be &= self._is_significant
        here = np.flatnonzero(may_be)
        if self._cells.clusters is None and not self._cells.is_weighted:
            p, evidence = matched_binomial_tail(found.sums.k[here], expected[here], variance[here])
        else:
            p = upper_tail(z[here], np.maximum(found.sums.clusters[here] - 1, 1))
            evidence = z[here] ** 2 / 2
        self._threshold = self._bar(p)
        if not self._picked:
            self._threshold = 1.0  # those that are significant are known
        order = np.argsort(-(evidence - self._penalty[here]), kind="stable")
        return [int(index) for index in here[order]]

    def _bar(self, p: Floats) -> float:
        """The p value up to which the false discovery rate is kept."""
        ranks = np.arange(1, len(p) + 1) * ALPHA / self._tested
        below = np.flatnonzero(np.sort(p) <= ranks)
        return float(ranks[below[-1]]) if len(below) else ALPHA / self._tested

    def _know(self, index: int) -> None:
        if index not in self._predicates:
            predicates = self._found.predicates(index)
            self._predicates[index] = predicates
            self._masks[index] = self._cells.where(predicates)

    def _is_known_story(self, index: int) -> bool:
        """True where a finding says the same of a neighbouring range."""
        return any(
            _is_same_story(self._predicates[index], self._predicates[other])
            for other in self._picked
        )

    def _is_large(self, index: int) -> bool:
        self._terms[index] = columns(self._cells, self._predicates[index])
        picked = [*self._picked, index]
        regression = Regression(self._cells, [self._terms[each] for each in picked])
        return self._matters(regression, len(picked) - 1, index)

    def _matters(self, regression: Regression, term: int, index: int) -> bool:
        failed, expected = self._observed_and_expected(regression, term, index)
        share = abs(failed - expected) / self._failed
        return _ratio(failed, expected, is_better=self._is_better) >= MIN_RISK_RATIO and (
            share >= MIN_SHARE
        )

    def _observed_and_expected(
        self, regression: Regression, term: int, index: int
    ) -> tuple[float, float]:
        """The failures of a finding, and those expected of its rows without its own effect."""
        mask, cells = self._masks[index], self._cells
        failed = float(cells.failed_weight[mask].sum())
        expected = float(regression.without(term)[mask].sum())
        if self._is_better:
            n = float(cells.weight[mask].sum())
            return n - failed, n - expected
        return failed, expected

    def _give_up(self) -> None:
        """Drop findings, the weakest first, that the others explain."""
        while len(self._picked) > 1:
            full = self._regression()
            weakest, weakest_p = None, 0.0
            for term, index in enumerate(self._picked):
                p = self._p_given_others(index)
                if not self._matters(full, term, index):
                    p = 1.0 + p
                if not p <= self._threshold and p > weakest_p:
                    weakest, weakest_p = index, p
            if weakest is None:
                return
            self._picked.remove(weakest)

    def _p_given_others(self, index: int) -> float:
        scores = self._regression(without=index).scores(self._masks[index][None, :])
        p = float(scores.p[0])
        return p if np.isfinite(p) else 1.0

    def _described(self) -> list[Finding]:
        full = self._regression()
        return [
            Finding(
                index=index,
                ratio=_ratio(*self._observed_and_expected(full, term, index)),
                p=self._p_given_others(index),
            )
            for term, index in enumerate(self._picked)
        ]

    def explaining(self, inside: Mask) -> list[int]:
        """The findings that a slice's failures come from, the one with most of them first.

        Args:
            inside: [C], the cells of the slice.
        """
        if self._effects is None:
            full = self._regression()
            self._effects = {
                index: full.expected - full.without(term) for term, index in enumerate(self._picked)
            }
        shares = {index: float(effect[inside].sum()) for index, effect in self._effects.items()}
        most = max(shares.values(), default=0.0)
        chosen = [index for index in shares if shares[index] >= _NOTABLE_SHARE * most]
        return sorted(chosen, key=lambda index: -shares[index])


def _ratio(failed: float, expected: float, *, is_better: bool = False) -> float:
    if is_better:
        failed, expected = expected, failed
    return failed / expected if expected else math.inf


def _is_same_story(one: Predicates, other: Predicates) -> bool:
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
