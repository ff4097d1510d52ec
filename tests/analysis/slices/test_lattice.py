"""Sums over every slice and range at once, held to adding up the cells that each is made of."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_otel.analysis.aggregation.cells import Term
from keras_otel.analysis.aggregation.features import Feature
from keras_otel.analysis.rows.feature_columns import MISSING
from keras_otel.analysis.slices.candidates import candidates
from keras_otel.analysis.slices.lattice import CLUSTERED_RANGES, RANGES, Grid, grids, make_axis
from keras_otel.analysis.slices.sums import Summing, Sums
from tests.analysis.frames import cells_of

SUMS = Sums.__slots__


def ordered(size, *, rest=False):
    """A feature whose values have an order, and perhaps one that has none."""
    bounds = tuple((float(n), float(n + 1)) for n in range(size))
    return Feature(
        name="x",
        values=(*(f"[{n},{n + 1})" for n in range(size)), *((MISSING,) if rest else ())),
        bounds=bounds,
        is_binned=True,
    )


def unordered(size):
    """A feature of texts."""
    return Feature(name="x", values=tuple(f"v{n}" for n in range(size)))


FEATURES = st.one_of(
    st.builds(ordered, st.integers(2, 6), rest=st.booleans()),
    st.builds(unordered, st.integers(2, 5)),
)
KINDS = st.sampled_from(["all", "open", "none"])

# Kind, values, whether there is a rest, the ranges besides the values.
INTERVALS = [
    ("all", 4, False, [(0, 1), (0, 2), (1, 3), (2, 3), (1, 2)]),
    ("all", 4, True, [(0, 1), (0, 2), (0, 3), (1, 3), (2, 3), (1, 2)]),
    ("open", 4, False, [(0, 1), (0, 2), (1, 3), (2, 3)]),
    ("open", 4, True, [(0, 1), (0, 2), (0, 3), (1, 3), (2, 3)]),
    ("none", 4, True, []),
    ("all", 2, False, []),
    ("all", 2, True, [(0, 1)]),
    ("all", 1, True, []),
]


@pytest.mark.parametrize(("ranges", "size", "rest", "told"), INTERVALS)
def test_intervals(ranges, size, rest, told):
    """Each value, then ranges of neighbours, open ones first; never everything, and no range has what is missing."""
    feature = ordered(size, rest=rest)
    found = make_axis(feature, 0, ranges)
    both = list(zip(found.low.tolist(), found.high.tolist(), strict=True))
    values = len(feature.values)

    assert both[:values] == [(n, n) for n in range(values)]
    assert both[values:] == told
    assert found.has_ranges == bool(told)
    for (low, high), ends in zip(both, found.endpoints, strict=True):
        assert ends == (2 if low > 0 and high < size - 1 else 1)


def test_values_without_an_order():
    """They are no ranges, and each takes one word to describe."""
    found = make_axis(unordered(4), 2, "all")

    assert (found.low.tolist(), found.high.tolist()) == ([0, 1, 2, 3], [0, 1, 2, 3])
    assert found.endpoints.tolist() == [1, 1, 1, 1]
    assert not found.has_ranges


@given(feature=FEATURES, ranges=KINDS)
def test_layers(feature, ranges):
    """Each interval is in one layer, whole, and those of a layer have no value in common."""
    found = make_axis(feature, 0, ranges)
    layers = list(found.layers())
    seen = [int(interval) for layer in layers for interval in np.unique(layer[layer >= 0])]

    assert sorted(seen) == list(range(len(found.low)))
    for layer in layers:
        for interval in np.unique(layer[layer >= 0]):
            low, high = found.low[interval], found.high[interval]
            assert np.flatnonzero(layer == interval).tolist() == list(range(low, high + 1))


@st.composite
def filled_grids(draw):
    """Features, the codes of some cells, a grid of them."""
    features = draw(st.lists(FEATURES, min_size=1, max_size=3))
    axes = tuple(make_axis(feature, n, draw(KINDS)) for n, feature in enumerate(features))
    cells = draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    codes = np.stack([rng.integers(0, each.size, cells) for each in axes], axis=1)
    groups = np.ravel_multi_index(tuple(codes.T), tuple(each.size for each in axes))
    return codes, Grid(axes, groups), rng.integers(-100, 1000, cells).astype(float)


def inside(codes, terms):
    """The cells of a slice."""
    mask = np.ones(len(codes), bool)
    for place, low, high in terms:
        mask &= (codes[:, place] >= low) & (codes[:, place] <= high)
    return mask


@settings(deadline=None, derandomize=True, max_examples=150)
@given(filled=filled_grids())
def test_sums(filled):
    """The sum of each slice is that of its cells, and every slice is there once."""
    codes, grid, values = filled
    sums, ends = grid.sums(values), grid.endpoint_counts()
    terms = [grid.terms(index) for index in range(len(sums))]

    assert len(set(terms)) == len(terms) == len(ends)
    assert terms == [
        tuple(Term(n, low, high) for n, (low, high) in enumerate(each))
        for each in product(
            *(list(zip(each.low.tolist(), each.high.tolist(), strict=True)) for each in grid.axes)
        )
    ]
    for index, each in enumerate(terms):
        assert sums[index] == values[inside(codes, each)].sum()
        assert ends[index] == sum(
            used.endpoints[(used.low == term.low) & (used.high == term.high)].item()
            for used, term in zip(grid.axes, each, strict=True)
        )


@settings(deadline=None, derandomize=True, max_examples=60)
@given(filled=filled_grids())
def test_layers_of_a_grid(filled):
    """Every slice that has cells is in one layer, with all of its cells."""
    codes, grid, _ = filled
    found = {}
    for slices, count in grid.layers():
        assert count == len(grid.endpoint_counts())
        for index in np.unique(slices[slices < count]):
            assert index not in found
            found[index] = np.flatnonzero(slices == index).tolist()
    wanted = {
        index: np.flatnonzero(inside(codes, grid.terms(index))).tolist()
        for index in range(len(grid.endpoint_counts()))
    }

    assert found == {index: cells for index, cells in wanted.items() if cells}


def ordered_rows(rows, seed, *, missing=0.1):
    """Rows of two features with an order, one without, clusters and weights."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 80, rows).astype(float)
    age[rng.random(rows) < missing] = np.nan
    return pd.DataFrame(
        {
            "age": age,
            "size": rng.exponential(10, rows),
            "plan": rng.choice(["free", "paid", "trial"], rows),
            "failed": rng.random(rows) < 0.3,
            "weight": rng.choice([1.0, 2.0, 0.3], rows),
            "cluster": np.char.add("c", rng.integers(0, rows // 5, rows).astype(str)),
        }
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("clustered", [False, True])
def test_sums_of_candidates(weighted, clustered):
    """All sums of each slice, also of ranges, are those of adding up its cells."""
    cells = cells_of(
        ordered_rows(3000, 3), ["age", "size", "plan"], weighted=weighted, clustered=clustered
    )
    summing = Summing(cells)
    found = candidates(cells, summing, support=17 if clustered else 60)

    assert len(found) > 100
    assert {len(found.predicates(n)) for n in range(len(found))} == {1, 2, 3}
    masks = [cells.where(found.predicates(index)) for index in range(len(found))]
    assert len({mask.tobytes() for mask in masks}) == len(found)
    for index, mask in enumerate(masks):
        alone = summing.by(mask.astype(np.int64), 2)
        for name in SUMS:
            assert getattr(found.sums, name)[index] == pytest.approx(getattr(alone, name)[1]), name


@pytest.mark.parametrize("clustered", [False, True])
def test_ranges_by_level(clustered):
    """With more predicates, and where clusters make each range dear, fewer ranges are slices."""
    cells = cells_of(ordered_rows(900, 4), ["age", "size", "plan"], clustered=clustered)
    kinds = CLUSTERED_RANGES if clustered else RANGES

    for level in (1, 2, 3):
        found = list(grids(cells, [level]))
        assert len(found) == {1: 3, 2: 3, 3: 1}[level]
        for grid in found:
            for each in grid.axes:
                expected = make_axis(cells.features[each.place], each.place, kinds[level])
                assert each.low.tolist() == expected.low.tolist()
                assert each.high.tolist() == expected.high.tolist()
    assert kinds == (
        {1: "all", 2: "open", 3: "none"} if clustered else {1: "all", 2: "all", 3: "open"}
    )


def test_what_is_missing_is_in_no_range():
    """Rows without a value are in no slice of a range, and are one by themselves."""
    data = ordered_rows(2000, 5, missing=0.3)
    cells = cells_of(data, ["age", "plan"])
    found = candidates(cells, Summing(cells), support=30)
    missing = len(cells.features[0].bounds)
    assert cells.features[0].values[missing:] == (MISSING,)  # noqa: PD011 - no data frame
    terms = [term for n in range(len(found)) for term in found.predicates(n) if term.place == 0]

    assert any(term.low < term.high for term in terms)
    assert {(term.low, term.high) for term in terms if term.high >= missing} == {(missing, missing)}
    there = found.predicates(next(n for n in range(len(found)) if found.predicates(n)[0].low == 0
                                  and found.predicates(n)[0].high == missing - 1))  # fmt: skip
    assert cells.rows[cells.where(there)].sum() == data["age"].notna().sum()


def test_a_feature_with_one_value():
    """It is in no grid."""
    data = ordered_rows(300, 6).assign(same="a")
    cells = cells_of(data, ["same", "plan"])

    assert [[each.place for each in grid.axes] for grid in grids(cells, [1, 2])] == [[1]]
