"""The candidates that may be the next finding, the most telling first.

All of them are scored at once by a variance that is too large, which is fast; the first of those are tested
exactly. After a finding most scores are too large, so that the best is often among the first few again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from keras_otel.analysis.aggregation.cells import Floats
from keras_otel.analysis.slices.candidate_cache import KnownSlices, is_same_story
from keras_otel.analysis.slices.comparison import MIN_RISK_RATIO
from keras_otel.analysis.slices.confounding import ratio_within
from keras_otel.analysis.slices.regression import Regression
from keras_otel.analysis.slices.significance import matched_binomial_tail, upper_tail

ALPHA: Final = 0.01
"""The error that a further finding may be: less than the first one's, since each may be followed by more."""

_LOOKED_AT: Final = 32
_HIDDEN: Final = 64
_FEW_BATCHES: Final = 3
_BATCHES: Final = 8
_PROMISING: Final = 1.8  # standard deviations
_ROUGHLY: Final = 0.95
"""What is left of a bar for numbers that are not exact."""


class Shortlist:
    """Keeps what is known of all candidates.

    Args:
        slices: The candidates.
    """

    def __init__(self, slices: KnownSlices) -> None:
        self._slices = slices
        self._strict = ALPHA / slices.tested
        self.threshold = self._strict
        """The p value up to which a slice is a finding beside the others."""
        self._is_open = np.isfinite(slices.inflation)
        self._penalty = _penalties(slices)
        self._order: list[int] = []
        self._telling: dict[int, float] = {}
        # What other findings hide now may say more than all on the list once they are found.
        self._hidden = slices.insignificant_values()[:_HIDDEN]

    def close(self, index: int) -> None:
        """Leave a slice out from now on."""
        self._is_open[index] = False

    def look_at_all(self, regression: Regression, *, is_first: bool) -> None:
        """Order the slices by what they may say beyond a regression.

        Args:
            regression: Of the findings.
            is_first: Whether there are none: then those that are significant are known.
        """
        slices, found = self._slices, self._slices.found
        expected, spread = found.totals(regression.expected, regression.spread)
        variance = np.maximum(spread - spread**2 / float(regression.spread.sum()), 0.0)
        k = found.sums.k
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (k - expected) / np.sqrt(variance * slices.inflation)
        may_be = self._is_open & (z > _PROMISING)
        if is_first:
            may_be &= slices.is_significant
        here = np.flatnonzero(may_be)
        if slices.is_robust:
            p = upper_tail(z[here], np.maximum(found.sums.clusters[here] - 1, 1))
            evidence = z[here] ** 2 / 2
        else:
            p, evidence = matched_binomial_tail(k[here], expected[here], variance[here])
        self.threshold = 1.0 if is_first else self._bar(p * slices.choices[here])
        telling = evidence - self._penalty[here]
        order = np.argsort(-telling, kind="stable")
        self._order = [int(index) for index in here[order]]
        self._telling = dict(zip(self._order, telling[order].tolist(), strict=True))

    def _bar(self, p: Floats) -> float:
        """The p value up to which the false discovery rate is kept (Benjamini and Hochberg)."""
        ranks = np.arange(1, len(p) + 1) * self._strict
        below = np.flatnonzero(np.sort(p) <= ranks)
        return float(ranks[below[-1]]) if len(below) else self._strict

    def first_again(
        self, regression: Regression, picked: Sequence[int], holds: Callable[[int], bool]
    ) -> int | None:
        """The best slice, if it is better than what was known of all others; else None.

        Args:
            regression: Of the findings.
            picked: Those.
            holds: Whether a slice is large enough once it has an effect of its own.
        """
        self.threshold = self._strict
        found, _ = self._looked_at(regression, picked, holds, _FEW_BATCHES)
        self._order.sort(key=lambda index: -self._telling[index])
        return found

    def first(
        self, regression: Regression, picked: Sequence[int], holds: Callable[[int], bool]
    ) -> int | None:
        """The best of the slices that were looked at."""
        found, good = self._looked_at(regression, picked, holds, _BATCHES)
        if found is not None:
            return found
        return next((index for _, index in sorted(good, reverse=True) if holds(index)), None)

    def _looked_at(
        self,
        regression: Regression,
        picked: Sequence[int],
        holds: Callable[[int], bool],
        batches: int,
    ) -> tuple[int | None, list[tuple[float, int]]]:
        hidden = [index for index in self._hidden if self._is_open[index]]
        good = self._examined(regression, picked, hidden) if picked else []
        examined = set(hidden)
        for _ in range(batches):
            rest = [each for each in self._order if each not in examined and self._is_open[each]]
            if not rest and not good:
                break
            examined.update(rest[:_LOOKED_AT])
            good += self._examined(regression, picked, rest[:_LOOKED_AT])
            bar = self._telling[rest[_LOOKED_AT]] if len(rest) > _LOOKED_AT else -math.inf
            while good:
                value, index = max(good)
                if value < bar:
                    break
                if holds(index):
                    return index, good
                self.close(index)
                good.remove((value, index))
        return None, good

    def _examined(
        self, regression: Regression, picked: Sequence[int], looked_at: Sequence[int]
    ) -> list[tuple[float, int]]:
        """Those that stand out by test and by size, each with how telling it is."""
        slices = self._slices
        for index in looked_at:
            if self._is_known(index, picked) or self._is_doubtful(index):
                self.close(index)
        looked_at = [index for index in looked_at if self._is_open[index]]
        if not looked_at:
            return []
        scores = regression.scores([slices.mask(index) for index in looked_at])
        good = []
        for place, index in enumerate(looked_at):
            self._telling[index] = float(scores.evidence[place] - self._penalty[index])
            failed = float(scores.failed[place])
            expected = failed - float(scores.excess[place])
            bar = self.threshold if slices.is_significant[index] else self._strict
            is_enough = slices.is_enough(index, failed, expected, roughly=_ROUGHLY)
            if not (scores.p[place] * slices.choices[index] <= bar and is_enough):
                continue
            if slices.is_significant[index] or self._is_hidden(index, picked):
                good.append((self._telling[index], index))
        return good

    def _is_known(self, index: int, picked: Sequence[int]) -> bool:
        """True where a finding says the same of a neighbouring range."""
        predicates = self._slices.predicates
        return any(is_same_story(predicates(index), predicates(other)) for other in picked)

    def _is_doubtful(self, index: int) -> bool:
        """True where only the other findings make something of a range or a combination.

        By itself it does not fail more often than the rest by enough, and what is left of it may as
        well be what the regression does not describe.
        """
        slices = self._slices
        return not slices.is_significant[index] and (slices.is_better or not slices.is_value(index))

    def _is_hidden(self, index: int, picked: Sequence[int]) -> bool:
        """True for a value that fails more often once something is held fixed or left out.

        Either another feature is held fixed (Simpson's paradox), or values of the same feature that
        are findings are left out.
        """
        cells, inside = self._slices.cells, self._slices.mask(index)
        (term,) = self._slices.predicates(index)
        siblings = [each for each in picked if self._slices.is_value(each)]
        left = np.ones(len(inside), dtype=np.bool_)
        for each in siblings:
            if self._slices.predicates(each)[0].place == term.place:
                left &= ~self._slices.mask(each)
        rates = [
            cells.failed_weight[part].sum() / max(cells.weight[part].sum(), 1e-9)
            for part in (inside & left, left & ~inside)
        ]
        if rates[0] >= MIN_RISK_RATIO * rates[1]:
            return True
        return any(
            ratio_within(cells, inside, place) >= MIN_RISK_RATIO
            for place in range(len(cells.features))
            if place != term.place
        )


def _penalties(slices: KnownSlices) -> Floats:
    """What each description costs, in units of the log-likelihood.

    Half the log of the rows for each number that it takes, and the log of how many like it there are.

    Source:
        G. Schwarz, "Estimating the dimension of a model", Annals of Statistics 6 (1978), 461-464.
    """
    level = slices.found.level()
    alike = np.log(np.maximum(np.bincount(level, minlength=1), 1))[level] + np.log(slices.choices)
    rows = max(2.0, float(slices.cells.rows.sum()))
    return np.asarray(alike + 0.5 * math.log(rows) * slices.found.ends())
