"""Ready rows with odd columns, names and options: each gives its finding, or one line that says why not."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from keras_otel.analysis import slice_failures
from keras_otel.errors import SourceError

ROWS = 240
PLACES = range(ROWS)
CLASS = ["abc"[place % 3] for place in PLACES]
# Class a fails in 48 of 80 rows, the others in 8 each.
RNG = np.random.default_rng(20261127)
ORDERS = [RNG.permutation(ROWS // 3) for _ in "abc"]
FAILED = [bool(ORDERS[n % 3][n // 3] < (48 if n % 3 == 0 else 8)) for n in PLACES]
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def rows(**columns) -> pa.Table:
    """A cause, and other columns."""
    return pa.table({"class": CLASS, "failed": FAILED, **columns})


def cycled(*values, kind=None) -> pa.Array:
    """A column of some values, in turn."""
    return pa.array([values[place // 3 % len(values)] for place in PLACES], kind)


COLUMNS = {
    "no type": pa.nulls(ROWS),
    "nulls": cycled(None, kind=pa.float64()),
    "some nulls": cycled("x", None),
    "one value": cycled("x"),
    "booleans": cycled(True, None, False),
    "dates": cycled(*(NOON.date() + dt.timedelta(days=n) for n in range(90))),
    "instants": cycled(*(NOON + dt.timedelta(hours=n) for n in range(4))),
    "times": cycled(dt.time(1), dt.time(2)),
    "durations": cycled(1, 2, kind=pa.duration("ns")),
    "lists": cycled([1], [2, 3], []),
    "records": cycled({"a": 1}, {"a": None}),
    "maps": cycled([("k", 1)], [("k", 2)], kind=pa.map_(pa.string(), pa.int64())),
    "decimals": cycled(*(Decimal(n) / 8 for n in range(30))),
    "long decimals": cycled(Decimal(1), Decimal(2), kind=pa.decimal256(50, 2)),
    "bytes": cycled(b"\x00\xff", b"\x01", kind=pa.binary()),
    "bytes of one length": cycled(b"\xff\x01", b"\xff\x02", kind=pa.binary(2)),
    "dictionary": cycled("x", "y").dictionary_encode(),
    "halves": cycled(*map(np.float16, range(20))),
    "no numbers": cycled(math.nan, kind=pa.float64()),
    "infinities": cycled(*range(20), math.inf, -math.inf, math.nan, kind=pa.float64()),
    "huge": cycled(*(n * 1e300 for n in range(20))),
    "tiny": cycled(*(n * 5e-324 for n in range(20))),
    "zeros with signs": cycled(0.0, -0.0, *map(float, range(1, 20))),
    "as near as can be": cycled(*(1 + n * 2.3e-16 for n in range(20))),
    "beyond doubles": cycled(*(2**60 + n for n in range(20))),
    "largest integers": cycled(*(2**64 - 1 - n for n in range(20)), kind=pa.uint64()),
    "codes": cycled(*range(7)),
    "the same number": cycled("1", "1.0", "01", "2"),
    "ranges": cycled("[1,2)", "[2,3)", "[3,4)"),
    "nearly ranges": cycled("[1,2)", "[1,3)", "(3;9]", "3-4"),
    "ranges that overlap": cycled("3-4", "4-9", "9-12", ">12"),
    "months": cycled("2026-01", "2026-02", "2026-03"),
    "reserved": cycled("__missing__", "__other__", None),
    "reserved among many": cycled(*(f"v{n}" for n in range(79)), "__other__"),
    "punctuation": cycled("a,b", "[x", "y]", "'", '"', "\\", "{x}", "%s"),
    "spaces": cycled("", " ", "\n", "a", "a "),
    "nothing but NUL apart": cycled("a", "a\0", "a\0b"),
    "case": cycled("A", "a", "Ä", "ä"),
    "written in two ways": cycled("é", "e\u0301"),
    "long": cycled("x" * 100_000, "x" * 100_001),
    "identifiers": pa.array([f"{place:032x}" for place in PLACES]),
}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_odd_columns(column):
    """What a column holds hides no cause in another, and is none itself."""
    (family,) = slice_failures(rows(other=column), failed="failed").evals

    (found,) = family.slices
    assert [(p.attribute, p.value) for p in found.predicates] == [("class", "a")]
    assert (found.n, found.failed) == (80, 48)


NAMES = (
    *(
        "a b",
        "a.b",
        "it's",
        'a "b"',
        "a,b",
        "a=b",
        "[x]",
        "%s",
        "{0}",
        "\\",
        "ünï",
        "x" * 2000,
        "a\nb",
    ),
    *("select", "f0", "value", "n", "w", "rows", "__other__", "model of the row", "Failed "),
    *("model", "EVAL", "error", "count", "weight", "cluster", "confidence", "latency_s"),
)


@pytest.mark.parametrize("name", NAMES)
def test_odd_names(name):
    """A column may have any name."""
    data = pa.table({name: CLASS, "failed": FAILED})

    (family,) = slice_failures(data, failed="failed").evals

    assert [[(p.attribute, p.value) for p in s.predicates] for s in family.slices] == [
        [(name, "a")]
    ]


def test_names_that_are_made_from_others():
    """Columns called as ours and as what ours make of them are two."""
    data = pa.table({"model": CLASS, "model of the row": cycled("x", "y"), "failed": FAILED})

    (family,) = slice_failures(data, failed="failed").evals

    assert {cohort.by for cohort in family.cohorts} == {"model", "model of the row"}
    assert [p.attribute for s in family.slices for p in s.predicates] == ["model"]


NONE_TO_SLICE_BY = "there is nothing to slice by"

QUIET = {
    "no rows": (rows().slice(0, 0), {}, NONE_TO_SLICE_BY),
    "one row": (rows().slice(0, 1), {}, NONE_TO_SLICE_BY),
    "two rows": (rows().slice(0, 2), {}, None),
    "no columns": (pa.table({"failed": FAILED}), {}, NONE_TO_SLICE_BY),
    "ids alone": (pa.table({"failed": FAILED, "trace_id": CLASS}), {}, NONE_TO_SLICE_BY),
    "by identifiers": (
        rows(id=COLUMNS["identifiers"]),
        {"by": ["id"]},
        "id is not sliced by: of its 240 values none has 30 rows",
    ),
    "all failed": (pa.table({"class": CLASS, "failed": [True] * ROWS}), {}, None),
    "none failed": (pa.table({"class": CLASS, "failed": [False] * ROWS}), {}, None),
    "none judged": (pa.table({"class": CLASS, "failed": pa.nulls(ROWS, pa.bool_())}), {}, None),
    "no weight": (rows(w=[0.0] * ROWS), {"weight": "w"}, None),
    "no count": (rows(c=[0] * ROWS), {"count": "c"}, NONE_TO_SLICE_BY),
    "one weight outweighs all": (rows(w=[1e16, *[1.0] * (ROWS - 1)]), {"weight": "w"}, None),
    "one cluster": (rows(s=["s"] * ROWS), {"cluster": "s"}, "there are 1 clusters, and 20 are"),
    "clusters are the cause": (rows(), {"cluster": "class"}, "there are 3 clusters"),
    "too much support": (rows(), {"min_support": 10**9}, None),
}


@pytest.mark.parametrize(("data", "options", "warning"), QUIET.values(), ids=QUIET)
def test_nothing_to_find(data, options, warning):
    """Nothing is found, and a warning says why where it is not plain."""
    result = slice_failures(data, failed="failed", **options)

    assert [family.slices for family in result.evals] in ([], [()])
    assert warning is None or any(warning in each for each in result.warnings)


FOUND = {
    "one predicate": {"max_predicates": 1},
    "two predicates": {"max_predicates": 2},
    "any support": {"min_support": 1},
    "the stricter correction": {"fdr": "by"},
    "by twice": {"by": ["class", "class"]},
    "by ids": {"by": ["trace_id", "class"]},
    "adjusted for itself": {"adjust_for": ["class"]},
    "clusters": {"cluster": "session"},
    "weights": {"weight": "weight"},
    "counts": {"count": "times", "by": ["class", "code"]},
    "all at once": {
        "cluster": "session",
        "weight": "weight",
        "count": "times",
        "by": ["class", "code", "time"],
        "min_support": 1,
    },
    "clusters that some rows lack": {"cluster": "some"},
}


@pytest.mark.parametrize("options", FOUND.values(), ids=FOUND)
def test_options(options):
    """The cause is the first finding under every option; with lists of others, the numbers are finite."""
    data = rows(
        trace_id=[f"{place}" for place in PLACES],
        session=[place // 4 for place in PLACES],
        some=[None if place % 2 else place // 4 for place in PLACES],
        weight=[1.0 + place % 4 for place in PLACES],
        times=[place % 4 for place in PLACES],
        code=cycled(*range(5)),
        time=cycled(*(n * 0.37 for n in range(40))),
    )

    for more in ({}, {"better": True, "list_all": True}):
        (family,) = slice_failures(data, failed="failed", **options, **more).evals

        first = family.slices[0].predicates
        assert [(p.attribute, p.value) for p in first] == [("class", "a")]
        numbers = [
            number
            for found in (*family.slices, *family.better)
            for number in (found.rate, found.rate_rest, found.excess_failures, *found.ci)
        ]
        assert all(map(math.isfinite, numbers))


REFUSED = {
    "no such column": (rows(), {"by": ["clas"]}, "no column 'clas': there is class"),
    "another case": (rows(), {"by": ["CLASS"]}, "no column 'CLASS': there is class"),
    "by what failed": (rows(), {"by": ["failed"]}, "'failed' says which rows failed"),
    "what failed held fixed": (rows(), {"adjust_for": ["failed"]}, "'failed' says which rows"),
    "clusters of what failed": (rows(), {"cluster": "failed"}, "'failed' says which rows"),
    "weight that is what failed": (rows(), {"weight": "failed"}, "'failed' says which rows"),
    "weights that are text": (rows(w=CLASS), {"weight": "w"}, "'w' is of type string: weights"),
    "weights without numbers": (
        rows(w=[math.nan, *[1.0] * (ROWS - 1)]),
        {"weight": "w"},
        "1 rows whose weight",
    ),
    "huge weights": (
        rows(w=[1e200] * ROWS),
        {"weight": "w"},
        "240 rows whose weight is below 1e-50",
    ),
    "tiny weights": (
        rows(w=[1e-200] * ROWS),
        {"weight": "w"},
        "240 rows whose weight is below 1e-50",
    ),
    "no predicates": (rows(), {"max_predicates": 0}, "max_predicates is 0: a slice has 1 to 3"),
    "four predicates": (rows(), {"max_predicates": 4}, "max_predicates is 4: a slice has 1 to 3"),
    "no support": (rows(), {"min_support": 0}, "min_support is 0"),
    "another correction": (rows(), {"fdr": "holm"}, "fdr is 'holm': it is one of bh, by"),
    "a name twice": (
        pa.table([CLASS, CLASS, FAILED], names=["class", "class", "failed"]),
        {},
        "differ in case at most: 'class', 'class'",
    ),
    "names alike": (rows(Class=CLASS), {}, "differ in case at most: 'class', 'Class'; rename one"),
    "no name": (rows(**{"": CLASS}), {}, "a column without a name"),
    "a type of no engine": (
        rows(interval=pa.array([[None]] * ROWS)),
        {},
        "a type that DuckDB does not read",
    ),
    "no table": (7, {}, "rows of type int cannot be read"),
    "other numbers": (pa.table({"failed": [0, 1, 2]}), {}, "'failed' holds 2, which is neither"),
    "not a number": (pa.table({"failed": [0.0, math.nan]}), {}, "'failed' holds nan, which is"),
    "text": (pa.table({"failed": ["yes"]}), {}, "'failed' is of type string"),
}


@pytest.mark.parametrize(("data", "options", "line"), REFUSED.values(), ids=REFUSED)
def test_one_line(data, options, line):
    """What cannot be sliced is said in one line."""
    with pytest.raises(SourceError) as raised:
        slice_failures(data, failed="failed", **options)

    assert line in str(raised.value)
    assert "\n" not in str(raised.value)
