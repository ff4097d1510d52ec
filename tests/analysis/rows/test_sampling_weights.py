"""Weights from sampling thresholds."""

from __future__ import annotations

import ibis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_otel.analysis.rows.sampling_weights import threshold, weight_of


@pytest.mark.parametrize(("written", "weight"), [("8", 2), ("c", 4), ("0", 1), ("f", 16)])
def test_weights(written, weight):
    """The values of the contract."""
    assert weight_of(written) == weight


@given(st.integers(min_value=0, max_value=2**56 - 1))
def test_trailing_zeros_mean_nothing(number):
    """A threshold with its trailing zeros cut weighs the same, and never less than 1."""
    whole = f"{number:014x}"

    assert weight_of(whole) == weight_of(whole.rstrip("0") or "0") >= 1


@pytest.mark.parametrize(
    ("tracestate", "expected"),
    [
        ("ot=th:8", "8"),
        ("ot=rv:0123456789abcd;th:c", "c"),
        ("vendor=x,ot=th:fd70a4;rv:1", "fd70a4"),
        ("vendor=th:8", ""),
        ("not=th:8", ""),
        ("ot=xth:8", ""),
        ("ot=th:8g", ""),
        (None, ""),
    ],
)
def test_thresholds(tracestate, expected):
    """Only the member `ot` counts, and in it only `th`."""
    table = ibis.memtable({"tracestate": [tracestate, "x"]}, schema={"tracestate": "string"})

    found = table.select(found=threshold(table.tracestate)).to_pyarrow()["found"].to_pylist()

    assert (found[0] or "") == expected
