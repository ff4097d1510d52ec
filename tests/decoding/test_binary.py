"""Class 1 against class 0."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_otel.decoding.decode import NOT_FINITE, decode
from keras_otel.decoding.heads import Binary, Scale
from tests.decoding.strategies import EXTENSION_DTYPES, matrices, patient, sigmoid

PROBABILITY = Binary(scale=Scale.PROBABILITY)
LOGIT = Binary(scale=Scale.LOGIT)
columns_of = st.sampled_from([(-1, 1), (-1,), (-1, 1, 1)])


@given(matrices(min_columns=1, max_columns=1), columns_of, st.floats(0.01, 0.99))
@patient
def test_batch_is_the_loop_over_its_rows(scores, shape, threshold):
    """A batch of logits says of each row what the row alone says, in every shape."""
    head = Binary(scale=Scale.LOGIT, threshold=threshold)
    array = scores.reshape(shape)

    batch = decode(head, array)
    alone = [decode(head, array[i : i + 1]) for i in range(len(array))]

    assert batch.task == "binary"
    assert batch.class_ids == tuple(one.class_ids[0] for one in alone)
    assert batch.classes == tuple(one.classes[0] for one in alone)
    assert batch.confidences == tuple(one.confidences[0] for one in alone)


@given(matrices(min_columns=1, max_columns=1, bound=1e4, dtype=np.float64))
@patient
def test_confidence_is_the_sigmoid_of_the_chosen_class(scores):
    """The confidence is the sigmoid, or one minus it for class 0, at any size of the logit."""
    decoded = decode(LOGIT, scores)

    for score, class_id, confidence in zip(
        scores[:, 0].tolist(), decoded.class_ids, decoded.confidences, strict=True
    ):
        assert class_id == (sigmoid(score) > 0.5)
        assert confidence == pytest.approx(sigmoid(abs(score)), rel=1e-9)


@given(matrices(min_columns=1, max_columns=1, bound=30, dtype=np.float64))
@patient
def test_swapping_the_sign_swaps_the_classes(scores):
    """The negated logit means the other class with the same confidence."""
    labels = ("ham", "spam")
    decoded = decode(Binary(labels=labels, scale=Scale.LOGIT), scores)
    swapped = decode(Binary(labels=labels[::-1], scale=Scale.LOGIT), -scores)

    for score, one, other in zip(scores[:, 0], decoded.classes, swapped.classes, strict=True):
        assert one == other or abs(score) < 1e-12
    assert swapped.confidences == pytest.approx(decoded.confidences)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_a_probability_on_the_threshold_is_class_0(threshold, dtype):
    """Class 1 begins over the threshold, not on it, in the output's own precision."""
    on = np.array([[threshold]], dtype=dtype).astype(np.float64 if dtype == "d" else np.float32)
    over = np.nextafter(on, np.array(1, on.dtype))
    head = Binary(scale=Scale.PROBABILITY, threshold=float(on[0, 0]))

    assert decode(head, on).class_ids == (0,)
    assert decode(head, over).class_ids == (1,)


def test_labels_and_confidence_of_both_classes():
    """Two labels name the classes; the confidence is that of the class that was chosen."""
    decoded = decode(
        Binary(labels=("clean", "toxic"), scale=Scale.PROBABILITY, threshold=0.8),
        np.array([[0.9], [0.7], [0.1]]),
    )

    assert decoded.classes == ("toxic", "clean", "clean")
    assert decoded.confidences == pytest.approx((0.9, 0.3, 0.9))
    assert decoded.class_counts == {"toxic": 1, "clean": 2}


@pytest.mark.parametrize("labels", [("only",), ("a", "b", "c")])
def test_labels_that_are_not_two_are_not_used(labels):
    """One label or three name neither class of two."""
    assert decode(Binary(labels=labels, scale=Scale.LOGIT), np.array([[2.0]])).classes == ("1",)


def test_nan_names_no_class():
    """One row of NaN has no class and says why."""
    decoded = decode(LOGIT, np.array([[np.nan]]))

    assert (decoded.task, decoded.classes, decoded.rows) == ("binary", (), 1)
    assert decoded.opaque_reason == NOT_FINITE


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_probabilities_in_a_batch_leave_the_arrays_out(bad):
    """The summary covers the rows that are probabilities."""
    decoded = decode(PROBABILITY, np.array([[0.9], [bad], [0.2]], dtype=np.float32))

    assert decoded.classes == ()
    assert decoded.task == "binary"
    assert decoded.opaque_reason == "1 of 3 rows are NaN or infinite"
    assert decoded.class_counts == {"0": 1, "1": 1}
    assert decoded.confidence_mean == pytest.approx(0.85)
    assert decoded.confidence_min == pytest.approx(0.8)


@pytest.mark.parametrize("scale", [Scale.PROBABILITY, Scale.UNKNOWN])
def test_numbers_outside_zero_to_one_are_no_probabilities(scale):
    """A score of 3 names no class where nobody said that it is a logit."""
    decoded = decode(Binary(scale=scale), np.array([[3.0], [0.4]]))

    assert decoded.classes == ()
    assert decoded.opaque_reason == "output is outside [0, 1] and not known to be a logit"


def test_verified_logits_inside_zero_to_one_are_not_decided():
    """0.7 from a wrapped function may be a logit or a probability: neither is guessed."""
    assert decode(LOGIT, np.array([[0.7]]), verify=True).classes == ()
    assert decode(LOGIT, np.array([[7.0]]), verify=True).classes == ("1",)
    assert decode(LOGIT, np.array([[0.7]])).confidences == pytest.approx((sigmoid(0.7),))


@pytest.mark.parametrize("verify", [False, True])
def test_probabilities_stay_probabilities_when_verified(verify):
    """Numbers in [0, 1] of a sigmoid are taken as they are."""
    assert decode(PROBABILITY, np.array([[0.7]]), verify=verify).confidences == (0.7,)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint8, np.bool_])
def test_whole_numbers_are_read_exactly(dtype):
    """Zero and one of any whole type are certain classes."""
    decoded = decode(PROBABILITY, np.array([[0], [1]], dtype=dtype))

    assert decoded.class_ids == (0, 1)
    assert decoded.confidences == (1.0, 1.0)


def test_int8_logits_do_not_wrap():
    """-128 has no counterpart in int8; its sigmoid is still next to nothing."""
    decoded = decode(LOGIT, np.array([[-128], [127]], dtype=np.int8))

    assert decoded.class_ids == (0, 1)
    assert decoded.confidences == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize("dtype", EXTENSION_DTYPES)
def test_floats_that_numpy_lacks_are_read(dtype):
    """bfloat16 and float8 are read as rounded."""
    decoded = decode(PROBABILITY, np.array([[0.75], [0.25]], dtype=dtype))

    assert decoded.class_ids == (1, 0)
    assert decoded.confidences == (0.75, 0.75)


@pytest.mark.parametrize("columns", [0, 2, 3])
def test_more_columns_than_one_are_opaque(columns):
    """A binary head reads one column, and says so where there are others."""
    decoded = decode(PROBABILITY, np.zeros((2, columns)))

    assert decoded.task == "opaque"
    assert decoded.opaque_reason == f"binary head with {columns} columns, expected 1"


def test_an_empty_batch_has_no_rows():
    """No rows are no classes and no reason to complain."""
    decoded = decode(PROBABILITY, np.zeros((0, 1)))

    assert (decoded.task, decoded.rows, decoded.opaque_reason) == ("binary", 0, None)


def test_a_mask_for_each_row_is_opaque():
    """A probability for each pixel is not one class."""
    decoded = decode(PROBABILITY, np.zeros((1, 4, 4, 1)))

    assert decoded.opaque_reason == "output of rank 4 holds many predictions a row"


@given(matrices(min_columns=1, max_columns=1))
@patient
def test_the_sign_of_a_hinge_score_is_the_class(scores):
    """Class 1 is over 0, whatever the threshold of probabilities, and nothing is said of how sure."""
    decoded = decode(Binary(labels=("no", "yes"), scale=Scale.HINGE, threshold=0.9), scores)

    assert decoded.classes == tuple("yes" if score > 0 else "no" for score in scores[:, 0])
    assert decoded.confidences == ()


def test_a_hinge_score_of_nan_names_no_class():
    """NaN has no sign; the other rows are counted."""
    head = Binary(scale=Scale.HINGE)

    assert decode(head, np.array([[np.nan]])).opaque_reason == NOT_FINITE
    decoded = decode(head, np.array([[np.nan], [2.0], [-1.0]]))
    assert decoded.opaque_reason == "1 of 3 rows are NaN or infinite"
    assert (decoded.task, decoded.class_counts) == ("binary", {"0": 1, "1": 1})
