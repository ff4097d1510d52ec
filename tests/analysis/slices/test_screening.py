"""Many features: those that matter are combined, and those left behind count as tested."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, hypergeom

from keras_otel.analysis import slice_failures
from keras_otel.analysis.aggregation.features import features_of
from keras_otel.analysis.slices.screening import MAX_FEATURES, screen_features
from keras_otel.cli import main
from tests.analysis.frames import table_of
from tests.analysis.sources.requests import Inference, Request, Verdict, write

ROWS = 4000


def wide(seed=0, *, rows=ROWS, features=40, values=3):
    """Rows of many features that say nothing of a failure."""
    rng = np.random.default_rng(seed)
    columns = {
        f"x{n:02d}": np.char.add("v", rng.integers(0, values, rows).astype(str))
        for n in range(features)
    }
    return pd.DataFrame(columns), rng


def with_cause(**more):
    """The same, where one value of one of them makes failures twice as frequent."""
    data, rng = wide(**more)
    return data.assign(failed=rng.random(len(data)) < np.where(data["x13"] == "v2", 0.3, 0.15))


def findings(result):
    """The predicates of the findings, each as attribute and value."""
    return [[(p.attribute, p.value) for p in found.predicates] for found in result.evals[0].slices]


def notes(result):
    """What is said of the screening."""
    return [warning for warning in result.warnings if "not combined" in warning]


def test_one_of_forty_matters():
    """It is kept and found, and some of those that go no further are named."""
    result = slice_failures(with_cause(), failed="failed")
    (note,) = notes(result)
    said, _, left = note.partition("; not combined: ")

    assert findings(result) == [[("x13", "v2")]]
    assert said == (
        "each of 40 attributes was tested alone, and the 12 that differ most go on to combinations"
    )
    assert "x13" not in left
    assert left.count("x") == 8
    assert left.endswith(" and 20 more")


def single_p(data, *, is_better):
    """The exact p value of each value of each column, as scipy has it."""
    n_all, k_all = len(data), int(data["failed"].sum())
    found = {}
    for name in data.columns.drop("failed"):
        for value, inside in data.groupby(name):
            n, k = len(inside), int(inside["failed"].sum())
            worse = hypergeom.sf(k - 1, n_all, k_all, n)
            found[name, value] = hypergeom.cdf(k, n_all, k_all, n) if is_better else worse
    return found


def test_what_goes_no_further_counts():
    """The slices of all features are in the family: each q is corrected for all of their own direction."""
    data, rng = wide(features=20)
    often = np.prod([np.where(data[f"x{n:02d}"] == "v2", 1.1, 1) for n in range(20)], axis=0)
    often = np.where(data["x00"] == "v1", 0.2, np.where(data["x01"] == "v0", 2, 1)) * often
    data["failed"] = rng.random(ROWS) < np.clip(0.1 * often, 0, 1)
    result = slice_failures(data, failed="failed", max_predicates=1, list_all=True, better=True)
    (family,) = result.evals

    assert notes(result)
    assert family.slices_tested == 60
    assert len(family.slices) == 3 * MAX_FEATURES
    assert findings(result)[0] == [("x01", "v0")]
    assert family.better
    for slices, is_better in ((family.slices, False), (family.better, True)):
        p = single_p(data, is_better=is_better)
        q = dict(zip(p, false_discovery_control(list(p.values())), strict=True))
        for each in slices:
            (predicate,) = each.predicates
            name = predicate.attribute, predicate.value
            assert each.p == pytest.approx(p[name], rel=1e-9)
            assert each.q == pytest.approx(q[name], rel=1e-9)


def test_p_values_of_what_goes_no_further():
    """Each slice of the features that are left is there, with the p value of its direction."""
    data = with_cause(features=16)
    table = table_of(data.assign(weight=1.0))
    names = list(data.columns.drop("failed"))
    options = {"is_clustered": False, "is_weighted": False, "min_support": None}
    found = screen_features(table, features_of(table, names, (), 30).features, (), **options)
    left = data.columns.difference([feature.name for feature in found.features])

    assert len(left) == 16 - MAX_FEATURES + 1
    for is_better in (False, True):
        screening_tests = found.tests_of(("e", "m"), is_better=is_better)
        assert sorted(screening_tests.p) == pytest.approx(
            sorted(single_p(data[left], is_better=is_better).values())
        )
        assert found.tests_of(("another", "m"), is_better=is_better).p.size == 0
        assert screening_tests.multiplicity == (
            1,
            (16 * 15) / (12 * 11),
            (16 * 15 * 14) / (12 * 11 * 10),
        )


def test_what_is_asked_for_stays():
    """Whatever it looks like, and however much is."""
    data = with_cause(features=20)
    asked = [f"x{n:02d}" for n in range(10, 18)]
    adjusted = slice_failures(data, failed="failed", adjust_for=["x03"], max_predicates=1)
    everything = slice_failures(
        data, failed="failed", by=[*asked, *data.columns[:10]], max_predicates=1
    )

    assert notes(adjusted)
    assert "x03" in {feature.name for feature in adjusted.evals[0].cells.features}
    assert [feature.name for feature in everything.evals[0].cells.features] == [
        *asked, *data.columns[:10],
    ]  # fmt: skip
    assert not notes(everything)
    assert {cohort.by for cohort in everything.evals[0].cohorts} == {
        *asked,
        *data.columns[:10],
    }


def test_constants():
    """They take no place from features that differ."""
    data = with_cause(features=20)
    for n in range(20):
        data[f"constant{n}"] = "always"
    result = slice_failures(data, failed="failed", max_predicates=2)
    names = [feature.name for feature in result.evals[0].cells.features]

    assert findings(result) == [[("x13", "v2")]]
    assert len(names) == MAX_FEATURES
    assert not any(name.startswith("constant") for name in names)
    assert notes(result)[0].startswith("each of 20 attributes ")


def test_combinations_of_what_is_kept():
    """A cause of two predicates is found among many features, since each says something alone."""
    data, rng = wide()
    inside = (data["x07"] == "v1") & (data["x22"] == "v0")
    data["failed"] = rng.random(ROWS) < np.where(inside, 0.5, 0.1)

    assert findings(slice_failures(data, failed="failed")) == [[("x07", "v1"), ("x22", "v0")]]


@pytest.mark.parametrize("seed", [1001, 1012])
def test_chance_is_not_found(seed):
    """Combinations of those that differ most by chance stand out here, unless it counts how they were chosen."""
    data, rng = wide(seed, rows=1000)
    data["failed"] = rng.random(len(data)) < 0.15

    assert findings(slice_failures(data, failed="failed")) == []


@pytest.mark.parametrize(("weighted", "clustered"), [(False, False), (True, False), (True, True)])
def test_clusters_and_weights(weighted, clustered):
    """What goes on is chosen by the test that fits: a feature of whole sessions by chance is not."""
    data, rng = wide(features=24, rows=3000)
    session = np.arange(3000) // 30
    rate = np.where(data["x11"] == "v2", 0.45, 0.2) + np.where(session % 5 == 0, 0.3, 0)
    data["failed"] = rng.random(3000) < rate
    for n in range(12):  # what whole sessions have: each differs much, and says nothing
        data[f"s{n:02d}"] = rng.integers(0, 3, 100)[session].astype(str)
    data["weight"] = rng.choice([1.0, 2.0], 3000)
    data["session"] = session.astype(str)
    left_out = [
        name for name, is_used in (("weight", weighted), ("session", clustered)) if not is_used
    ]
    result = slice_failures(
        data.drop(columns=left_out),
        failed="failed",
        weight="weight" if weighted else None,
        cluster="session" if clustered else None,
        max_predicates=1,
    )
    used = {feature.name for feature in result.evals[0].cells.features}

    assert "x11" in used
    assert [("x11", "v2")] in findings(result)
    assert len([name for name in used if name.startswith("s")]) <= (
        7 if clustered else MAX_FEATURES
    )
    if clustered:
        assert findings(result) == [[("x11", "v2")]]


def tenants(rare, *, rows=20_000):
    """Five thousand tenants, of which one has 2 % of the rows and failures."""
    rng = np.random.default_rng(1)
    tenant = np.char.add("t", rng.integers(0, 5000, rows).astype(str)).astype(object)
    inside = rng.random(rows) < 0.02
    tenant[inside] = rare
    failed = rng.random(rows) < np.where(inside, 0.4, 0.1)
    return pd.DataFrame(
        {"tenant": tenant, "plan": rng.choice(["free", "paid"], rows), "failed": failed}
    )


@pytest.mark.parametrize("more", [0, 13])
def test_a_rare_value_of_many(more):
    """It is a finding, also beside many features; the other values are said by name."""
    data = tenants("acme")
    for n in range(more):
        data[f"x{n}"] = np.random.default_rng(n).integers(0, 3, len(data)).astype(str)
    result = slice_failures(data, failed="failed", max_predicates=2)
    counts = data["tenant"].value_counts()
    order = sorted(counts.index, key=lambda value: (-counts[value], value))

    assert findings(result) == [[("tenant", "acme")]]
    assert result.warnings[0] == (
        f"{len(counts) - 1:,} rarer values of tenant are put together as __other__: "
        f"{order[1]}, {order[2]}, {order[3]} and others"
    )


def test_names_of_rows():
    """A column none of whose values has enough rows is left out; it is said where it was asked for."""
    data = tenants("acme").assign(request=lambda rows: [f"r{n}" for n in range(len(rows))])
    quiet = slice_failures(data, failed="failed")
    asked = slice_failures(data, failed="failed", by=["request", "tenant"])

    assert not any("request" in warning for warning in quiet.warnings)
    assert findings(quiet) == findings(asked) == [[("tenant", "acme")]]
    assert "request is not sliced by: of its 20,000 values none has 30 rows" in asked.warnings


@pytest.fixture
def traces(tmp_path):
    """Traces whose failures come from a plan that only the root span names, beside much that says nothing."""
    rng = np.random.default_rng(2)
    requests = []
    for _ in range(700):
        plan = rng.choice(["free", "team", "paid"], p=[0.2, 0.4, 0.4])
        requests.append(
            Request(
                verdicts=[Verdict(passed=bool(rng.random() > (0.6 if plan == "free" else 0.15)))],
                inferences=[
                    Inference(
                        class_name=str(rng.choice(["refund", "order"])),
                        confidence=float(rng.random()),
                        version=str(rng.choice(["v1", "v2"])),
                    )
                ],
                root_more={
                    "app.plan": str(plan),
                    **{f"app.noise{n:02d}": str(rng.integers(0, 3)) for n in range(14)},
                },
            )
        )
    path = tmp_path / "traces.jsonl"
    write(path, requests)
    return path


def test_an_attribute_of_another_span(traces, capsys):
    """That it causes failures is found without naming it, among more attributes than are combined."""
    code = main(["slice", str(traces), "--format", "json", "--fail-on", "found"])
    report = json.loads(capsys.readouterr().out)
    (family,) = report["evals"]

    assert code == 1
    assert [
        [(p["attribute"], p["value"]) for p in found["predicates"]] for found in family["slices"]
    ] == [[("app.plan", "free")]]
    assert any(" attributes was tested alone, and the 12 that" in w for w in report["warnings"])
