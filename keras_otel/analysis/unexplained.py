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

from keras_otel.analysis.cells import Cells, Floats, Mask, Predicates
from keras_otel.analysis.comparison import MIN_CLUSTERS
from keras_otel.analysis.significance import matched_binomial_tail, upper_tail

Masks = npt.NDArray[np.bool_]

_RIDGE: Final = 1e-3
"""Keeps the coefficient of a slice in which everything failed finite; in units of failures."""
_STEPS: Final = 30
_CLOSE: Final = 1e-8
_COLUMNS_AT_ONCE: Final = 40  # of bits in an int64


def columns(cells: Cells, predicates: Predicates) -> list[Mask]:
    """List the terms of a finding: its cells, or the cells of each value of its ranges.

    A rate often changes along a range; with one coefficient for all of it, parts of the range would be
    left over as if they were findings of their own.
    """
    inside = cells.where(predicates)
    ranges = [term for term in predicates if term.low < term.high]
    if not ranges:
        return [inside]
    found = []
    for place, low, high in ranges:
        codes = cells.codes[:, place]
        parts = [inside & (codes == code) for code in range(low, high + 1)]
        found += [part for part in parts if part.any()]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Score tests of K slices; every attribute is [K].

    Attributes:
        failed: Failures, weighted.
        expected: Those that the regression expects.
        p: One-sided, of as many failures or more; NaN where there are too few clusters.
        evidence: The log of the likelihood ratio, or what stands for it: larger is stronger, and it
            does not vanish where `p` is too small for a double.
    """

    failed: Floats
    expected: Floats
    p: Floats
    evidence: Floats


class Regression:
    """A logistic regression of failures on findings.

    Args:
        cells: All rows.
        terms: For each finding, the masks that `columns` gives.
    """

    def __init__(self, cells: Cells, terms: Sequence[Sequence[Mask]] = ()) -> None:
        self._cells = cells
        self._scale = float(cells.rows.sum() / cells.weight.sum()) if cells.is_weighted else 1.0
        self._n = cells.weight * self._scale
        self._k = cells.failed_weight * self._scale
        flat = [mask for masks in terms for mask in masks]
        self._of_term = np.repeat(np.arange(len(terms)), [len(masks) for masks in terms])
        self._pattern, self._design = _patterns(flat, len(cells.rows))
        self._coefficients = self._fitted()
        self.rate: Floats = _logistic(self._design @ self._coefficients)[self._pattern]
        self.expected: Floats = self._n * self.rate / self._scale
        self._information: Floats = self._n * self.rate * (1 - self.rate)

    @property
    def spread(self) -> Floats:
        """The variance that each cell adds to a slice's failures, [C]."""
        return self._information

    def _fitted(self) -> Floats:
        count = len(self._design)
        n = np.bincount(self._pattern, self._n, count)
        k = np.bincount(self._pattern, self._k, count)
        design = self._design
        penalty = np.full(design.shape[1], _RIDGE)
        penalty[0] = 0.0
        total = float(n.sum())
        rate = min(max(float(k.sum()) / total, 1e-9), 1 - 1e-9)
        found = np.zeros(design.shape[1])
        found[0] = math.log(rate / (1 - rate))
        for _ in range(_STEPS):
            p = _logistic(design @ found)
            slope = design.T @ (k - n * p) - penalty * found
            curvature = (design.T * (n * p * (1 - p))) @ design + np.diag(penalty)
            step = np.linalg.solve(curvature + 1e-9 * np.eye(len(found)), slope)
            found = found + np.clip(step, -4, 4)
            if np.abs(step).max() < _CLOSE:
                break
        return found

    def without(self, term: int) -> Floats:
        """The failures expected of each cell without a finding's own effect, [C]."""
        kept = self._coefficients.copy()
        kept[1:][self._of_term == term] = 0.0
        return self._n * _logistic(self._design @ kept)[self._pattern] / self._scale

    def scores(self, masks: Masks) -> Scores:
        """Test whether slices have more failures than expected, by Rao's score test.

        Args:
            masks: [K, C], the cells of each slice.

        Source:
            C. R. Rao, "Large sample tests of statistical hypotheses concerning several parameters",
            Mathematical Proceedings of the Cambridge Philosophical Society 44 (1948), 50-57; with
            clusters, the sandwich variance under the null hypothesis.
        """
        design = self._design[self._pattern]
        weighted = design * self._information[:, None]
        full = design.T @ weighted + 1e-9 * np.eye(design.shape[1])
        inside = masks.astype(np.float64)
        across = inside @ weighted
        projection = np.linalg.solve(full, across.T).T
        failed, expected = inside @ self._k, inside @ (self._n * self.rate)
        if self._cells.clusters is None and not self._cells.is_weighted:
            variance = np.maximum(across[:, 0] - np.sum(projection * across, axis=1), 0.0)
            p, evidence = matched_binomial_tail(failed, expected, variance)
        else:
            p, evidence = self._robust(masks, inside - projection @ design.T)
        return Scores(
            failed=failed / self._scale,
            expected=expected / self._scale,
            p=p,
            evidence=evidence,
        )

    def _robust(self, masks: Masks, efficient: Floats) -> tuple[Floats, Floats]:
        cells, rate = self._cells, self.rate
        residual = self._k - self._n * rate
        z, degrees = np.zeros(len(masks)), np.zeros(len(masks))
        squares = (
            cells.failed_squares * (1 - 2 * rate) + cells.weight_squares * rate**2
        ) * self._scale**2
        for place, (mask, score) in enumerate(zip(masks, efficient, strict=True)):
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


def _patterns(masks: Sequence[Mask], count: int) -> tuple[npt.NDArray[np.intp], Floats]:
    """Give each cell's pattern of terms, [C], and the patterns with a leading 1, [P, 1 + terms]."""
    ids: npt.NDArray[np.intp] = np.zeros(count, dtype=np.intp)
    for start in range(0, len(masks), _COLUMNS_AT_ONCE // 2):
        for mask in masks[start : start + _COLUMNS_AT_ONCE // 2]:
            ids = ids * 2 + mask
        ids = np.unique(ids, return_inverse=True)[1]
    _, first, pattern = np.unique(ids, return_index=True, return_inverse=True)
    design = np.ones((len(first), 1 + len(masks)))
    for number, mask in enumerate(masks, 1):
        design[:, number] = mask[first]
    return pattern, design
