"""Intervals, held to those of statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from keras_otel.analysis.slices.intervals import Z, risk_ratio_interval, wilson


@settings(deadline=None, derandomize=True)
@given(n=st.integers(1, 10**7), share=st.floats(0, 1))
def test_wilson(n, share):
    """The Wilson interval is that of statsmodels."""
    k = round(n * share)
    lower, upper = wilson(k / n, n)
    expected = proportion_confint(k, n, alpha=0.05, method="wilson")

    assert lower == pytest.approx(expected[0], abs=1e-9)
    assert upper == pytest.approx(expected[1], abs=1e-9)


def test_wilson_of_nothing():
    """Without rows there is no interval."""
    assert np.isnan(wilson(0.0, 0)).all()


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 500), st.integers(500, 9000), st.integers(1, 900), st.integers(900, 9000))
def test_risk_ratio(k, n, k_rest, n_rest):
    """The log-Wald interval of the ratio is that of statsmodels, with a half added on each side."""
    lower, upper = risk_ratio_interval(k, n, k_rest, n_rest)
    expected = confint_proportions_2indep(
        k + 0.5,
        n + 0.5,
        k_rest + 0.5,
        n_rest + 0.5,
        compare="ratio",
        method="log",
        correction=False,
    )

    assert (lower, upper) == pytest.approx(expected, rel=1e-9)


def test_risk_ratio_without_failures_outside():
    """The halves keep the interval finite."""
    lower, upper = risk_ratio_interval(10, 100, 0, 100)

    assert 0 < lower < upper < np.inf


def test_the_quantile():
    """The quantile is the normal distribution's."""
    assert pytest.approx(stats.norm.ppf(0.975), abs=1e-15) == Z
