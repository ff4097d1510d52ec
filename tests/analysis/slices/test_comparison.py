"""Each slice against its complement, held to statsmodels and to sums taken row by row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from keras_otel.analysis.slices.comparison import MIN_CLUSTERS, compare
from keras_otel.analysis.slices.intervals import Z
from keras_otel.analysis.slices.sums import Summing
from tests.analysis.frames import cells_of, frame

WAYS = pytest.mark.parametrize(
    ("weighted", "clustered"),
    [(False, False), (True, False), (False, True), (True, True)],
    ids=["plain", "weighted", "clustered", "weighted and clustered"],
)


def comparison_of(data: pd.DataFrame, *, weighted: bool, clustered: bool):
    """The slice f0 = v1, compared."""
    cells = cells_of(data, ["f0", "f1"], weighted=weighted, clustered=clustered)
    summing = Summing(cells)
    feature = cells.features[0]
    code = feature.values.index("v1")  # noqa: PD011 - no data frame
    groups = (cells.codes[:, 0] == code).astype(np.int64)
    sums = summing.by(groups, 2).select([1])
    return compare(sums, summing.all, is_exact=not (weighted or clustered))


@WAYS
@pytest.mark.parametrize("seed", range(5))
def test_difference_and_its_interval(weighted, clustered, seed):
    """The risk difference and its robust interval are those of a regression with robust errors."""
    data = frame(800, seed=seed)
    found = comparison_of(data, weighted=weighted, clustered=clustered)
    weights = data["weight"] if weighted else np.ones(len(data))
    x = sm.add_constant((data["f0"] == "v1").astype(float))
    groups = data["cluster"].astype("category").cat.codes if clustered else np.arange(len(data))
    fit = sm.WLS(data["failed"].astype(float), x, weights=weights).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}
    )
    difference, error = fit.params.iloc[1], fit.bse.iloc[1]

    assert found.difference[0] == pytest.approx(difference, rel=1e-9, abs=1e-12)
    assert found.difference_ci[0][0] == pytest.approx(difference - Z * error, rel=1e-9, abs=1e-12)
    assert found.difference_ci[1][0] == pytest.approx(difference + Z * error, rel=1e-9, abs=1e-12)
    assert found.rate_rest[0] == pytest.approx(fit.params.iloc[0], rel=1e-9)


@WAYS
@pytest.mark.parametrize("seed", range(5))
def test_p(weighted, clustered, seed):
    """P is the exact test's, or that of the score test summed row by row and cluster by cluster."""
    data = frame(800, seed=seed)
    found = comparison_of(data, weighted=weighted, clustered=clustered)
    inside = data["f0"] == "v1"
    if not (weighted or clustered):
        k, n = int(data["failed"][inside].sum()), int(inside.sum())
        expected = stats.hypergeom.sf(k - 1, len(data), int(data["failed"].sum()), n)
        assert found.p[0] == pytest.approx(expected, rel=1e-9)
        return
    w = data["weight"] if weighted else pd.Series(1.0, data.index)
    cluster = data["cluster"] if clustered else pd.Series(data.index, data.index)
    rows = pd.DataFrame({"n": w * inside, "k": w * inside * data["failed"]})
    rows = rows.assign(N=w, K=w * data["failed"], there=inside)
    per = rows.groupby(cluster).sum()
    n, big_n = per["n"].sum(), per["N"].sum()
    pooled = per["K"].sum() / big_n
    u = (per["k"] - pooled * per["n"]) / n - (
        per["K"] - per["k"] - pooled * (per["N"] - per["n"])
    ) / (big_n - n)
    difference = per["k"].sum() / n - (per["K"] - per["k"]).sum() / (big_n - n)
    degrees = int((per["there"] > 0).sum()) - 1

    assert found.p[0] == pytest.approx(
        stats.t.sf(difference / np.sqrt((u**2).sum()), degrees), rel=1e-9
    )


@WAYS
def test_the_rate_s_interval(weighted, clustered):
    """The Wilson interval is taken with as many rows as say as much as these do."""
    data = frame(800, seed=1)
    found = comparison_of(data, weighted=weighted, clustered=clustered)
    inside = data[data["f0"] == "v1"]
    w = inside["weight"] if weighted else pd.Series(1.0, inside.index)
    cluster = inside["cluster"] if clustered else pd.Series(inside.index, inside.index)
    rate = (w * inside["failed"]).sum() / w.sum()
    residuals = (w * (inside["failed"] - rate)).groupby(cluster).sum()
    variance = (residuals**2).sum() / w.sum() ** 2
    effective = rate * (1 - rate) / variance
    low, high = found.rate_ci
    centre = (rate + Z**2 / (2 * effective)) / (1 + Z**2 / effective)

    assert found.rate[0] == pytest.approx(rate, rel=1e-12)
    assert (low[0] + high[0]) / 2 == pytest.approx(centre, rel=1e-9)
    if not (weighted or clustered):
        assert effective == pytest.approx(len(inside), rel=1e-9)


def test_too_few_clusters():
    """With fewer than twenty clusters in the slice there is no test."""
    data = frame(2000, seed=0)
    few = data.assign(cluster=np.char.add("c", (np.arange(len(data)) % 19).astype(str)))
    many = data.assign(cluster=np.char.add("c", (np.arange(len(data)) % MIN_CLUSTERS).astype(str)))

    assert np.isnan(comparison_of(few, weighted=False, clustered=True).p[0])
    assert np.isfinite(comparison_of(many, weighted=False, clustered=True).p[0])


@WAYS
@pytest.mark.parametrize("failing", ["nowhere", "everywhere", "inside", "outside"])
def test_rates_of_zero_and_one(weighted, clustered, failing):
    """Where all rows say the same, intervals are honest and nothing divides by zero loudly."""
    data = frame(300, seed=2)
    inside = data["f0"] == "v1"
    chosen = {"nowhere": inside & False, "everywhere": inside | True, "inside": inside}
    data["failed"] = chosen.get(failing, ~inside)
    found = comparison_of(data, weighted=weighted, clustered=clustered)

    assert 0 <= found.rate_ci[0][0] <= found.rate[0] <= found.rate_ci[1][0] <= 1
    assert found.rate_ci[1][0] - found.rate_ci[0][0] > 0
    assert found.excess_lower[0] >= 0
    assert (
        found.ratio[0] == {"nowhere": 1, "everywhere": 1, "inside": np.inf, "outside": 0}[failing]
    )
    if failing in ("nowhere", "everywhere"):
        assert not found.p[0] <= 0.05


def test_excess_failures():
    """Excess failures are those beyond the rate outside, and their share is of all failures."""
    data = frame(900, seed=3)
    found = comparison_of(data, weighted=False, clustered=False)
    inside = data["f0"] == "v1"
    k, n = data["failed"][inside].sum(), inside.sum()
    outside = data["failed"][~inside].mean()

    assert found.excess[0] == pytest.approx(k - n * outside)
    assert found.share[0] == pytest.approx((k - n * outside) / data["failed"].sum())
    assert found.excess_lower[0] == pytest.approx(n * max(0, found.difference_ci[0][0]))
