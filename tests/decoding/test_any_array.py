"""What holds for every head and every array."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_otel.decoding.decode import decode
from keras_otel.decoding.heads import Multiclass, Scale, Undetermined
from tests.decoding.strategies import any_array, heads, matrices, patient


@given(heads, any_array(), st.booleans(), st.booleans(), st.integers(1, 5))
@patient
def test_no_array_raises_or_makes_up_a_confidence(head, array, verify, count_classes, max_rows):
    """Any array is decoded or marked, without a warning, with confidences in [0, 1]."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decoded = decode(head, array, verify=verify, count_classes=count_classes, max_rows=max_rows)

    assert decoded.rows == (array.shape[0] if array.ndim else 1)
    assert len(decoded.classes) in (0, decoded.rows)
    assert len(decoded.classes) == len(decoded.class_ids)
    assert all(-0.01 <= confidence <= 1.01 for confidence in decoded.confidences)
    assert decoded.task != "opaque" or decoded.opaque_reason
    for number in (decoded.value, decoded.norm, decoded.margin, decoded.confidence_mean):
        assert number is None or (type(number) is float and math.isfinite(number))
    assert {type(c) for c in decoded.confidences} <= {float}
    assert {type(c) for c in decoded.class_ids} <= {int}
    assert {type(c) for c in decoded.classes} <= {str}
    assert {type(n) for n in decoded.class_counts.values()} <= {int}


@given(heads, any_array(), st.booleans())
@patient
def test_an_array_is_never_changed(head, array, verify):
    """A read-only array is decoded as it is, so a writable one is not written to."""
    before = array.copy()
    array.flags.writeable = False

    decode(head, array, verify=verify)

    assert array.tobytes() == before.tobytes()


@given(heads, matrices(max_columns=4), st.booleans())
@patient
def test_the_layout_in_memory_changes_nothing(head, array, verify):
    """Fortran order, strides and reversed axes hold the same numbers."""
    expected = decode(head, array, verify=verify)
    strided = np.repeat(array, 2, axis=1)[:, ::2]
    reversed_twice = np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1]

    for other in (np.asfortranarray(array), strided, reversed_twice, array.astype(">f4")):
        decoded = decode(head, other, verify=verify)
        assert decoded.classes == expected.classes
        assert decoded.labels == expected.labels
        assert decoded.class_counts == expected.class_counts
        assert decoded.opaque_reason == expected.opaque_reason
        assert decoded.confidences == pytest.approx(expected.confidences, rel=1e-5)
        assert decoded.norm == pytest.approx(expected.norm)
        assert decoded.value == expected.value


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.array([["a", "b"]]), "output is of dtype <U1"),
        (np.array([[1j, 0j]]), "output is of dtype complex128"),
        (np.array([[None, 1]], dtype=object), "output is of dtype object"),
        (np.array([["2026-01-01"]], dtype="M8[D]"), "output is of dtype datetime64[D]"),
    ],
)
@pytest.mark.parametrize("head", [Multiclass(scale=Scale.LOGIT), Undetermined()])
def test_what_holds_no_real_numbers_is_opaque(head, array, reason):
    """Text, complex numbers, objects and dates are marked with their dtype."""
    decoded = decode(head, array)

    assert (decoded.task, decoded.opaque_reason, decoded.rows) == ("opaque", reason, 1)


@given(heads, matrices())
@patient
def test_the_output_is_named(head, array):
    """Decoding under an output's name changes nothing but the name."""
    assert decode(head, array, output="topic") == decode(head, array)._replace(output="topic")
