"""Tests of chance, held to those of scipy and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from keras_otel.analysis.slices.significance import (
    false_discovery_rates,
    hypergeometric_tail,
    upper_tail,
)

SIZES = st.integers(1, 60) | st.integers(60, 5000) | st.integers(5000, 3_000_000)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(data=st.data(), rows=SIZES)
def test_hypergeometric_tail(data, rows):
    """P(X >= k) is scipy's."""
    failed = data.draw(st.integers(0, rows))
    n = data.draw(st.integers(0, rows))
    mean, spread = n * failed / rows, 4 * np.sqrt(n * failed / rows) + 2
    k = data.draw(st.integers(max(0, int(mean - spread)), int(mean + spread)))
    expected = stats.hypergeom.sf(k - 1, rows, failed, n)

    assert hypergeometric_tail(k, n, failed, rows) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_far_tails():
    """Far out the tail keeps its digits, where one minus the rest would have none."""
    k = np.array([200, 300, 500])
    found = hypergeometric_tail(k, 1000, 10_000, 100_000)

    assert found == pytest.approx(stats.hypergeom.sf(k - 1, 100_000, 10_000, 1000), rel=1e-9)
    assert (found > 0).all()


@settings(deadline=None, derandomize=True)
@given(st.floats(-30, 30), st.integers(1, 10_000))
def test_students_t(z, degrees):
    """P(T >= z) is scipy's."""
    assert upper_tail(z, degrees) == pytest.approx(stats.t.sf(z, degrees), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(("correction", "method"), [("bh", "fdr_bh"), ("by", "fdr_by")])
@settings(deadline=None, derandomize=True)
@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=200))
def test_false_discovery_rates(correction, method, p):
    """Q values are those of statsmodels."""
    found = false_discovery_rates(np.array(p), correction)

    assert found == pytest.approx(multipletests(p, method=method)[1], rel=1e-9, abs=1e-12)


def test_no_tests():
    """A family without tests has no q values."""
    assert false_discovery_rates(np.zeros(0)).size == 0
