"""From rows to findings: what is planted is found, and chance is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from keras_otel.analysis import slice_failures
from keras_otel.analysis.slices.family import Family
from keras_otel.errors import SourceError


def null_rows(seed: int, rows: int = 5000, features: int = 8) -> pd.DataFrame:
    """Rows whose failures have nothing to do with anything."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {f"f{n}": rng.integers(0, 2 + n % 3, rows).astype(str) for n in range(features)}
    )
    return data.assign(failed=rng.random(rows) < 0.1)


def sessions(seed: int, rows: int = 5000) -> pd.DataFrame:
    """The same, where the answers of one session are alike in everything."""
    rng = np.random.default_rng(seed)
    count = rows // 15
    session = np.repeat(np.arange(count), 15)
    data = pd.DataFrame(
        {f"f{n}": rng.integers(0, 2 + n % 3, count)[session].astype(str) for n in range(8)}
    )
    rate = rng.beta(0.5, 4.5, count)[session]
    return data.assign(failed=rng.random(len(session)) < rate, session=session.astype(str))


def planted(seed: int, rows: int = 20_000) -> pd.DataFrame:
    """Failures three times as frequent where f0 is 1 and f2 is 3."""
    rng = np.random.default_rng(seed)
    data = null_rows(seed, rows)
    inside = (data["f0"] == "1") & (data["f2"] == "3")
    return data.assign(failed=rng.random(rows) < np.where(inside, 0.3, 0.1))


def test_chance_is_not_found():
    """In data without any pattern something is found in few data sets."""
    found = [
        bool(slice_failures(null_rows(seed), failed="failed").evals[0].slices) for seed in range(30)
    ]

    assert sum(found) <= 5  # at a rate of 7 %, six or more of 30 happen once in 70 runs


def test_chance_is_not_found_in_sessions():
    """Where sessions are alike, `cluster` keeps their number from being taken for evidence."""
    with_cluster = [
        bool(slice_failures(sessions(s), failed="failed", cluster="session").evals[0].slices)
        for s in range(12)
    ]
    without = [
        bool(slice_failures(sessions(s).drop(columns="session"), failed="failed").evals[0].slices)
        for s in range(12)
    ]

    assert sum(with_cluster) <= 2
    assert sum(without) >= 6


@pytest.mark.parametrize("seed", range(5))
def test_what_is_planted_comes_first(seed):
    """The planted slice is the first finding, as it is, and the slices around it are gone."""
    first, *others = slice_failures(planted(seed), failed="failed").evals[0].slices

    assert [(p.attribute, p.value) for p in first.predicates] == [("f0", "1"), ("f2", "3")]
    assert first.significant
    assert first.risk_ratio == pytest.approx(3, rel=0.2)
    assert len(others) <= 1  # chance among hundreds that have rows in common with the first


def test_two_causes_that_overlap():
    """Each of two causes is told, also where some rows have both."""
    rng = np.random.default_rng(1)
    data = null_rows(1, 20_000)
    rate = 0.08 + 0.2 * ((data["f0"] == "1") & (data["f2"] == "3")) + 0.15 * (data["f5"] == "2")
    data = data.assign(failed=rng.random(len(data)) < rate)
    slices = slice_failures(data, failed="failed").evals[0].slices
    told = [{(p.attribute, p.value) for p in found.predicates} for found in slices]

    assert {("f0", "1"), ("f2", "3")} in told
    assert {("f5", "2")} in told
    assert len(told) <= 4


def test_a_slice_on_its_own():
    """Where all of a slice fails more often, its parts are not told as well."""
    rng = np.random.default_rng(0)
    data = null_rows(1, 20_000)
    data["failed"] = rng.random(len(data)) < np.where(data["f0"] == "1", 0.3, 0.1)
    slices = slice_failures(data, failed="failed").evals[0].slices

    assert [(p.attribute, p.value) for p in slices[0].predicates] == [("f0", "1")]


def test_ranking_and_all():
    """Findings are ranked by the lower end of their excess; `list_all` adds the others after them."""
    data = planted(0)
    few = slice_failures(data, failed="failed").evals[0].slices
    everything = slice_failures(data, failed="failed", list_all=True)
    listed = everything.evals[0].slices

    lowers = [found.excess_failures_lower for found in few]
    assert lowers == sorted(lowers, reverse=True)
    assert listed[: len(few)] == few
    assert all(found.is_finding for found in few)
    assert not any(found.is_finding for found in listed[len(few) :])
    others = [found.significant for found in listed[len(few) :]]
    assert others == sorted(others, reverse=True)
    assert all(bool(found.explained_by) == found.significant for found in listed[len(few) :])
    assert len(listed) > len(few)


def test_by_is_stricter():
    """Benjamini-Yekutieli leaves fewer slices and greater q."""
    data = planted(3)
    usual = slice_failures(data, failed="failed").evals[0].slices[0]
    strict = slice_failures(data, failed="failed", fdr="by").evals[0].slices[0]

    assert strict.p == usual.p
    assert strict.q > usual.q


@pytest.mark.parametrize("failing", ["none", "all", "no rows"])
def test_nothing_to_compare(failing):
    """All failed, none failed, and no row at all are results without findings."""
    data = null_rows(0, 300).assign(failed=failing == "all")
    result = slice_failures(data.head(0) if failing == "no rows" else data, failed="failed")

    assert [found for family in result.evals for found in family.slices] == []
    assert result.totals.rate == (1.0 if failing == "all" else 0.0)


def test_weights_count():
    """A row of weight 2 stands for two answers in rates, and not for two as evidence."""
    data = planted(0, 4000).assign(w=2.0)
    weighted = slice_failures(data, failed="failed", weight="w")
    plain = slice_failures(data.drop(columns="w"), failed="failed")

    assert weighted.totals.rows == 2 * plain.totals.rows
    assert weighted.totals.weighted
    one, other = weighted.evals[0].slices[0], plain.evals[0].slices[0]
    assert one.predicates == other.predicates
    assert one.rate == pytest.approx(other.rate)
    assert one.ci == pytest.approx(other.ci, rel=1e-9)
    assert one.risk_ratio_ci == pytest.approx(other.risk_ratio_ci, rel=1e-9)


@pytest.mark.parametrize("kind", ["pandas", "arrow", "ibis"])
def test_kinds_of_rows(kind, tmp_path):
    """A data frame, an Arrow table and an Ibis table give the same."""
    import ibis
    import pyarrow as pa

    data = planted(0, 3000)
    arrow = pa.Table.from_pandas(data, preserve_index=False)
    given = {"pandas": data, "arrow": arrow}.get(kind)
    if given is None:
        given = ibis.duckdb.connect().create_table("rows", arrow)

    assert slice_failures(given, failed="failed") == slice_failures(data, failed="failed")


@pytest.mark.parametrize(
    ("changes", "options", "said"),
    [
        ({}, {"failed": "faild"}, "no column 'faild': there is failed"),
        ({}, {"failed": "failed", "by": ["f9"]}, "no column 'f9': there is f"),
        ({"failed": "yes"}, {"failed": "failed"}, "is of type string: it must hold true and false"),
        ({"failed": 2}, {"failed": "failed"}, "holds 2, which is neither true nor false"),
        ({"w": -1.0}, {"failed": "failed", "weight": "w"}, "300 rows whose weight is no number"),
        ({"w": float("nan")}, {"failed": "failed", "weight": "w"}, "300 rows whose weight is no"),
        ({"w": "x"}, {"failed": "failed", "weight": "w"}, "weights are numbers"),
    ],
)
def test_bad_rows(changes, options, said):
    """One line says what is wrong with the rows."""
    with pytest.raises(SourceError, match=said) as caught:
        slice_failures(null_rows(0, 300).assign(**changes), **options)
    assert "\n" not in str(caught.value)


def test_what_is_no_table():
    """Something else than a table is refused."""
    with pytest.raises(SourceError, match="rows of type int cannot be read"):
        slice_failures(3, failed="failed")


def test_identifiers_and_many_values():
    """A column that names the rows is left out, and of one with many values the rarest are joined."""
    rng = np.random.default_rng(0)
    data = null_rows(0, 4000)
    data["user"] = [f"user {n}" for n in range(len(data))]
    data["city"] = np.char.add("c", rng.geometric(0.05, len(data)).astype(str))
    result = slice_failures(data, failed="failed", by=["user", "city", "f0"])
    (family,) = result.evals
    cities = [cohort.value for cohort in family.cohorts if cohort.by == "city"]

    counts = data["city"].value_counts()
    assert set(cities) == {*counts.index[counts >= 30], "__other__"}
    assert cities[-1] == "__other__"
    assert sum(cohort.n for cohort in family.cohorts if cohort.by == "city") == 4000
    user, city = result.warnings
    assert user == "user is not sliced by: of its 4,000 values none has 30 rows"
    assert city.startswith(
        f"{(counts < 30).sum()} rarer values of city are put together as __other__: "
    )


def test_missing_values():
    """Rows without a value are a value of their own."""
    data = null_rows(0, 900)
    data.loc[::3, "f0"] = None
    (family,) = slice_failures(data, failed="failed", by=["f0"]).evals

    assert {cohort.value: cohort.n for cohort in family.cohorts}["__missing__"] == 300


def test_examples_are_failed_rows_of_the_slice():
    """Example traces are rows of the slice that failed, the first by their ids."""
    data = planted(0).assign(trace_id=[f"{n:032x}" for n in range(20_000)])
    found = slice_failures(data, failed="failed").evals[0].slices[0]
    inside = data[(data["f0"] == "1") & (data["f2"] == "3") & data["failed"]]

    assert found.example_trace_ids == tuple(sorted(inside["trace_id"])[:3])


def test_columns_by_any_name():
    """A column may have the name of something that a row has itself."""
    data = planted(0).rename(columns={"f0": "model", "f2": "cluster", "f3": "weight"})
    first = slice_failures(data, failed="failed").evals[0].slices[0]

    assert {(p.attribute, p.value) for p in first.predicates} == {("model", "1"), ("cluster", "3")}


def blas_threads() -> set[int]:
    """What matrix products use now."""
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


def test_threads(monkeypatch):
    """Products of small matrices use one thread; afterwards there are as many as before."""
    seen = []

    def spied(*about):
        seen.append(blas_threads())
        return Family(*about)

    monkeypatch.setattr("keras_otel.analysis.slices.slicing.Family", spied)
    with threadpool_limits(limits=2, user_api="blas"):
        slice_failures(null_rows(1, 400), failed="failed")

        assert blas_threads() == {2}
    assert seen == [{1}]
