"""What is planted is reported, and little else: a few data sets of every kind of `benchmarks/planted.py`."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from keras_otel.analysis import slice_failures

sys.path.append(str(Path(__file__).resolve().parents[3]))

from benchmarks.planted import KINDS, Planted, features, worse_version

SEEDS = range(2)


def generator(name, seed):
    """Random numbers of one data set."""
    return np.random.default_rng((sum(name.encode()), seed))


def sliced(planted: Planted, rng, **options):
    """The result of one data set."""
    data = planted.rows.assign(failed=rng.random(len(planted.rows)) < planted.rate)
    return slice_failures(data, failed="failed", **options)


@pytest.mark.parametrize("name", KINDS)
def test_planted_causes(name):
    """Every cause is named exactly, and of other findings there are few."""
    told = others = causes = 0
    for seed in SEEDS:
        rng = generator(name, seed)
        planted = KINDS[name](rng)
        found = planted.count_found(sliced(planted, rng).evals[0].slices)
        told, others, causes = told + found[0], others + found[1], causes + len(planted.causes)

    assert told == causes
    assert others <= 1


def test_everything_significant_is_listed_with_what_explains_it():
    """With `list_all` the significant slices that are no findings name findings that share rows."""
    rng = generator("all", 0)
    planted = worse_version(rng)
    slices = sliced(planted, rng, list_all=True).evals[0].slices
    findings = [each for each in slices if each.is_finding]
    explained = [each for each in slices if each.significant and not each.is_finding]

    assert len(explained) > len(findings) > 3
    assert slices == (*findings, *explained, *(each for each in slices if not each.significant))
    named = {each.predicates for each in findings}
    assert all(each.explained_by and set(each.explained_by) <= named for each in explained)
    (joint,) = [each for each in explained if {p.value for p in each.predicates} == {"v2", "c0"}]
    assert {p.value for by in joint.explained_by for p in by} == {"v2", "c0"}


def test_numbers_given_the_other_findings():
    """A finding has its own risk ratio, which that of other causes does not change."""
    rng = generator("adjusted", 0)
    planted = worse_version(rng)
    by_name = {each.predicates[0].value: each for each in sliced(planted, rng).evals[0].slices}

    assert by_name["v2"].adjusted_risk_ratio == pytest.approx(1.5, rel=0.2)
    assert by_name["c0"].adjusted_risk_ratio == pytest.approx(4, rel=0.2)
    assert by_name["c0"].risk_ratio < 3
    assert all(each.adjusted_p < 1e-4 for each in by_name.values())


def test_both_ends_of_a_range():
    """What is too low and what is too high are two findings."""
    rng = generator("ends", 0)
    rows = features(rng, 8000, 4)
    rows["latency_ms"] = rng.lognormal(4, 0.7, len(rows))
    is_far = (rows.latency_ms < 25) | (rows.latency_ms > 110)
    planted = Planted(rows=rows, rate=np.where(is_far, 0.24, 0.08), causes=())
    found = sliced(planted, rng).evals[0].slices
    ranges = [each.predicates[0] for each in found]

    assert len(found) == 2
    assert {p.attribute for p in ranges} == {"latency_ms"}
    assert sum(p.lower is None for p in ranges) == 1
    assert sum(p.upper is None for p in ranges) == 1


def test_better():
    """Slices that fail less are reported on request, by the same rules."""
    rng = generator("better", 0)
    rows = features(rng, 8000, 6)
    inside = (rows.f1 == "v1") & (rows.f2 == "v0")
    planted = Planted(rows=rows, rate=np.where(inside, 0.08, 0.3), causes=())
    family = sliced(planted, rng, better=True).evals[0]
    (found,) = family.better

    assert {(p.attribute, p.value) for p in found.predicates} == {("f1", "v1"), ("f2", "v0")}
    assert found.risk_ratio < 0.5
    assert found.adjusted_risk_ratio == pytest.approx(0.08 / 0.3, rel=0.3)
    assert found.p < 1e-6
    assert found.excess_failures < -50
    assert not sliced(planted, rng).evals[0].better


def test_nothing_better_in_null_data():
    """Chance is not found among what fails less either."""
    found = 0
    for seed in range(12):
        rng = generator("null", seed)
        rows = features(rng, 3000, 6)
        planted = Planted(rows=rows, rate=np.full(len(rows), 0.3), causes=())
        found += bool(sliced(planted, rng, better=True).evals[0].better)

    assert found <= 3  # at a rate of 5 %, four or more of 12 happen once in 450 runs


@pytest.mark.parametrize("options", [{"cluster": "session"}, {"weight": "w"}])
def test_robust_tests(options):
    """Causes are found with clusters and with weights too, and nothing else."""
    rng = generator("robust", 0)
    planted = worse_version(rng)
    count = len(planted.rows)
    session = rng.integers(0, count // 10, count)
    extra = {
        "session": session.astype(str) if "cluster" in options else None,
        "w": rng.choice([1.0, 2.0, 4.0], count) if "weight" in options else None,
    }
    rows = planted.rows.assign(**{k: v for k, v in extra.items() if v is not None})
    found = sliced(
        Planted(rows=rows, rate=planted.rate, causes=planted.causes, also=planted.also),
        rng,
        **options,
    )
    told, others = planted.count_found(found.evals[0].slices)

    assert told == 5
    assert others == 0


def test_a_version_is_not_explained_by_its_confidence():
    """A version that is worse because it is less sure is reported beside the confidence."""
    rng = generator("mediated", 0)
    count = 6000
    version = rng.choice(["v1", "v2"], count)
    confidence = np.where(version == "v2", rng.uniform(0.4, 1, count), rng.uniform(0.7, 1, count))
    edges = np.array([0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99])
    labels = np.array([*(f"[{low:g},{high:g})" for low, high in pairwise(edges)), "[0.99,1]"])
    rows = pd.DataFrame(
        {
            "keras.model.version": version,
            "keras.prediction.confidence_bin": labels[np.digitize(confidence, edges) - 1],
            "plan": rng.choice(["free", "paid"], count),
        }
    )
    rate = np.where(confidence < 0.7, 0.4, 0.1)
    found = sliced(Planted(rows=rows, rate=rate, causes=()), rng).evals[0].slices
    told = {tuple(p.value for p in each.predicates) for each in found}

    assert ("[0,0.7)",) in told
    assert ("v2",) in told
