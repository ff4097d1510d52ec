"""Numbers as they are written in every report."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_otel.analysis.reports.numbers import (
    count,
    percent,
    percent_range,
    points,
    probability,
    ratio,
    ratio_range,
)

SHARES = st.floats(0, 1, allow_nan=False)


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (0.9996, "> 99.9 %"),
        (0.9988, "99.9 %"),
        (0.994, "99.4 %"),
        (0.0004, "< 0.1 %"),
        (0.001, "0.1 %"),
        (0.08, "8 %"),
        (0.083, "8.3 %"),
        (0.0996, "10 %"),
        (0.312, "31 %"),
        (None, "n/a"),
        (math.nan, "n/a"),
    ],
)
def test_percent(share, text):
    """Whole percent in the middle, one decimal at the ends, and bounds beyond."""
    assert percent(share) == text


@given(SHARES)
def test_only_certainty_is_written_as_certainty(share):
    """No share but 0 and 1 is rounded to "0 %" or "100 %"."""
    assert (percent(share) == "0 %") == (share == 0)
    assert (percent(share) == "100 %") == (share == 1)


def number_of(text):
    value = float(text.strip("<>% "))
    return value + (0.05 if text[0] == ">" else -0.05 if text[0] == "<" else 0)


@given(SHARES, SHARES)
def test_a_larger_share_is_not_written_smaller(one, other):
    """Rounding keeps the order."""
    low, high = sorted((one, other))

    assert number_of(percent(low)) <= number_of(percent(high))


@given(SHARES)
def test_rounding_is_off_by_half_a_percent_at_most(share):
    """What is written is what was measured."""
    assert number_of(percent(share)) == pytest.approx(100 * share, abs=0.501)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 rows"), (1, "1 row"), (1.2, "1 row"), (2, "2 rows"), (12345, "12,345 rows")],
)
def test_count_with_its_noun(number, text):
    """One row, and any other number of rows."""
    assert count(number, "row") == text


def test_irregular_plurals_are_given():
    """A noun may have a plural of its own."""
    assert (count(1, "class", "classes"), count(3, "class", "classes")) == ("1 class", "3 classes")


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        (0, "0.0 points"),
        (0.01, "+1.0 points"),
        (-0.034, "-3.4 points"),
        (0.0002, "< +0.1 points"),
        (-0.0002, "> -0.1 points"),
        (math.nan, "n/a"),
    ],
)
def test_points(difference, text):
    """Differences have a sign and are no percentages."""
    assert points(difference) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.91, "3.9"), (0.5, "0.50"), (12.4, "12"), (1234.0, "1,234"), (math.inf, "infinite")],
)
def test_ratio(value, text):
    """Two digits, more where there are more before the point."""
    assert ratio(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.50"), (0.031, "0.031"), (3e-9, "< 0.0001"), (0.0, "< 0.0001"), (None, "n/a")],
)
def test_probability(value, text):
    """A very small p is a bound, never 0."""
    assert probability(value) == text


def test_ranges():
    """An interval has both ends, each with its unit."""
    assert percent_range((0.061, 0.12)) == "6.1 % to 12 %"
    assert percent_range((math.nan, math.nan)) == "n/a"
    assert ratio_range((1.1, 3.2)) == "1.1 to 3.2"
