"""Slices that stand out by what they come with: the classic example, and statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.contingency_tables import StratifiedTable

from keras_otel.analysis import slice_failures
from keras_otel.analysis.slices.confounding import mantel_haenszel_risk_ratio

# Admissions to Berkeley's six largest departments in 1973, by department: men admitted and rejected,
# women admitted and rejected. P. J. Bickel, E. A. Hammel and J. W. O'Connell, "Sex bias in graduate
# admissions: data from Berkeley", Science 187 (1975), 398-404; as in R's UCBAdmissions.
ADMISSIONS = {
    "A": (512, 313, 89, 19),
    "B": (353, 207, 17, 8),
    "C": (120, 205, 202, 391),
    "D": (138, 279, 131, 244),
    "E": (53, 138, 94, 299),
    "F": (22, 351, 24, 317),
}


def admissions() -> pd.DataFrame:
    """One row for each applicant."""
    parts = []
    for department, counts in ADMISSIONS.items():
        for count, (gender, is_rejected) in zip(
            counts, [("men", False), ("men", True), ("women", False), ("women", True)], strict=True
        ):
            parts.append(
                pd.DataFrame(
                    {"gender": gender, "department": department, "rejected": is_rejected},
                    index=range(count),
                )
            )
    return pd.concat(parts, ignore_index=True)


def test_the_figures_of_the_example():
    """The data are the ones that the literature gives these figures for."""
    strata = [np.array([[a, b], [c, d]]) for a, b, c, d in ADMISSIONS.values()]
    table = StratifiedTable(strata)
    a, b, c, d = np.sum(list(ADMISSIONS.values()), axis=0)

    assert a * d / (b * c) == pytest.approx(1.841, abs=5e-4)
    assert table.oddsratio_pooled == pytest.approx(0.9047, abs=5e-5)
    assert table.test_null_odds(correction=True).statistic == pytest.approx(1.4269, abs=5e-5)
    assert table.test_equal_odds().pvalue == pytest.approx(0.0021, abs=5e-5)


def test_a_reversal_is_said_in_words():
    """Women are rejected more often, and in most departments less often: the warning says so."""
    result = slice_failures(
        admissions(),
        failed="rejected",
        by=["gender"],
        adjust_for=("department",),
        max_predicates=1,
        list_all=True,
    )
    (family,) = result.evals
    (women,) = [s for s in family.slices if s.predicates[0].value == "women"]

    assert women.significant
    assert not women.is_finding
    assert women.confounded_by == ("department",)
    assert women.risk_ratio > 1.2
    assert women.adjustments[0].risk_ratio < 1
    assert {p.attribute for by in women.explained_by for p in by} == {"department"}
    (warning,) = result.warnings
    assert warning == (
        "Simpson's paradox: gender = women fails more often than the rest in rejected by upstream model rows, "
        "but less often once department is held fixed: it is not a finding"
    )


def test_nothing_to_hold_fixed():
    """A stratifier that is part of the slice is left alone."""
    result = slice_failures(
        admissions(), failed="rejected", by=["gender", "department"], adjust_for=["department"]
    )
    slices = result.evals[0].slices
    attributes = [{predicate.attribute for predicate in found.predicates} for found in slices]

    assert any("department" in told for told in attributes)
    for found, told in zip(slices, attributes, strict=True):
        assert "department" not in told.intersection(found.confounded_by)


@pytest.mark.parametrize("seed", range(10))
def test_mantel_haenszel_risk_ratio(seed):
    """The adjusted ratio is that of statsmodels' stratified tables."""
    rng = np.random.default_rng(seed)
    strata = [rng.integers(1, 60, (2, 2)) for _ in range(5)]
    k, ok = np.array([s[0] for s in strata]).T
    k_rest, ok_rest = np.array([s[1] for s in strata]).T
    expected = StratifiedTable(strata).riskratio_pooled

    found = mantel_haenszel_risk_ratio(k, k + ok, k_rest, k_rest + ok_rest)
    assert found == pytest.approx(expected, rel=1e-9)


def test_strata_that_have_only_one_side():
    """They say nothing; where none has both there is no ratio."""
    assert math.isnan(mantel_haenszel_risk_ratio([3, 0], [5, 0], [0, 2], [0, 9]))
    assert mantel_haenszel_risk_ratio([3], [5], [0], [9]) == math.inf
    assert mantel_haenszel_risk_ratio([3, 7], [6, 7], [1, 0], [6, 0]) == pytest.approx(3)
