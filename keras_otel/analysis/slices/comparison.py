"""Compare each slice with its complement: rates, intervals and p values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from keras_otel.analysis.aggregation.arrays import Floats
from keras_otel.analysis.slices.intervals import Z, risk_ratio_interval, wilson
from keras_otel.analysis.slices.significance import hypergeometric_tail, upper_tail
from keras_otel.analysis.slices.sums import Sums

MIN_CLUSTERS: Final = 20
"""With fewer clusters the t test is not valid."""
MIN_RISK_RATIO: Final = 1.2
MIN_SHARE: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """S slices, each with its complement; every attribute is [S].

    Attributes:
        rate: Failures per row in the slice.
        rate_ci: Lower and upper end of its Wilson interval.
        rate_rest: Failures per row outside it.
        difference: Risk difference.
        difference_ci: Its robust interval.
        ratio: Risk ratio; infinite where nothing failed outside.
        ratio_ci: Its log-Wald interval.
        excess: Failures beyond those expected at the rate outside.
        excess_lower: The same at the lower end of the risk difference, at least 0.
        excess_upper: The same at its upper end; below 0 where fewer failed than elsewhere.
        share: Excess failures as a share of all failures.
        p: One-sided; NaN where there are too few clusters.
        inflation: Variance of the difference, divided by that of independent rows.
    """

    rate: Floats
    rate_ci: tuple[Floats, Floats]
    rate_rest: Floats
    difference: Floats
    difference_ci: tuple[Floats, Floats]
    ratio: Floats
    ratio_ci: tuple[Floats, Floats]
    excess: Floats
    excess_lower: Floats
    excess_upper: Floats
    share: Floats
    p: Floats
    inflation: Floats


def compare(slices: Sums, total: Sums, *, is_exact: bool) -> Comparison:
    """Compare slices with all rows outside them.

    Args:
        slices: The sums of S slices, none of them empty.
        total: Those of all rows, [1].
        is_exact: Whether rows are independent and count once each, so that the exact test is valid.
    """
    n, k, total_n, total_k = slices.n, slices.k, total.n[0], total.k[0]
    rest_n, rest_k = total_n - n, total_k - k
    with np.errstate(divide="ignore", invalid="ignore"):
        rate, rest = k / n, rest_k / rest_n
        ratio = np.where(rest > 0, rate / rest, np.where(rate > 0, np.inf, 1.0))
    variances = Variances(slices, total)
    difference = rate - rest
    spread = Z * np.sqrt(variances.of_difference(rate, rest))
    effective, effective_rest = variances.effective_rows(rate, rest)
    lower = difference - spread
    excess = k - n * rest
    p = (
        hypergeometric_tail(slices.failed, slices.rows, total.failed[0], total.rows[0])
        if is_exact
        else _score_test(slices, variances, difference, total_k / total_n if total_n else 0.0)
    )
    return Comparison(
        rate=rate,
        rate_ci=wilson(rate, effective),
        rate_rest=rest,
        difference=difference,
        difference_ci=(lower, difference + spread),
        ratio=ratio,
        ratio_ci=risk_ratio_interval(
            rate * effective, effective, rest * effective_rest, effective_rest
        ),
        excess=excess,
        excess_lower=n * np.maximum(lower, 0.0),
        excess_upper=n * (difference + spread),
        share=excess / total_k if total_k else np.zeros_like(excess),
        p=p,
        inflation=_inflation(slices, total, variances, is_exact=is_exact),
    )


def _inflation(slices: Sums, total: Sums, variances: Variances, *, is_exact: bool) -> Floats:
    """Divide the variance of each difference by that of independent rows; NaN with too few clusters."""
    if is_exact:
        return np.ones(len(slices))
    n, total_n = slices.n, total.n[0]
    pooled = total.k[0] / total_n if total_n else 0.0
    # Independent rows all have the mean weight.
    mean_weight = total_n / total.rows[0] if total.rows[0] else 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        independent = pooled * (1 - pooled) * (1 / n + 1 / (total_n - n)) * mean_weight
        inflation = variances.of_difference(pooled, pooled) / independent
    return np.where(np.isfinite(inflation) & (slices.clusters >= MIN_CLUSTERS), inflation, np.nan)


def _score_test(slices: Sums, variances: Variances, difference: Floats, pooled: float) -> Floats:
    """Test for no difference, robust to clusters, with the variance under the null hypothesis (score test)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = difference / np.sqrt(variances.of_difference(pooled, pooled))
    enough = slices.clusters >= MIN_CLUSTERS
    p = upper_tail(z, np.maximum(slices.clusters - 1, 1))
    return np.asarray(np.where(enough & np.isfinite(z), p, np.nan))


class Variances:
    """Variances of rates and of their difference, summed over clusters.

    A cluster with n_i rows and k_i failures in the slice, and N_i and K_i in all, adds the square of
    (k_i - r n_i) / n - ((K_i - k_i) - s (N_i - n_i)) / (N - n) to that of the difference of the
    rates r and s: the sandwich estimator of a regression on the slice with weights, without a
    correction for few clusters.

    Source:
        K.-Y. Liang and S. L. Zeger, "Longitudinal data analysis using generalized linear models",
        Biometrika 73 (1986), 13-22.
    """

    def __init__(self, slices: Sums, total: Sums) -> None:
        self._slices = slices
        self._total = total
        self._rest_n = total.n[0] - slices.n

    def of_difference(self, rate: Floats | float, rest: Floats | float) -> Floats:
        """Return the variance of the difference of two rates, [S], at these rates."""
        inside = self._inside(rate, rate)
        outside = self._outside(rest)
        # Sum over clusters of the product of the deviations inside and outside.
        across = self._with_all(rate, rest) - self._inside(rate, rest)
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = (
                inside / self._slices.n**2
                + outside / self._rest_n**2
                - 2 * across / (self._slices.n * self._rest_n)
            )
        return np.asarray(np.maximum(variance, 0.0))

    def effective_rows(self, rate: Floats, rest: Floats) -> tuple[Floats, Floats]:
        """Return the effective number of independent rows, inside and outside.

        If all rows failed, or none, there is no variance: then it is Kish's (sum w)^2 / (sum w^2).
        """
        inside, outside = self._inside(rate, rate), self._outside(rest)
        squares_rest = self._total.squares[0] - self._slices.squares
        rows_rest = self._total.rows[0] - self._slices.rows
        with np.errstate(divide="ignore", invalid="ignore"):
            within = _effective(
                rate, self._slices.n, inside, self._slices.squares, self._slices.rows
            )
            return within, _effective(rest, self._rest_n, outside, squares_rest, rows_rest)

    def _inside(self, r: Floats | float, s: Floats | float) -> Floats:
        """Return the sum of (k_i - r n_i)(k_i - s n_i)."""
        sums = self._slices
        return np.asarray(sums.kk - (r + s) * sums.nk + r * s * sums.nn)

    def _with_all(self, r: Floats | float, s: Floats | float) -> Floats:
        """Return the sum of (k_i - r n_i)(K_i - s N_i)."""
        sums = self._slices
        return np.asarray(sums.k_fails - s * sums.k_all - r * sums.n_fails + r * s * sums.n_all)

    def _outside(self, s: Floats | float) -> Floats:
        """Return the sum of the squares of (K_i - k_i) - s (N_i - n_i)."""
        total = self._total
        of_all = total.kk[0] - 2 * s * total.nk[0] + s * s * total.nn[0]
        return np.asarray(of_all - 2 * self._with_all(s, s) + self._inside(s, s))


def _effective(rate: Floats, n: Floats, squared: Floats, squares: Floats, rows: Floats) -> Floats:
    """Return r(1 - r) n^2 / (sum of squared residuals), or Kish's number where that is not defined."""
    by_variance = rate * (1 - rate) * n**2 / squared
    # At most the rows: with one weight far above the rest, a difference of squares is only rounding error.
    kish = np.minimum(n**2 / squares, rows)
    effective: Floats = np.where((rate > 0) & (rate < 1) & (squared > 0), by_variance, kish)
    return effective
