"""Regress failures on the findings, and test whether other slices have more failures than that explains.

A logistic regression with terms for each finding gives the expected failures of each cell. A slice with
more failures than that has an effect of its own; a slice that only overlaps with a finding, or is a part of
one, has not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from keras_otel.analysis.aggregation.arrays import Floats, Mask
from keras_otel.analysis.aggregation.cells import Cells
from keras_otel.analysis.slices.comparison import MIN_CLUSTERS
from keras_otel.analysis.slices.regression_terms import Effect
from keras_otel.analysis.slices.significance import matched_binomial_tail, upper_tail

_RIDGE: Final = 1e-3
"""Ridge penalty that keeps the coefficient of a slice finite if all its rows failed; in units of failures."""
_TINY: Final = 1e-9
_STEPS: Final = 30
_CURVE_RIDGE: Final = 0.5
"""Ridge penalty for the curves of ranges: those of overlapping ranges are nearly collinear."""
_LONGEST_STEP: Final = 4.0
_CLOSE: Final = 1e-3
"""Largest component of the last step: Newton's method converges quadratically, so the next is about its square."""
_MOST_IDS: Final = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Score tests of K slices; every attribute is [K].

    Attributes:
        failed: Weighted failures.
        expected: The failures that the regression expects.
        p: One-sided p value, of as many failures or more; NaN with too few clusters.
        evidence: The log of the likelihood ratio, or an approximation: larger is stronger, also where
            `p` is too small for a double.
        excess: Failures that the slice's own coefficient would explain, approximated by one step of
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
        effects: The terms of each finding.
        previous: A regression on most of them, whose coefficients are the starting values.
    """

    def __init__(
        self, cells: Cells, effects: Sequence[Effect] = (), previous: Regression | None = None
    ) -> None:
        self._cells = cells
        self.effects = tuple(effects)
        self._scale = float(cells.rows.sum() / cells.weight.sum()) if cells.is_weighted else 1.0
        self._n = cells.weight * self._scale
        self._k = cells.failed_weight * self._scale
        self._pattern, first = _patterns(effects, len(cells.rows))
        columns = [
            np.ones((len(first), 1)),
            *(np.take(effect.terms, first, axis=0) for effect in effects),
        ]
        self._design = np.concatenate(columns, axis=1)
        self._effect_of_column = np.repeat(
            np.arange(-1, len(effects)), [1, *(effect.terms.shape[1] for effect in effects)]
        )
        self.coefficients = self._fit(previous)
        self._rates = _logistic(self._design @ self.coefficients)
        rate = self._rates[self._pattern]
        self._expected: Floats = self._n * rate
        self._information: Floats = self._expected * (1 - rate)
        information = np.bincount(self._pattern, self._information, len(first))
        self._weighted = self._design * information[:, None]
        self._standard_errors: Floats | None = None
        self._hessian = self._design.T @ self._weighted + _TINY * np.eye(self._design.shape[1])

    @property
    def expected(self) -> Floats:
        """Expected failures of each cell, [C]."""
        return self._expected / self._scale

    @property
    def variance(self) -> Floats:
        """Variance that each cell contributes to the failures of a slice, [C]."""
        return self._information

    def _fit(self, previous: Regression | None) -> Floats:
        """Fit the coefficients by Newton's method, with a ridge penalty."""
        design, count = self._design, len(self._design)
        n = np.bincount(self._pattern, self._n, count)
        k = np.bincount(self._pattern, self._k, count)
        is_first = np.diff(self._effect_of_column, prepend=-2) > 0
        penalty = np.where(is_first, _RIDGE, _CURVE_RIDGE)
        penalty[0] = 0.0
        coefficients = self._starting_values(previous, float(k.sum() / n.sum()))
        for _ in range(_STEPS):
            p = _logistic(design @ coefficients)
            slope = design.T @ (k - n * p) - penalty * coefficients
            curvature = (design.T * (n * p * (1 - p))) @ design + np.diag(penalty + _TINY)
            step = np.linalg.solve(curvature, slope)
            coefficients = coefficients + np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
            if np.abs(step).max() < _CLOSE:
                break
        return coefficients

    def _starting_values(self, previous: Regression | None, rate: float) -> Floats:
        """Return the previous coefficients of known effects, and zero for the others."""
        start = np.zeros(self._design.shape[1])
        rate = min(max(rate, _TINY), 1 - _TINY)
        start[0] = math.log(rate / (1 - rate))
        if previous is not None:
            start[0] = previous.coefficients[0]
            known = {
                id(effect): previous.coefficients_of(number)
                for number, effect in enumerate(previous.effects)
            }
            for number, effect in enumerate(self.effects):
                if id(effect) in known:
                    start[self._effect_of_column == number] = known[id(effect)]
        return start

    def coefficients_of(self, number: int) -> Floats:
        """Return the coefficients of one finding."""
        coefficients: Floats = self.coefficients[self._effect_of_column == number]
        return coefficients

    def z(self, number: int) -> float:
        """Return a finding's coefficient in standard errors (Wald), as if rows were independent.

        It is too small if nearly all rows of the finding failed.
        """
        if self._standard_errors is None:
            self._standard_errors = np.sqrt(
                np.maximum(np.diag(np.linalg.inv(self._hessian)), _TINY)
            )
        place = int(np.flatnonzero(self._effect_of_column == number)[0])
        return float(self.coefficients[place] / self._standard_errors[place])

    def expected_without(self, number: int) -> Floats:
        """Return the expected failures of each cell without one finding's own effect, [C]."""
        kept = np.where(self._effect_of_column == number, 0.0, self.coefficients)
        return self._n * _logistic(self._design @ kept)[self._pattern] / self._scale

    def scores(self, masks: Sequence[Mask]) -> Scores:
        """Test whether slices have more failures than expected, by Rao's score test.

        Args:
            masks: The cells of each of K slices, [C] each.

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
        projection = np.linalg.solve(self._hessian, across.T).T
        failed = np.array([self._k[at].sum() for at in places])
        expected = np.array([self._expected[at].sum() for at in places])
        variance = np.maximum(across[:, 0] - np.sum(projection * across, axis=1), _TINY)
        if self._cells.clusters is None and not self._cells.is_weighted:
            p, evidence = matched_binomial_tail(failed, expected, variance)
        else:
            p, evidence = self._robust_tests(masks, projection @ self._design.T)
        step = (failed - expected) / variance
        return Scores(
            failed=failed / self._scale,
            expected=expected / self._scale,
            p=p,
            evidence=evidence,
            excess=step * across[:, 0] / self._scale,
        )

    def _robust_tests(self, masks: Sequence[Mask], projected: Floats) -> tuple[Floats, Floats]:
        """Test slices with variances that are robust to clusters and weights.

        Args:
            masks: The cells of each slice, [C] each.
            projected: For each slice, the projection on the terms of the findings by pattern.

        Returns:
            P values and evidence, as in `Scores`.
        """
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
                clusters = cells.clusters[mask & (cells.rows > 0)]
                degrees[place] = len(np.unique(clusters))
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
    """Number the cells by their combination of terms, so that the regression has one row for each.

    Returns:
        [C], the number of each cell; and the first cell with each number.
    """
    ids: npt.NDArray[np.int64] = np.zeros(count, dtype=np.int64)
    largest = 1
    for effect in effects:
        if largest * effect.pattern_count > _MOST_IDS:
            ids = np.unique(ids, return_inverse=True)[1].astype(np.int64)
            largest = count
        ids = ids * effect.pattern_count + effect.patterns
        largest *= effect.pattern_count
    _, first, pattern = np.unique(ids, return_index=True, return_inverse=True)
    return pattern, first
