"""Slices to test: every one with enough rows, none twice, and their sums, held to plain counting."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_otel.analysis.aggregation.features import Feature
from keras_otel.analysis.slices.candidates import candidates, support_of
from keras_otel.analysis.slices.sums import Summing
from tests.analysis.frames import cells_of, frame


def named(feature: Feature, code: int) -> tuple[str, str]:
    """A predicate, by name and value."""
    return feature.name, feature.values[code]  # noqa: PD011 - no data frame


def counted(data: pd.DataFrame, names: list[str], level: int, support: float) -> dict:
    """Every set of rows that a slice has, by brute force, with its first and shortest slice."""
    rate = data["failed"].mean()
    found: dict[bytes, tuple] = {}
    for size in range(1, level + 1):
        for chosen in combinations(names, size):
            for values in product(*(sorted(data[name].unique()) for name in chosen)):
                inside = np.ones(len(data), bool)
                for name, value in zip(chosen, values, strict=True):
                    inside &= (data[name] == value).to_numpy()
                n = int(inside.sum())
                if n < support or n * rate < 5 or n == len(data):
                    continue
                key = inside.tobytes()
                if key not in found:
                    failed = int(data["failed"][inside].sum())
                    found[key] = (tuple(zip(chosen, values, strict=True)), n, failed)
    return {slice_: (n, failed) for slice_, n, failed in found.values()}


@settings(deadline=None, derandomize=True, max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(60, 400),
    values=st.integers(2, 4),
    level=st.integers(1, 3),
    support=st.sampled_from([None, 10, 60]),
)
def test_every_slice(seed, rows, values, level, support):
    """The slices and their rows and failures are those of counting."""
    data = frame(rows, seed=seed, values=values)
    data["failed"] = np.arange(rows) % 3 == 0
    data["f3"] = "twin of " + data["f0"]  # the same rows by another name
    names = [f"f{n}" for n in range(4)]
    cells = cells_of(data, names)
    fewest = support_of(rows, support)
    levels = range(1, level + 1)
    found = candidates(cells, Summing(cells), levels=levels, support=fewest)
    tested = {
        tuple(named(cells.features[term.place], term.low) for term in found.predicates(index)): (
            n,
            k,
        )
        for index, (n, k) in enumerate(zip(found.sums.rows, found.sums.failed, strict=True))
    }

    assert tested == counted(data, names, level, fewest)
    assert found.predicate_counts().tolist() == [
        len(found.predicates(n)) for n in range(len(found))
    ]


def test_observed_failures_do_not_matter():
    """A slice without failures is tested like any other."""
    data = frame(600, seed=0)
    data["failed"] &= data["f0"] != "v1"
    cells = cells_of(data, ["f0", "f1"])
    found = candidates(cells, Summing(cells), support=30)

    assert 0.0 in found.sums.failed


@pytest.mark.parametrize("rows", [1, 20])
def test_too_little(rows):
    """Of a few rows nothing is tested."""
    cells = cells_of(frame(rows, seed=0), ["f0", "f1"])

    assert len(candidates(cells, Summing(cells), support=30)) == 0


def test_many_values():
    """Combinations of features with many values are found all the same."""
    rng = np.random.default_rng(0)
    data = frame(6000, seed=0)
    for name in ("f0", "f1", "f2"):
        data[name] = np.char.add("v", rng.choice(50, len(data), p=_zipf(50)).astype(str))
    cells = cells_of(data, ["f0", "f1", "f2"])
    found = candidates(cells, Summing(cells), support=30)
    for index, n in enumerate(found.sums.rows):
        inside = np.ones(len(data), bool)
        for term in found.predicates(index):
            name, value = named(cells.features[term.place], term.low)
            inside &= (data[name] == value).to_numpy()
        assert inside.sum() == n
    assert found.predicate_counts().max() == 3


def _zipf(count: int) -> np.ndarray:
    share = 1 / np.arange(1, count + 1)
    return share / share.sum()
