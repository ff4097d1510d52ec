"""The regression on findings and its score test, held to statsmodels and to plain counting."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from keras_otel.analysis.aggregation.cells import Term
from keras_otel.analysis.slices.regression import Regression
from keras_otel.analysis.slices.regression_terms import make_effect
from keras_otel.analysis.slices.significance import hypergeometric_tail, matched_binomial_tail
from tests.analysis.frames import cells_of, frame

ONE, OTHER = (Term(0, 1, 1),), (Term(0, 0, 0), Term(1, 2, 2))
ASKED = (Term(2, 1, 1),)


def data_of(seed, rows=3000):
    """Rows whose failures depend on two slices."""
    data = frame(rows, seed=seed)
    rng = np.random.default_rng(seed)
    rate = 0.1 + 0.2 * (data["f0"] == "v1") + 0.1 * (data["f2"] == "v1")
    return data.assign(failed=rng.random(rows) < rate)


def inside(data, predicates):
    """The rows of a slice."""
    mask = np.ones(len(data), bool)
    for place, code, _ in predicates:
        mask &= (data[f"f{place}"] == f"v{code}").to_numpy()
    return mask


def design(data, *slices):
    """A column of ones, and one for each slice."""
    return np.column_stack([np.ones(len(data)), *(inside(data, each) for each in slices)])


@pytest.mark.parametrize("seed", range(4))
def test_coefficients(seed):
    """They are those of a generalised linear model on the rows."""
    data = data_of(seed)
    cells = cells_of(data, ["f0", "f1", "f2", "f3"])
    found = Regression(cells, [make_effect(cells, ONE), make_effect(cells, OTHER)])
    oracle = sm.GLM(
        data["failed"].astype(float), design(data, ONE, OTHER), family=sm.families.Binomial()
    ).fit()

    assert found.coefficients == pytest.approx(oracle.params.to_numpy(), abs=1e-3)
    assert found.z(0) == pytest.approx(oracle.tvalues.iloc[1], rel=1e-2)
    assert found.expected.sum() == pytest.approx(data["failed"].sum(), rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_scores(seed):
    """The score test's variance is that of statsmodels, and its p value near the normal one."""
    data = data_of(seed, 20_000)
    cells = cells_of(data, ["f0", "f1", "f2", "f3"])
    regression = Regression(cells, [make_effect(cells, ONE), make_effect(cells, OTHER)])
    found = regression.scores([cells.where(ASKED), cells.where((Term(3, 0, 0),))])
    y = data["failed"].astype(float)
    model = sm.GLM(y, design(data, ONE, OTHER), family=sm.families.Binomial())
    params = model.fit().params
    for place, asked in enumerate((ASKED, (Term(3, 0, 0),))):
        extra = inside(data, asked).astype(float)[:, None]
        chi2, p, _ = model.score_test(params, exog_extra=extra)
        is_more = found.failed[place] > found.expected[place]
        one_sided = float(np.squeeze(p)) / 2
        assert found.failed[place] == y[extra[:, 0] == 1].sum()
        if is_more and one_sided < 1e-300:
            continue
        if is_more:
            assert np.log(found.p[place]) == pytest.approx(np.log(one_sided), rel=0.15, abs=0.1)
            assert found.evidence[place] == pytest.approx(
                float(np.squeeze(chi2)) / 2, rel=0.2, abs=0.5
            )
        else:
            assert found.p[place] > 0.4


def test_scores_by_cluster():
    """With clusters the variance is the sum of the squares of the clusters' scores."""
    data = data_of(1)
    cells = cells_of(data, ["f0", "f1", "f2", "f3"], clustered=True)
    regression = Regression(cells, [make_effect(cells, ONE)])
    found = regression.scores([cells.where(ASKED)])
    x = design(data, ONE)
    fitted = sm.GLM(data["failed"].astype(float), x, family=sm.families.Binomial()).fit()
    rate = fitted.fittedvalues.to_numpy()
    weight = rate * (1 - rate)
    asked = inside(data, ASKED).astype(float)
    projection = np.linalg.solve((x.T * weight) @ x, (x.T * weight) @ asked)
    score = (asked - x @ projection) * (data["failed"] - rate)
    by_cluster = score.groupby(data["cluster"]).sum()
    z = score.sum() / np.sqrt((by_cluster**2).sum())
    clusters = data.loc[asked == 1, "cluster"].nunique()

    assert found.p[0] == pytest.approx(stats.t.sf(z, clusters - 1), rel=1e-3)


def test_weights_are_taken_by_their_mean():
    """The scale of weights changes nothing."""
    data = data_of(2)
    one, other = (
        Regression(cells, [make_effect(cells, ONE)]).scores([cells.where(ASKED)])
        for cells in (
            cells_of(data.assign(weight=data["weight"] * scale), ["f0", "f1", "f2"], weighted=True)
            for scale in (1.0, 1000.0)
        )
    )

    assert one.p[0] == pytest.approx(other.p[0], rel=1e-6)
    assert 1000 * one.excess[0] == pytest.approx(other.excess[0], rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_excess_is_what_an_effect_of_its_own_gives(seed):
    """One step of Newton's method is near the regression with the slice in it."""
    data = data_of(seed, 20_000)
    cells = cells_of(data, ["f0", "f1", "f2", "f3"])
    mask = cells.where(ASKED)
    scores = Regression(cells, [make_effect(cells, ONE)]).scores([mask])
    full = Regression(cells, [make_effect(cells, ONE), make_effect(cells, ASKED)])
    excess = cells.failed_weight[mask].sum() - full.expected_without(1)[mask].sum()

    assert scores.excess[0] == pytest.approx(excess, rel=0.05)


def test_where_everything_failed():
    """A slice in which all rows failed has a finite coefficient."""
    data = data_of(0)
    data.loc[data["f0"] == "v1", "failed"] = True
    cells = cells_of(data, ["f0", "f1"])
    found = Regression(cells, [make_effect(cells, ONE)])

    assert np.isfinite(found.coefficients).all()
    assert found.expected_without(0)[cells.where(ONE)].sum() < 0.5 * (data["f0"] == "v1").sum()


@pytest.mark.parametrize(
    ("n", "p", "k"), [(40, 0.1, 9), (400, 0.02, 20), (1000, 0.3, 360), (30, 0.5, 30)]
)
def test_matched_binomial_tail(n, p, k):
    """With a binomial's own moments it is the binomial's tail, and its evidence the likelihood ratio."""
    tail, evidence = matched_binomial_tail(k, n * p, n * p * (1 - p))
    share = k / n
    expected = stats.binom.logpmf(k, n, min(share, 1 - 1e-12)) - stats.binom.logpmf(k, n, p)

    assert tail == pytest.approx(stats.binom.sf(k - 1, n, p), rel=1e-6)
    assert evidence == pytest.approx(expected, rel=1e-6)


def test_matched_binomial_tail_of_a_draw_without_replacement():
    """It is near the exact test, where the normal distribution is far off."""
    rng = np.random.default_rng(0)
    rows, failed = 5000, 400
    n = rng.integers(40, 2500, 300)
    k = rng.hypergeometric(failed, rows - failed, n) + rng.integers(0, 12, 300)
    mean = n * failed / rows
    variance = mean * (1 - failed / rows) * (rows - n) / (rows - 1)
    tail, _ = matched_binomial_tail(k, mean, variance)
    exact = hypergeometric_tail(k, n, failed, rows)
    here = (k > mean) & (exact > 1e-12)

    assert np.abs(np.log(tail[here] / exact[here])).max() < 0.5
