"""Values and ids as text."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_otel.analysis.sources.tables import normalise


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x", "x"),
        (True, "true"),
        (7, "7"),
        (1.0, "1"),
        (-0.0, "-0"),
        (0.93, "0.93"),
        (5e-05, "0.00005"),
        (1e-06, "0.000001"),
        (1e-07, "1e-7"),
        (1.5e300, "1.5e+300"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        (["a", 1.0, True], '["a",1,true]'),
        ({"b": 1, "a": [0.5]}, '{"a":[0.5],"b":1}'),
    ],
)
def test_values_as_the_collector_writes_them(value, expected):
    """Go's JSON of a double, booleans in lower case, lists and maps as JSON."""
    assert normalise.value_text(value) == expected


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_survives_its_text(number):
    """The text of a double reads as the same double, and as JSON."""
    written = normalise.number_text(number)

    assert normalise.number(written) == number
    assert float(json.loads(written)) == number


@given(st.integers(min_value=1, max_value=2**128 - 1))
def test_a_trace_id_in_any_writing(number):
    """Leading zeros cut, upper case, a UUID's dashes and MLflow's prefix make no difference."""
    whole = f"{number:032x}"
    dashed = f"{whole[:8]}-{whole[8:12]}-{whole[12:16]}-{whole[16:20]}-{whole[20:]}"

    for written in (whole, f"{number:x}", whole.upper(), dashed, f"tr-{whole}", f"0x{whole}"):
        assert normalise.trace_id(written) == whole


@pytest.mark.parametrize("written", ["", "0", "0" * 32, "g" * 32, "a" * 33, None, 7])
def test_what_is_no_id(written):
    """Zeros, other letters, other lengths and other types are no ids."""
    assert normalise.trace_id(written) is None
    assert normalise.span_id(written) is None
