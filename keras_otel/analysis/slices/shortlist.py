"""Rank the candidates for the next finding, and test the first of them exactly.

All candidates are scored at once with a variance that is too large, which is fast, and only the best of them
are tested exactly. After a finding the scores of most candidates only fall, so that the best is often among the first
few of the last ranking again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from keras_otel.analysis.aggregation.arrays import Floats
from keras_otel.analysis.slices.candidate_cache import CandidateCache, differ_in_touching_ranges
from keras_otel.analysis.slices.comparison import MIN_RISK_RATIO
from keras_otel.analysis.slices.confounding import stratified_risk_ratio
from keras_otel.analysis.slices.regression import Regression
from keras_otel.analysis.slices.significance import matched_binomial_tail, upper_tail

ALPHA: Final = 0.01
"""False discovery rate of further findings: less than the first one's, since each may be followed by more."""

_BATCH: Final = 32  # candidates
_MASKED: Final = 64  # candidates
_FEW_BATCHES: Final = 3
_BATCHES: Final = 8
_PROMISING_Z: Final = 1.8  # standard deviations
_TOLERANCE: Final = 0.95
"""Factor for limits that approximate numbers are compared with."""


class Shortlist:
    """The ranking of the candidates for the next finding.

    Args:
        slices: The candidates.
    """

    def __init__(self, slices: CandidateCache) -> None:
        self._slices = slices
        self._strict = ALPHA / slices.tested
        self.threshold = self._strict
        """Largest p value of a finding, given the others."""
        self._is_available = np.isfinite(slices.inflation)
        self._penalty = _penalties(slices)
        self._ranked: list[int] = []
        self._scores: dict[int, float] = {}
        # A value that other slices mask now may have the best score once these are findings.
        self._masked = slices.insignificant_values()[:_MASKED]

    def exclude(self, index: int) -> None:
        """Leave a slice out of all further rankings."""
        self._is_available[index] = False

    def rank_all(self, regression: Regression, *, is_first: bool) -> None:
        """Rank the slices by how much more than a regression they may explain.

        Args:
            regression: The regression on the findings.
            is_first: Whether there are no findings yet: then only significant slices are candidates.
        """
        slices, candidates = self._slices, self._slices.candidates
        expected, within = candidates.totals(regression.expected, regression.variance)
        # Of the findings only the intercept is projected out: the exact variance is smaller.
        variance = np.maximum(within - within**2 / float(regression.variance.sum()), 0.0)
        k = candidates.sums.k
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (k - expected) / np.sqrt(variance * slices.inflation)
        is_promising = self._is_available & (z > _PROMISING_Z)
        if is_first:
            is_promising &= slices.is_significant
        promising = np.flatnonzero(is_promising)
        if slices.is_robust:
            p = upper_tail(z[promising], np.maximum(candidates.sums.clusters[promising] - 1, 1))
            evidence = z[promising] ** 2 / 2
        else:
            p, evidence = matched_binomial_tail(
                k[promising], expected[promising], variance[promising]
            )
        self.threshold = 1.0 if is_first else self._threshold_of(p * slices.multiplicity[promising])
        score = evidence - self._penalty[promising]
        order = np.argsort(-score, kind="stable")
        self._ranked = [int(index) for index in promising[order]]
        self._scores = dict(zip(self._ranked, score[order].tolist(), strict=True))

    def _threshold_of(self, p: Floats) -> float:
        """Return the largest p value that keeps the false discovery rate (Benjamini and Hochberg)."""
        ranks = np.arange(1, len(p) + 1) * self._strict
        below = np.flatnonzero(np.sort(p) <= ranks)
        return float(ranks[below[-1]]) if len(below) else self._strict

    def best_of_ranked(
        self,
        regression: Regression,
        selected: Sequence[int],
        has_large_effect: Callable[[int], bool],
    ) -> int | None:
        """Return the best slice of the last ranking if its exact score is above all others; else None.

        Args:
            regression: The regression on the findings.
            selected: The findings.
            has_large_effect: Tells whether a slice's own effect is large enough.
        """
        self.threshold = self._strict
        best, _ = self._best_of_batches(regression, selected, has_large_effect, _FEW_BATCHES)
        self._ranked.sort(key=lambda index: -self._scores[index])
        return best

    def best(
        self,
        regression: Regression,
        selected: Sequence[int],
        has_large_effect: Callable[[int], bool],
    ) -> int | None:
        """Return the best slice of the current ranking; None if there is none."""
        best, acceptable = self._best_of_batches(regression, selected, has_large_effect, _BATCHES)
        if best is not None:
            return best
        return next(
            (index for _, index in sorted(acceptable, reverse=True) if has_large_effect(index)),
            None,
        )

    def _best_of_batches(
        self,
        regression: Regression,
        selected: Sequence[int],
        has_large_effect: Callable[[int], bool],
        batches: int,
    ) -> tuple[int | None, list[tuple[float, int]]]:
        """Test batches of the ranking until an exact score is above the approximate ones of the rest.

        Returns:
            The best slice, None if no batch has one; and the acceptable slices with their scores.
        """
        masked = [index for index in self._masked if self._is_available[index]]
        acceptable = self._acceptable(regression, selected, masked) if selected else []
        seen = set(masked)
        for _ in range(batches):
            rest = [i for i in self._ranked if i not in seen and self._is_available[i]]
            if not rest and not acceptable:
                break
            seen.update(rest[:_BATCH])
            acceptable += self._acceptable(regression, selected, rest[:_BATCH])
            limit = self._scores[rest[_BATCH]] if len(rest) > _BATCH else -math.inf
            while acceptable:
                score, index = max(acceptable)
                if score < limit:
                    break
                if has_large_effect(index):
                    return index, acceptable
                self.exclude(index)
                acceptable.remove((score, index))
        return None, acceptable

    def _acceptable(
        self, regression: Regression, selected: Sequence[int], batch: Sequence[int]
    ) -> list[tuple[float, int]]:
        """Return the slices of a batch that are significant and large enough, each with its score."""
        slices = self._slices
        for index in batch:
            if self._is_neighbour_of_finding(index, selected) or self._rests_on_other_findings(
                index
            ):
                self.exclude(index)
        batch = [index for index in batch if self._is_available[index]]
        if not batch:
            return []
        scores = regression.scores([slices.mask(index) for index in batch])
        acceptable = []
        for place, index in enumerate(batch):
            self._scores[index] = float(scores.evidence[place] - self._penalty[index])
            failed = float(scores.failed[place])
            expected = failed - float(scores.excess[place])
            limit = self.threshold if slices.is_significant[index] else self._strict
            is_large_enough = slices.is_large_enough(index, failed, expected, tolerance=_TOLERANCE)
            if not (scores.p[place] * slices.multiplicity[index] <= limit and is_large_enough):
                continue
            if slices.is_significant[index] or self._is_masked(index, selected):
                acceptable.append((self._scores[index], index))
        return acceptable

    def _is_neighbour_of_finding(self, index: int, selected: Sequence[int]) -> bool:
        """Return whether a finding is the same slice with a neighbouring range."""
        predicates = self._slices.predicates
        return any(
            differ_in_touching_ranges(predicates(index), predicates(other)) for other in selected
        )

    def _rests_on_other_findings(self, index: int) -> bool:
        """Return whether a range or a combination is notable only with the other findings held fixed.

        It is not significant alone, and what the regression leaves unexplained in it may as well be due
        to what the regression does not describe.
        """
        slices = self._slices
        return not slices.is_significant[index] and (
            slices.is_better or not slices.is_single_value(index)
        )

    def _is_masked(self, index: int, selected: Sequence[int]) -> bool:
        """Return whether a value fails more often only after stratification or exclusion.

        Either another feature is held fixed (Simpson's paradox), or values of the same feature that are
        findings are left out.
        """
        cells, inside = self._slices.cells, self._slices.mask(index)
        (term,) = self._slices.predicates(index)
        remaining = np.ones(len(inside), dtype=np.bool_)
        for finding in filter(self._slices.is_single_value, selected):
            if self._slices.predicates(finding)[0].place == term.place:
                remaining &= ~self._slices.mask(finding)
        rate, rate_rest = [
            cells.failed_weight[part].sum() / max(cells.weight[part].sum(), 1e-9)
            for part in (inside & remaining, remaining & ~inside)
        ]
        if rate >= MIN_RISK_RATIO * rate_rest:
            return True
        return any(
            stratified_risk_ratio(cells, inside, place) >= MIN_RISK_RATIO
            for place in range(len(cells.features))
            if place != term.place
        )


def _penalties(slices: CandidateCache) -> Floats:
    """Compute the penalty of each slice's description, in units of the log-likelihood.

    It is half the log of the number of rows for each parameter (the Bayesian information criterion), and the log
    of the number of slices with as many predicates.

    Source:
        G. Schwarz, "Estimating the dimension of a model", Annals of Statistics 6 (1978), 461-464.
    """
    level = slices.candidates.predicate_counts()
    alike = np.log(np.maximum(np.bincount(level, minlength=1), 1))[level] + np.log(
        slices.multiplicity
    )
    rows = max(2.0, float(slices.cells.rows.sum()))
    return np.asarray(alike + 0.5 * math.log(rows) * slices.candidates.endpoint_counts())
