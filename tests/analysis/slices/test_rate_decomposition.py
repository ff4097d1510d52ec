"""A difference of rates splits into mix and rate."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from keras_otel.analysis.slices.rate_decomposition import mix_and_rate

CELL = st.integers(0, 500).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
SIDE = st.dictionaries(st.sampled_from("abcde"), CELL, min_size=1)


def rate(cells):
    return sum(k for _, k in cells.values()) / sum(n for n, _ in cells.values())


@given(SIDE, SIDE)
def test_parts_add_up_to_the_difference(one, other):
    """Nothing of the difference is lost, also where a side lacks a value."""
    assume(sum(n for n, _ in one.values()) and sum(n for n, _ in other.values()))

    parts = mix_and_rate(one, other)

    total = sum(part.mix + part.rate for part in parts)
    assert total == pytest.approx(rate(one) - rate(other), abs=1e-12)


def test_equal_rates_leave_only_mix():
    """If each class fails as often on both sides, the difference is all mix."""
    parts = mix_and_rate({"a": (90, 45), "b": (10, 1)}, {"a": (10, 5), "b": (90, 9)})

    assert sum(part.rate for part in parts) == pytest.approx(0)
    assert sum(part.mix for part in parts) == pytest.approx(0.46 - 0.14)


def test_equal_shares_leave_only_rate():
    """If the classes are equally frequent on both sides, the difference is all rate."""
    parts = mix_and_rate({"a": (50, 20), "b": (50, 5)}, {"a": (10, 1), "b": (10, 1)})

    assert [part.mix for part in parts] == pytest.approx([0, 0])
    assert {part.value: part.rate for part in parts} == pytest.approx({"a": 0.15, "b": 0.0})


def test_a_class_of_one_side_only_is_mix():
    """A new class has no rate to compare with: what it adds is that it is there."""
    parts = mix_and_rate({"a": (50, 5), "new": (50, 40)}, {"a": (100, 10)})

    assert next(part for part in parts if part.value == "new").rate == 0
