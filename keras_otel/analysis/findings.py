"""Which slices to report: those that stand out, each by failures that the others do not explain.

Slices that hold a cause, a part of it, or much of it by chance all fail more often than the rest. The
best description is taken first, then the best of what it leaves unexplained, and so on; what a
later finding explains is given up again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from keras_otel.analysis.candidates import Candidates
from keras_otel.analysis.cells import Cells, Floats, Mask, Predicates
from keras_otel.analysis.comparison import MIN_RISK_RATIO, MIN_SHARE
from keras_otel.analysis.significance import matched_binomial_tail, upper_tail
from keras_otel.analysis.unexplained import Effect, Regression, effect

ALPHA: Final = 0.025
"""The error that a further finding may be: half of the first one's, since each may be followed by more."""
MOST: Final = 50
"""Findings of a family: nobody reads more."""

_LOOKED_AT: Final = 32
_FEW_BATCHES: Final = 5
_BATCHES: Final = 8
_PROMISING: Final = 1.8  # standard deviations, by a variance that is too large
_STEPS: Final = 4 * MOST
_KEPT_REGRESSIONS: Final = 8
_ROUGHLY: Final = 0.95
"""What is left of a bar for numbers that are not exact."""
_PLAIN: Final = 10.0  # standard deviations
_PLAIN_RATIO: Final = 1.5
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
        # What a description costs: as in Schwarz's criterion, and by how many like it were tried.
        rows = max(2.0, float(self._cells.rows.sum()))
        self._penalty: Floats = np.log(np.maximum(count, 1))[level] + (
            0.5 * math.log(rows) * found.ends()
        )
        self._picked: list[int] = []
        self._order: list[int] = []
        self._telling: dict[int, float] = {}
        self._predicates: dict[int, Predicates] = {}
        self._masks: dict[int, Mask] = {}
        self._effect_of: dict[int, Effect] = {}
        self._regressions: dict[tuple[int, ...], Regression] = {}
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

    def _regression(self, kept: Sequence[int] | None = None) -> Regression:
        """The regression on some of the slices; on those picked by default."""
        key = tuple(self._picked if kept is None else kept)
        if key not in self._regressions:
            before = next(reversed(self._regressions.values()), None)
            effects = [self._effect_of[index] for index in key]
            self._regressions[key] = Regression(self._cells, effects, before)
            if len(self._regressions) > _KEPT_REGRESSIONS:
                self._regressions.pop(next(iter(self._regressions)))
        return self._regressions[key]

    def _add(self) -> bool:
        """Take the slice that says most of what is unexplained; False if there is none.

        What was known of all slices before the last finding is mostly too large by now, so that the
        best is often found by looking again at the first few.
        """
        if self._picked:
            self._threshold = ALPHA / self._tested
            if self._take(self._best(_FEW_BATCHES, is_sure=True)):
                return True
        self._look_at_all(self._regression())
        return self._take(self._best(_BATCHES, is_sure=False))

    def _take(self, index: int | None) -> bool:
        if index is None:
            return False
        self._picked.append(index)
        self._is_open[index] = False
        return True

    def _best(self, batches: int, *, is_sure: bool) -> int | None:
        """The most telling slice that holds up when it is tested exactly.

        Args:
            batches: How many to look at.
            is_sure: Whether it must be better than what is known of all others.
        """
        regression = self._regression()
        good: list[tuple[float, int]] = []
        examined: set[int] = set()
        for _ in range(batches):
            rest = [each for each in self._order if each not in examined and self._is_open[each]]
            if not rest:
                break
            looked_at = rest[:_LOOKED_AT]
            examined.update(looked_at)
            good += self._examined(regression, looked_at)
            bar = self._telling[rest[_LOOKED_AT]] if len(rest) > _LOOKED_AT else -math.inf
            while good:
                value, index = max(good)
                if value < bar:
                    break
                if self._is_large(index):
                    return index
                self._is_open[index] = False
                good.remove((value, index))
        self._order.sort(key=lambda index: -self._telling[index])
        if is_sure:
            return None
        return next(
            (index for _, index in sorted(good, reverse=True) if self._is_large(index)), None
        )

    def _examined(
        self, regression: Regression, looked_at: Sequence[int]
    ) -> list[tuple[float, int]]:
        """Those that stand out by test and by size, each with how telling it is."""
        for index in looked_at:
            self._know(index)
            if self._is_known_story(index) or self._is_doubtful(index):
                self._is_open[index] = False
        looked_at = [index for index in looked_at if self._is_open[index]]
        if not looked_at:
            return []
        scores = regression.scores([self._masks[index] for index in looked_at])
        good = []
        for place, index in enumerate(looked_at):
            value = float(scores.evidence[place] - self._penalty[index])
            self._telling[index] = value
            failed = float(scores.failed[place])
            expected = failed - float(scores.excess[place])
            strict = ALPHA / self._tested
            bar = self._threshold if self._is_significant[index] else strict
            if scores.p[place] <= bar and self._is_enough(index, failed, expected, _ROUGHLY):
                good.append((value, index))
        return good

    def _look_at_all(self, regression: Regression) -> None:
        """Order the slices that may be significant given the findings, the most telling first."""
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
        telling = evidence - self._penalty[here]
        order = np.argsort(-telling, kind="stable")
        self._order = [int(index) for index in here[order]]
        self._telling = dict(zip(self._order, telling[order].tolist(), strict=True))

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

    def _is_doubtful(self, index: int) -> bool:
        """True where only the other findings make something of a slice of more than a value.

        By itself it does not fail more often than the rest by enough. Of a value that is worth
        reporting: it may be reversed by what it comes with. Of a range or a combination it may as well be
        what the regression does not describe.
        """
        predicates = self._predicates[index]
        features = self._cells.features
        is_value = len(predicates) == 1 and not features[predicates[0].place].bounds
        return not is_value and not self._is_significant[index]

    def _is_large(self, index: int) -> bool:
        self._effect_of[index] = effect(self._cells, self._predicates[index])
        regression = self._regression([*self._picked, index])
        return self._matters(regression, len(self._picked), index)

    def _matters(self, regression: Regression, term: int, index: int) -> bool:
        mask = self._masks[index]
        expected = float(regression.without(term)[mask].sum())
        return self._is_enough(index, float(self._cells.failed_weight[mask].sum()), expected)

    def _is_enough(self, index: int, failed: float, expected: float, roughly: float = 1.0) -> bool:
        """True if as many failures instead of those expected are worth reporting."""
        if self._is_better:
            n = float(self._cells.weight[self._masks[index]].sum())
            failed, expected = n - expected, n - failed
        ratio = failed / expected if expected > 0 else math.inf
        share = (failed - expected) / self._failed
        return ratio >= MIN_RISK_RATIO * roughly and share >= MIN_SHARE * roughly

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
                if self._is_plain(full, term, index):
                    continue
                p = self._p_given_others(index)
                if not self._matters(full, term, index):
                    p = 1.0 + p
                if not p <= self._threshold and p > weakest_p:
                    weakest, weakest_p = index, p
            if weakest is None:
                return
            self._picked.remove(weakest)

    def _is_plain(self, full: Regression, term: int, index: int) -> bool:
        """True where a finding is so far from explained that it needs no test."""
        failed, expected = self._observed_and_expected(full, term, index)
        ratio = _ratio(failed, expected, is_better=self._is_better)
        spread = math.sqrt(max(expected, 1.0) * self._inflation[index])
        return ratio >= _PLAIN_RATIO and abs(failed - expected) > _PLAIN * spread

    def _p_given_others(self, index: int) -> float:
        others = [other for other in self._picked if other != index]
        scores = self._regression(others).scores([self._masks[index]])
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
