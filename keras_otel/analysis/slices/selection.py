"""Decide which slices are significant, and rank slices."""

from __future__ import annotations

from typing import Final

import numpy as np

from keras_otel.analysis.aggregation.arrays import Floats, Mask
from keras_otel.analysis.slices.comparison import MIN_RISK_RATIO, MIN_SHARE, Comparison

FDR: Final = 0.05
"""False discovery rate: the largest expected share of false findings among the findings."""


def find_significant(comparison: Comparison, q: Floats, *, is_better: bool = False) -> Mask:
    """Find the slices with q at most 0.05, a risk ratio of at least 1.2, and 1 % of the failures in excess.

    Args:
        comparison: The slices and their complements.
        q: The corrected p values.
        is_better: Whether to find slices that fail less often: the ratio is then that of the rest to the
            slice, and instead of an excess there is a deficit of failures.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = 1 / comparison.ratio if is_better else comparison.ratio
        share = -comparison.share if is_better else comparison.share
        is_significant: Mask = (q <= FDR) & (ratio >= MIN_RISK_RATIO) & (share >= MIN_SHARE)
    return is_significant


def rank(comparison: Comparison, *, is_better: bool = False) -> list[int]:
    """Rank the slices by the lower end of their excess of failures, or, if `is_better`, of their deficit."""
    excess, lower = comparison.excess, comparison.excess_lower
    if is_better:
        excess, lower = -excess, np.maximum(-comparison.excess_upper, 0.0)
    order = np.lexsort((-excess, -lower))
    return [int(index) for index in order]
