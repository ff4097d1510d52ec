"""Confidence intervals of rates and of ratios of rates."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from keras_otel.analysis.aggregation.arrays import Floats

LEVEL: Final = 0.95
"""Coverage of every interval."""
Z: Final = 1.959963984540054
"""The normal quantile of a two-sided interval with that coverage."""


def wilson(rate: npt.ArrayLike, n: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Compute the Wilson score interval of a rate.

    Args:
        rate: The rate, in [0, 1].
        n: Rows, or effective rows if they are weighted or clustered; may be a fraction.

    Returns:
        Lower and upper end, NaN where `n` is 0.

    Source:
        E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
        Journal of the American Statistical Association 22 (1927), 209-212.
    """
    r, size = np.asarray(rate, dtype=np.float64), np.asarray(n, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = Z * np.sqrt(r * (1 - r) / size + Z**2 / (4 * size**2))
        scale = 1 + Z**2 / size
        centre = r + Z**2 / (2 * size)
        lower = np.where(r == 0, 0.0, (centre - spread) / scale)
        upper = np.where(r == 1, 1.0, (centre + spread) / scale)
    return np.where(size > 0, lower, np.nan), np.where(size > 0, upper, np.nan)


def risk_ratio_interval(
    failed: npt.ArrayLike, n: npt.ArrayLike, failed_rest: npt.ArrayLike, n_rest: npt.ArrayLike
) -> tuple[Floats, Floats]:
    """Compute the log-Wald interval of a risk ratio, with half a failure and half a row added to each side.

    The halves keep the interval finite if a side has no failure.

    Args:
        failed: Failures in the slice; effective failures where rows are weighted or clustered.
        n: Rows in the slice.
        failed_rest: Failures outside it.
        n_rest: Rows outside it.

    Source:
        S. D. Walter, "The distribution of Levin's measure of attributable risk", Biometrika 62
        (1975), 371-374, for the halves; the variance is that of the log of a binomial proportion.
    """
    k1, n1 = np.asarray(failed, dtype=np.float64) + 0.5, np.asarray(n, dtype=np.float64) + 0.5
    k0 = np.asarray(failed_rest, dtype=np.float64) + 0.5
    n0 = np.asarray(n_rest, dtype=np.float64) + 0.5
    log_ratio = np.log(k1 / n1) - np.log(k0 / n0)
    spread = Z * np.sqrt(1 / k1 - 1 / n1 + 1 / k0 - 1 / n0)
    return np.exp(log_ratio - spread), np.exp(log_ratio + spread)
