"""Which of the slices tested are worth telling: significant, large, and not told by another one."""

from __future__ import annotations

from typing import Final

import numpy as np

from keras_otel.analysis.aggregation.cells import Floats, Mask
from keras_otel.analysis.slices.comparison import MIN_RISK_RATIO, MIN_SHARE, Comparison

FDR: Final = 0.05
"""Share of false findings among the findings, at most, on average."""
_ALPHA: Final = 0.05


def significant(comparison: Comparison, q: Floats, *, is_better: bool = False) -> Mask:
    """Find where q is at most 0.05, the risk ratio at least 1.2, and 1 % of the failures are in excess.

    Args:
        comparison: The slices and their complements.
        q: The corrected p values.
        is_better: Whether it is slices that fail less: then the ratio is that of the rest to the slice,
            and the failures are those that are missing.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = 1 / comparison.ratio if is_better else comparison.ratio
        share = -comparison.share if is_better else comparison.share
        found: Mask = (q <= FDR) & (ratio >= MIN_RISK_RATIO) & (share >= MIN_SHARE)
    return found


def ranked(comparison: Comparison, *, is_better: bool = False) -> list[int]:
    """Rank the slices by the lower end of their excess failures, or of those that are missing."""
    excess, lower = comparison.excess, comparison.excess_lower
    if is_better:
        excess, lower = -excess, np.maximum(-comparison.excess_upper, 0.0)
    order = np.lexsort((-excess, -lower))
    return [int(index) for index in order]
