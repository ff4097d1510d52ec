"""Numbers in order: values by themselves, ranges with about equally many rows, and texts that write ranges."""

from __future__ import annotations

import math
from decimal import ROUND_FLOOR, Decimal
from itertools import pairwise

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from keras_otel import semconv
from keras_otel.analysis.aggregation.bin_edges import QUANTILES, _shortest_number, near_quantiles
from keras_otel.analysis.aggregation.features import features_of
from keras_otel.analysis.aggregation.numeric_bins import interval, intervals_of
from keras_otel.analysis.rows.feature_columns import MISSING, OTHER, column_of
from keras_otel.analysis.rows.fixed_bins import CONFIDENCE_BINS
from keras_otel.analysis.sources.servers.clickhouse import connect
from tests.analysis.sources.requests import many, write
from tests.analysis.sources.test_same_rows import clickhouse_with

CONNECTION = ibis.duckdb.connect()


def table_of(values, *, count=None, name="x"):
    """A table of one column."""
    given = pa.table(
        {column_of(name): values, "count": pa.array(count or [1] * len(values), pa.int64())}
    )
    return CONNECTION.create_table("given", given, temp=True, overwrite=True)


def feature_of(table, *, name="x", support=1):
    """What a column is sliced by, and the note on it."""
    found = features_of(table, [name], [name], support)
    return (found.features or (None,))[0], found.notes.get(name)


def in_bins(table, feature):
    """Each row's own value, and what it is sliced by."""
    rows = table.select(
        own=table[column_of(feature.name)], value=feature.values_in(table)
    ).to_pyarrow()
    return list(zip(rows["own"].to_pylist(), rows["value"].to_pylist(), strict=True))


def holds(bounds, number):
    """Whether a range has a number."""
    low, high = bounds
    return (low is None or low <= number) and (high is None or number < high)


def assert_in_their_bins(table, feature):
    """Each row's value is that of the range that holds its number."""
    for own, value in in_bins(table, feature):
        if own is None or math.isnan(float(own)):
            assert value == MISSING
        else:
            place = feature.values.index(value)
            assert holds(feature.bounds[place], float(own))


# Name, values, what they are sliced by, the ends of ranges where values are ranges.
VALUES_BY_THEMSELVES = {
    "few numbers": ([3, 1, 2, 10, 1], ("1", "2", "3", "10")),
    "negative": ([-10, -2, 5, 0], ("-10", "-2", "0", "5")),
    "text": (["3", "1", "2", "10"], ("1", "2", "3", "10")),
    "with exponents": (["1e3", "2", ".5"], (".5", "2", "1e3")),
    "some missing": ([3, 1, None, 2, 10], ("1", "2", "3", "10", MISSING)),
    "infinite": (["inf", "-inf", "3"], ("-inf", "3", "inf")),
    "two numbers": ([3, 10], ("10", "3")),
    "one odd text": (["3", "10", "2", "none"], ("10", "2", "3", "none")),
    "odd text first": (["none", "none", "10", "2"], ("10", "2", "none")),
    "not a number": ([3.0, 10.0, 2.0, math.nan], ("10.0", "2.0", "3.0", "nan")),
    "one number in two ways": (["1", "1.0", "10", "2"], ("1", "1.0", "2", "10")),
    "beyond 2**53": ([2**53, 2**53 + 1, 10, 9], ("9", "10", str(2**53), str(2**53 + 1))),
    "all equal": ([7, 7, 7], ("7",)),
    "all missing": (pa.nulls(3, pa.float64()), (MISSING,)),
}


@pytest.mark.parametrize(
    ("values", "expected"), VALUES_BY_THEMSELVES.values(), ids=VALUES_BY_THEMSELVES
)
def test_values_by_themselves(values, expected):
    """A few numbers are in their order, other values in that of their texts."""
    table = table_of(values)
    feature, _ = feature_of(table)

    assert feature.values == expected
    assert not feature.is_binned
    assert len(feature.bounds) in (0, len([value for value in expected if value != MISSING]))
    assert {value for _, value in in_bins(table, feature)} == set(expected)
    for value, bounds in zip(feature.values, feature.bounds, strict=False):
        assert holds(bounds, float(value)) or bounds == (float(value), float(value))


RANGES = {
    "one to a hundred": (range(1, 101), (5, 20, 35, 50, 65, 80, 95)),
    "negative": (range(-100, 0), (-95, -80, -65, -50, -35, -20, -5)),
    "far from zero": ([10**6 + n for n in range(100)], None),
    "text": ([str(n) for n in range(1, 101)], (5, 20, 35, 50, 65, 80, 95)),
    "two decimals": ([n / 100 for n in range(1, 101)], (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)),
    "mostly zero": ([0] * 900 + list(range(1, 101)), (1, 50)),
    "nearly all zero": ([0] * 970 + list(range(1, 31)), (1,)),
    "mostly the largest": ([40] * 70 + list(range(30)), (5, 20, 40)),
    "mostly one in between": (
        [*range(-200, 0), *[0] * 600, *range(1, 201)],
        (-150, 0, 1, 20, 150),
    ),
    "infinite ends": ([-math.inf, *range(98), math.inf], (5, 20, 35, 50, 65, 80, 95)),
    "a third infinite": ([*range(66), *[math.inf] * 34], None),
    "beyond 2**53": ([2**60 + 1024 * n for n in range(100)], None),
    "close together": ([1 + n * 2**-52 for n in range(100)], None),
    "of any size": ([10.0**n for n in range(-300, 309, 6)], None),
}


@pytest.mark.parametrize(("values", "ends"), RANGES.values(), ids=RANGES)
@pytest.mark.parametrize("rest", [[], [None, None]], ids=["", "some missing"])
def test_ranges(values, ends, rest):
    """Many numbers are cut at short ones near quantiles, and before and after a frequent one."""
    table = table_of([*values, *rest])
    feature, _ = feature_of(table)
    cuts = [low for low, _ in feature.bounds[1:]]

    assert feature.is_binned
    assert ends is None or tuple(cuts) == ends
    assert feature.bounds == tuple(pairwise([None, *cuts, None]))
    assert feature.values[: len(cuts) + 1] == tuple(interval(*each) for each in feature.bounds)
    assert len(set(feature.values)) == len(feature.values)
    assert {value for _, value in in_bins(table, feature)} == set(feature.values)
    assert (MISSING in feature.values) == bool(rest)
    assert_in_their_bins(table, feature)


NO_NUMBERS = {
    "one odd text": [*map(str, range(100)), "none"],
    "spaces": [f" {n}" for n in range(100)],
    "an underscore": [*map(str, range(100)), "1_0"],
    "other digits": [*map(str, range(100)), "\u0661\u0662"],
    "hexadecimal": [*map(str, range(100)), "0x1f"],
    "nothing": [*map(str, range(100)), ""],
    "a sign of no number": [*map(str, range(100)), "-nan"],
    "dates": [f"2024-01-{n:02d}" for n in range(1, 31)],
}


@pytest.mark.parametrize("values", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_no_numbers(values):
    """One value that not every engine reads as a number, and they are texts; no row is lost."""
    table = table_of([*values, *values[:2]])
    feature, _ = feature_of(table, support=2)

    assert feature.bounds == ()
    assert {value for _, value in in_bins(table, feature)} <= set(feature.values)


def test_no_value_is_a_number():
    """Where a column of many numbers has NaN, such a row has no value."""
    table = table_of([*np.linspace(0, 1, 50).tolist(), math.nan, math.nan])
    feature, _ = feature_of(table)

    assert feature.values[-1] == MISSING
    assert_in_their_bins(table, feature)


CONFIDENCES = np.linspace(0, 1, 101).tolist()


@pytest.mark.parametrize("name", ["confidence", "my Confidence in it"])
@pytest.mark.parametrize("much", [1, 300], ids=["looked at one by one", "many"])
def test_confidences(name, much):
    """They are cut where all confidences are, whatever their quantiles: the last range includes 1."""
    values = np.linspace(0, 1, 100 * much + 1)
    table = table_of(pa.array(values), name=name)
    feature, _ = feature_of(table, name=name)

    assert feature.values == CONFIDENCE_BINS
    assert feature.bounds == tuple(pairwise(semconv.CONFIDENCE_EDGES))
    found = in_bins(table, feature)
    assert [value for _, value in found] == [semconv.confidence_bin(own) for own, _ in found]


def test_confidences_that_are_none():
    """Percentages and logits are cut near their quantiles."""
    for values in (range(101), [n / 10 for n in range(-50, 51)]):
        feature, _ = feature_of(table_of(list(values), name="confidence"), name="confidence")
        assert feature.bounds[0][0] is None


def zero_inflated(rng):
    """Half of it 0, some missing."""
    found = rng.lognormal(3, 2, 60_000)
    found[::2] = 0
    return found, np.arange(60_000) % 50 == 7


LONG = {
    "normal": lambda rng: (rng.normal(0, 1, 60_000), None),
    "large integers": lambda rng: (rng.integers(2**60, 2**62, 60_000), None),
    "half of it 0": zero_inflated,
    "of any size": lambda rng: (10 ** rng.uniform(-300, 300, 60_000), None),
}


@pytest.mark.parametrize("kind", LONG)
@pytest.mark.parametrize("as_text", [False, True])
def test_more_than_are_looked_at(kind, as_text):
    """With more than 20 000 different numbers, the engine says where they are cut: near the same quantiles."""
    values, mask = LONG[kind](np.random.default_rng(3))
    column = pa.array(values, mask=mask)
    table = table_of(column.cast(pa.string()) if as_text else column)
    feature, _ = feature_of(table)
    own = np.sort(column.drop_null().to_numpy().astype(float))
    different, n = np.unique(own, return_counts=True)
    reached = [np.mean(own < low) for low, _ in feature.bounds[1:]]
    wanted = [np.mean(own < cut) for cut in near_quantiles(different, n)]

    assert feature.is_binned
    assert (MISSING in feature.values) == (mask is not None)
    assert reached == pytest.approx(wanted, abs=0.03)
    assert len(feature.bounds) >= 4
    if kind == "half of it 0":
        assert feature.bounds[0][1] <= different[1]
    else:
        assert reached == pytest.approx(QUANTILES, abs=0.021)
    assert_in_their_bins(table, feature)


@pytest.mark.parametrize("odd", [math.nan, "none"])
def test_the_last_of_many(odd):
    """What is not a number is found wherever it is among more values than are looked at."""
    values = [*map(str, range(100_000, 130_000)), str(odd)]
    feature, note = feature_of(table_of(values), support=2)

    if odd == "none":
        assert feature is None
        assert "none has 2 rows" in note
    else:
        assert feature.is_binned
        assert feature.values[-1] == MISSING
        assert (str(odd), MISSING) in in_bins(table_of(values), feature)


NUMBERS = st.one_of(
    st.floats(),
    st.floats(-10, 10),
    st.integers(-(2**63), 2**63 - 1).map(float),
    st.integers(-20, 20).map(float),
    st.sampled_from([0.0, 1.0, 0.1, 0.7, math.inf, -math.inf, None]),
)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(values=st.lists(NUMBERS, min_size=12, max_size=150), as_text=st.booleans())
def test_no_row_is_lost_or_moved(values, as_text):
    """Whatever the numbers, each row is in the one range that holds its number, and no range is empty."""
    assume(len({value for value in values if value is not None}) > 10)
    column = pa.array(values, pa.float64(), from_pandas=False)
    table = table_of(
        pa.array([None if v is None else repr(v) for v in values]) if as_text else column
    )
    feature, _ = feature_of(table)

    assume(feature is not None and feature.is_binned)
    assert_in_their_bins(table, feature)
    assert {value for _, value in in_bins(table, feature)} == set(feature.values)
    assert len(set(feature.values)) == len(feature.values)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(
    pairs=st.dictionaries(st.floats(allow_nan=False), st.integers(1, 1000), min_size=2, max_size=60)
)
def test_cuts(pairs):
    """Cuts lie among the numbers, and between any two there is one."""
    values = np.array(sorted(pairs))
    cuts = near_quantiles(values, np.array([pairs[value] for value in values], float))
    places = np.searchsorted(values, cuts)

    assert (np.diff(places, prepend=0, append=len(values)) > 0).all()


@given(n=st.integers(200, 3000))
def test_about_equally_many(n):
    """Different numbers are cut within a fiftieth of the quantiles."""
    values = np.random.default_rng(n).normal(size=n)
    values.sort()
    cuts = near_quantiles(values, np.ones(n))

    assert np.searchsorted(values, cuts) / n == pytest.approx(QUANTILES, abs=0.02 + 1 / n)


def decimals(number):
    """The power of ten that is the last digit's of a number as it is written."""
    return Decimal(repr(number)).normalize().as_tuple().exponent


@settings(derandomize=True, max_examples=400)
@given(one=st.floats(allow_nan=False), other=st.floats(allow_nan=False))
@example(one=0.0, other=5e-324)
@example(one=-1.7e308, other=1.7e308)
@example(one=1e308, other=1.7e308)
@example(one=1.0, other=1.0000000000000002)
@example(one=9007199254740992.0, other=9007199254740994.0)
@example(one=-math.inf, other=3.25)
@example(one=-0.1, other=7.0)
def test_a_short_cut(one, other):
    """It lies above the one and not above the other, and no number there ends at a higher power of ten."""
    below, most = sorted((one, other))
    assume(below < most)
    cut = _shortest_number(below, most)

    assert below < cut <= most
    if math.isfinite(below) and math.isfinite(most) and cut != 0:
        step = Decimal(10) ** (decimals(cut) + 1)
        shorter = float((Decimal(repr(most)) / step).to_integral_value(ROUND_FLOOR) * step)
        assert not below < shorter <= most


SHORT = [
    (0.13, 0.17, 0.15),
    (0.13, 0.14, 0.14),
    (17, 23, 20),
    (3, 4, 4),
    (48.2, 53.9, 50),
    (-0.3, 0.2, 0),
    (-12, -9, -10),
    (1234.5, 1234.6, 1234.6),
    (0.70001, 0.7004, 0.7004),
]


@pytest.mark.parametrize(("below", "most", "cut"), SHORT)
def test_short_cuts(below, most, cut):
    """Numbers that a person would choose."""
    assert _shortest_number(below, most) == cut


WRITTEN = [
    ((None, 0.5), "(-inf,0.5)"),
    ((0.5, None), "[0.5,inf)"),
    ((-3.0, 1e21), "[-3,1e+21)"),
    ((9007199254740992.0, 9007199254740994.0), "[9007199254740992,9007199254740994)"),
    ((1.0, 1.0000000000000002), "[1,1.0000000000000002)"),
]


@pytest.mark.parametrize(("bounds", "text"), WRITTEN)
def test_written(bounds, text):
    """Ends are written in few digits, or in all where fewer would be another number."""
    assert interval(*bounds) == text


TEXTS = {
    "brackets": (["[0.5,0.7)", "[0,0.5)", "[0.7,1]"], ["[0,0.5)", "[0.5,0.7)", "[0.7,1]"]),
    "open ends": ([">45", "25-45", "<25"], ["<25", "25-45", ">45"]),
    "signs": (["≥ 45", "25 \u2013 45", "≤ 24"], ["≤ 24", "25 \u2013 45", "≥ 45"]),
    "words": (["10 to 20", "20 to 30", "5 to 10"], ["5 to 10", "10 to 20", "20 to 30"]),
    "plus": (["65+", "18..30", "31..64"], ["18..30", "31..64", "65+"]),
    "negative": (["-5--1", "-20--5", "0-3"], ["-20--5", "-5--1", "0-3"]),
    "a single number": (["0", "1-3", "4+"], ["0", "1-3", "4+"]),
    "infinite": (["(-inf,0]", "(0,3]", "(3,inf)"], ["(-inf,0]", "(0,3]", "(3,inf)"]),
    "two only": (["<25", ">=25"], None),
    "one is none": (["<25", "25-45", "old"], None),
    "overlapping": (["0-10", "5-15", "15-20"], None),
    "the same twice": (["0-10", "[0,10)", "10-20"], None),
    "backwards": (["10-5", "20-30", "30-40"], None),
    "months": (["2024-01", "2024-02", "2024-12"], None),
    "versions": (["v1", "v2", "v3"], None),
    "not a number": (["nan", "0-1", "1-2"], None),
}


@pytest.mark.parametrize(("texts", "expected"), TEXTS.values(), ids=TEXTS)
def test_texts_that_write_ranges(texts, expected):
    """They are in the order of the numbers, or texts like any other."""
    found = intervals_of(texts)

    assert (None if found is None else list(found.values)) == expected
    feature, _ = feature_of(table_of(texts))
    assert list(feature.values) == (expected or sorted(texts))
    assert bool(feature.bounds) == (expected is not None)


def test_rows_that_rows_stand_for():
    """Numbers with a count are cut where the rows that they stand for would be."""
    rng = np.random.default_rng(4)
    for different in (200, 25_000):
        values = np.arange(different) / 7
        count = rng.integers(1, 5, different) * np.where(values < values[different // 2], 1, 20)
        counted, _ = feature_of(table_of(values.tolist(), count=count.tolist()))
        repeated, _ = feature_of(table_of(np.repeat(values, count).tolist()))

        assert counted == repeated
        assert counted.bounds[1][0] > values[different // 3]


def test_values_of_a_text_that_rows_stand_for():
    """So are the rows that a value has: what is kept, and what is rare."""
    texts = [f"t{n:03d}" for n in range(100)]
    feature, note = feature_of(
        table_of(texts, count=[50 if n == 70 else 1 for n in range(100)]), support=30
    )

    assert feature.values == ("t070", OTHER)
    assert note == "99 rarer values of x are put together as __other__: t000, t001, t002 and others"


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory):
    """A ClickHouse with a table of numbers, the same as here."""
    path = tmp_path_factory.mktemp("data") / "traces.jsonl"
    write(path, many(3))
    with clickhouse_with(path) as address:
        yield connect(f"clickhouse://{address}/otel")[0].get_backend()


ROWS = 40_000
BINNED = {"many", "inflated", "long", "my confidence", "nan"}


def columns_of_every_kind():
    """Columns of text that write numbers, with what is missing, and how many rows each row stands for."""
    rng = np.random.default_rng(5)
    columns = {
        "few": rng.integers(0, 9, ROWS),
        "many": rng.integers(0, 3000, ROWS) / 7,
        "inflated": np.where(rng.random(ROWS) < 0.6, 0, rng.exponential(3, ROWS)),
        "long": rng.normal(0, 100, ROWS),
        "my confidence": rng.random(ROWS),
        "odd": ["none", *map(str, range(ROWS - 1))],
        "nan": np.where(rng.random(ROWS) < 0.01, np.nan, rng.normal(size=ROWS)),
    }
    texts = {
        name: [None if n % 50 == 49 else str(value) for n, value in enumerate(values)]
        for name, values in columns.items()
    }
    return pa.table({**texts, "count": pa.array([1 + n % 3 for n in range(ROWS)], pa.int64())})


def assert_same_bins(here, there):
    """Two engines' tables of the same columns are cut at the same numbers, with the same rows in each range."""
    names = [name for name in here.columns if name != "count"]
    found, also = (features_of(table, names, names, 30) for table in (here, there))

    assert found == also
    assert {feature.name for feature in found.features if feature.is_binned} == BINNED
    for feature in found.features:
        counts = []
        for table in (here, there):
            values = table.select(value=feature.values_in(table)).group_by("value")
            counted = values.aggregate(n=lambda each: each.count()).order_by("value")
            counts.append(counted.to_pyarrow().to_pylist())
        assert counts[0] == counts[1]


def test_clickhouse(clickhouse, tmp_path):
    """ClickHouse cuts the same columns at the same numbers, and puts the same rows in them."""
    given = columns_of_every_kind()
    here = CONNECTION.create_table("given", given, temp=True, overwrite=True)
    types = ", ".join(f'"{name}" Nullable(String)' for name in given.column_names[:-1])
    pq.write_table(given, tmp_path / "numbers.parquet")
    clickhouse.raw_sql(f'CREATE TABLE otel.numbers ({types}, "count" Int64) ENGINE = Memory')
    clickhouse.raw_sql(f"INSERT INTO otel.numbers SELECT * FROM file('{tmp_path}/numbers.parquet')")

    assert_same_bins(here, clickhouse.table("numbers", database="otel"))
