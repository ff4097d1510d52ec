"""What findings leave unexplained: failures regressed on the findings, and what stands out from that.

A logistic regression with one term for each finding says how many failures each cell should have. A
slice in which more failed than that has something of its own to say; a slice that only overlaps with a
finding, or is a part of one, has not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from keras_otel.analysis.aggregation.cells import Cells, Floats, Mask
from keras_otel.analysis.slices.comparison import MIN_CLUSTERS
from keras_otel.analysis.slices.regression_terms import Effect
from keras_otel.analysis.slices.significance import matched_binomial_tail, upper_tail

_RIDGE: Final = 1e-3
"""Keeps the coefficient of a slice in which everything failed finite; in units of failures."""
_TINY: Final = 1e-9
_STEPS: Final = 30
_CURVE_RIDGE: Final = 0.5
"""Keeps curves of overlapping ranges from being played off against one another."""
_LONGEST_STEP: Final = 4.0
_CLOSE: Final = 1e-3
"""Of a step: the next would be about its square."""
_MOST_IDS: Final = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Score tests of K slices; every attribute is [K].

    Attributes:
        failed: Failures, weighted.
        expected: Those that the regression expects.
        p: One-sided, of as many failures or more; NaN where there are too few clusters.
        evidence: The log of the likelihood ratio, or what stands for it: larger is stronger, and it
            does not vanish where `p` is too small for a double.
        excess: About the failures that are the slice's own once it has a coefficient: by one step of
            Newton's method.
    """

    failed: Floats
    expected: Floats
    p: Floats
    evidence: Floats
    excess: Floats


class Regression:
    """A logistic regression of failures on findings.

    Args:
        cells: All rows.
        effects: Of the findings.
        before: A regression on most of them, from whose coefficients to start.
    """

    def __init__(
        self, cells: Cells, effects: Sequence[Effect] = (), before: Regression | None = None
    ) -> None:
        self._cells = cells
        self.effects = tuple(effects)
        self._scale = float(cells.rows.sum() / cells.weight.sum()) if cells.is_weighted else 1.0
        self._n = cells.weight * self._scale
        self._k = cells.failed_weight * self._scale
        self._pattern, first = _patterns(effects, len(cells.rows))
        columns = [
            np.ones((len(first), 1)),
            *(np.take(each.terms, first, axis=0) for each in effects),
        ]
        self._design = np.concatenate(columns, axis=1)
        self._of_effect = np.repeat(
            np.arange(-1, len(effects)), [1, *(each.terms.shape[1] for each in effects)]
        )
        self.coefficients = self._fitted(before)
        self._rates = _logistic(self._design @ self.coefficients)
        rate = self._rates[self._pattern]
        self._expected: Floats = self._n * rate
        self._information: Floats = self._expected * (1 - rate)
        information = np.bincount(self._pattern, self._information, len(first))
        self._weighted = self._design * information[:, None]
        self._errors: Floats | None = None
        self._full = self._design.T @ self._weighted + _TINY * np.eye(self._design.shape[1])

    @property
    def expected(self) -> Floats:
        """The failures that each cell should have, [C]."""
        return self._expected / self._scale

    @property
    def spread(self) -> Floats:
        """The variance that each cell adds to a slice's failures, [C]."""
        return self._information

    def _fitted(self, before: Regression | None) -> Floats:
        design, count = self._design, len(self._design)
        n = np.bincount(self._pattern, self._n, count)
        k = np.bincount(self._pattern, self._k, count)
        is_first = np.diff(self._of_effect, prepend=-2) > 0
        penalty = np.where(is_first, _RIDGE, _CURVE_RIDGE)
        penalty[0] = 0.0
        found = self._start(before, float(k.sum() / n.sum()))
        for _ in range(_STEPS):
            p = _logistic(design @ found)
            slope = design.T @ (k - n * p) - penalty * found
            curvature = (design.T * (n * p * (1 - p))) @ design + np.diag(penalty + _TINY)
            step = np.linalg.solve(curvature, slope)
            found = found + np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
            if np.abs(step).max() < _CLOSE:
                break
        return found

    def _start(self, before: Regression | None, rate: float) -> Floats:
        found = np.zeros(self._design.shape[1])
        rate = min(max(rate, _TINY), 1 - _TINY)
        found[0] = math.log(rate / (1 - rate))
        if before is not None:
            found[0] = before.coefficients[0]
            known = {id(each): before.coefficients_of(n) for n, each in enumerate(before.effects)}
            for number, each in enumerate(self.effects):
                if id(each) in known:
                    found[self._of_effect == number] = known[id(each)]
        return found

    def coefficients_of(self, number: int) -> Floats:
        """Those of one finding."""
        found: Floats = self.coefficients[self._of_effect == number]
        return found

    def z(self, number: int) -> float:
        """A finding's coefficient in standard errors (Wald), as if rows were independent.

        Where nearly all rows of a finding failed it is too small.
        """
        if self._errors is None:
            self._errors = np.sqrt(np.maximum(np.diag(np.linalg.inv(self._full)), _TINY))
        place = int(np.flatnonzero(self._of_effect == number)[0])
        return float(self.coefficients[place] / self._errors[place])

    def without(self, number: int) -> Floats:
        """The failures expected of each cell without a finding's own effect, [C]."""
        kept = np.where(self._of_effect == number, 0.0, self.coefficients)
        return self._n * _logistic(self._design @ kept)[self._pattern] / self._scale

    def scores(self, masks: Sequence[Mask]) -> Scores:
        """Test whether slices have more failures than expected, by Rao's score test.

        Args:
            masks: Of K slices, the cells, [C] each.

        Source:
            C. R. Rao, "Large sample tests of statistical hypotheses concerning several parameters",
            Mathematical Proceedings of the Cambridge Philosophical Society 44 (1948), 50-57; with
            clusters, the sandwich variance under the null hypothesis.
        """
        count = len(self._design)
        places = [np.flatnonzero(mask) for mask in masks]
        by_pattern = np.array(
            [np.bincount(self._pattern[at], self._information[at], count) for at in places]
        )
        across = by_pattern @ self._design
        projection = np.linalg.solve(self._full, across.T).T
        failed = np.array([self._k[at].sum() for at in places])
        expected = np.array([self._expected[at].sum() for at in places])
        variance = np.maximum(across[:, 0] - np.sum(projection * across, axis=1), _TINY)
        if self._cells.clusters is None and not self._cells.is_weighted:
            p, evidence = matched_binomial_tail(failed, expected, variance)
        else:
            p, evidence = self._robust(masks, projection @ self._design.T)
        step = (failed - expected) / variance
        return Scores(
            failed=failed / self._scale,
            expected=expected / self._scale,
            p=p,
            evidence=evidence,
            excess=step * across[:, 0] / self._scale,
        )

    def _robust(self, masks: Sequence[Mask], projected: Floats) -> tuple[Floats, Floats]:
        cells, rate = self._cells, self._rates[self._pattern]
        residual = self._k - self._expected
        z, degrees = np.zeros(len(masks)), np.zeros(len(masks))
        squares = (
            cells.failed_squares * (1 - 2 * rate) + cells.weight_squares * rate**2
        ) * self._scale**2
        for place, (mask, by_pattern) in enumerate(zip(masks, projected, strict=True)):
            score = mask - by_pattern[self._pattern]
            if cells.clusters is None:
                variance = float(np.sum(score**2 * squares))
                degrees[place] = cells.rows[mask].sum()
            else:
                variance = float(np.sum(np.bincount(cells.clusters, score * residual) ** 2))
                there = cells.clusters[mask & (cells.rows > 0)]
                degrees[place] = len(np.unique(there))
            if variance > 0:
                z[place] = float(np.sum(score * residual)) / math.sqrt(variance)
        p = upper_tail(z, np.maximum(degrees - 1, 1))
        p = np.where(degrees >= MIN_CLUSTERS, p, np.nan)
        with np.errstate(divide="ignore"):
            evidence = np.minimum(-np.log(p), np.maximum(z, 0.0) ** 2 / 2)
        return p, np.where(z > 0, evidence, 0.0)


def _logistic(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))))


def _patterns(
    effects: Sequence[Effect], count: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Number the cells by what the regression knows of them, [C], with the first cell of each number."""
    ids: npt.NDArray[np.int64] = np.zeros(count, dtype=np.int64)
    largest = 1
    for each in effects:
        if largest * each.count > _MOST_IDS:
            ids = np.unique(ids, return_inverse=True)[1].astype(np.int64)
            largest = count
        ids = ids * each.count + each.kinds
        largest *= each.count
    _, first, pattern = np.unique(ids, return_index=True, return_inverse=True)
    return pattern, first
