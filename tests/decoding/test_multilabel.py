"""Any number of labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_otel.decoding.decode import NOT_FINITE, decode
from keras_otel.decoding.heads import Multilabel, Scale
from tests.decoding.strategies import EXTENSION_DTYPES, matrices, patient, sigmoid

PROBABILITY = Multilabel(scale=Scale.PROBABILITY)
LOGIT = Multilabel(scale=Scale.LOGIT)
NAMES = ("toxic", "insult", "threat")


@given(matrices(max_rows=8), st.floats(0.05, 0.95))
@patient
def test_counts_are_those_of_the_loop_over_the_rows(scores, threshold):
    """A batch counts each label as often as the rows alone name it."""
    head = Multilabel(scale=Scale.LOGIT, thresholds=(threshold,))

    batch = decode(head, scores)
    named = [
        label for i in range(len(scores)) for label in decode(head, scores[i : i + 1]).labels or ()
    ]

    assert batch.class_counts == {label: named.count(label) for label in named}
    assert batch.labels == (tuple(named) if len(scores) == 1 else None)


@given(matrices(max_rows=1, dtype=np.float64, bound=1e4), st.floats(0.05, 0.95))
@patient
def test_labels_are_those_whose_sigmoid_is_over_the_threshold(scores, threshold):
    """The labels of one row are exactly those over the threshold, at any size of the logit."""
    decoded = decode(Multilabel(scale=Scale.LOGIT, thresholds=(threshold,)), scores)

    for index, score in enumerate(scores[0].tolist()):
        if abs(sigmoid(score) - threshold) > 1e-12:
            assert (str(index) in decoded.labels) == (sigmoid(score) > threshold)


@given(matrices(max_rows=1, min_columns=3, max_columns=3), st.permutations(range(3)))
@patient
def test_permuting_columns_labels_and_thresholds_names_the_same(scores, order):
    """Columns, labels and thresholds in another order name the same labels."""
    thresholds = (0.2, 0.5, 0.9)
    straight = Multilabel(labels=NAMES, scale=Scale.LOGIT, thresholds=thresholds)
    permuted = Multilabel(
        labels=tuple(NAMES[i] for i in order),
        scale=Scale.LOGIT,
        thresholds=tuple(thresholds[i] for i in order),
    )

    assert set(decode(permuted, scores[:, order]).labels) == set(decode(straight, scores).labels)


def test_each_label_has_its_own_threshold():
    """A threshold for each label decides on that label alone, and on it is not over it."""
    head = Multilabel(labels=NAMES, scale=Scale.PROBABILITY, thresholds=(0.2, 0.5, 0.9))

    assert decode(head, np.array([[0.3, 0.5, 0.8]])).labels == ("toxic",)
    assert decode(head, np.array([[0.1, 0.6, 0.95]])).labels == ("insult", "threat")


@pytest.mark.parametrize("threshold", [0.3, 0.1, 0.7])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_probability_on_the_threshold_is_not_over_it(threshold, dtype):
    """0.3 in float32 is 0.3000000119; it is on a threshold of 0.3 and not over it."""
    head = Multilabel(scale=Scale.PROBABILITY, thresholds=(threshold,))
    on = np.array([[threshold, threshold]], dtype=dtype)

    assert decode(head, on).labels == ()
    assert decode(head, np.nextafter(on, dtype(1))).labels == ("0", "1")


def test_no_label_at_all_is_an_answer():
    """A row under every threshold has an empty list of labels, which is not None."""
    decoded = decode(PROBABILITY, np.array([[0.1, 0.2]]))

    assert decoded.labels == ()
    assert decoded.class_counts == {}
    assert decoded.opaque_reason is None


@pytest.mark.parametrize("labels", [NAMES[:2], (*NAMES, "more")])
def test_labels_that_do_not_fit_are_not_used(labels):
    """With more or fewer labels than columns the ids stand for them."""
    head = Multilabel(labels=labels, scale=Scale.PROBABILITY)

    assert decode(head, np.array([[0.9, 0.1, 0.9]])).labels == ("0", "2")


def test_thresholds_that_do_not_fit_are_opaque():
    """Two thresholds cannot decide on three labels."""
    decoded = decode(Multilabel(thresholds=(0.2, 0.3)), np.zeros((1, 3)))

    assert decoded.labels is None
    assert decoded.opaque_reason == "2 thresholds for 3 columns"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_one_bad_row_names_nothing(bad):
    """A row with a number that is no probability has no labels, and says why."""
    decoded = decode(PROBABILITY, np.array([[0.9, bad]]))

    assert decoded.labels is None
    assert decoded.class_counts == {}
    assert decoded.opaque_reason == NOT_FINITE


def test_bad_rows_are_not_counted():
    """The counts of a batch are those of its good rows."""
    decoded = decode(PROBABILITY, np.array([[0.9, np.nan], [0.9, 0.9], [0.1, 0.8]]))

    assert decoded.class_counts == {"0": 1, "1": 2}
    assert decoded.rows == 3
    assert decoded.opaque_reason == "1 of 3 rows are NaN or infinite"


@pytest.mark.parametrize("scale", [Scale.PROBABILITY, Scale.UNKNOWN])
def test_numbers_outside_zero_to_one_are_no_probabilities(scale):
    """Scores name nothing where nobody said that they are logits."""
    decoded = decode(Multilabel(scale=scale), np.array([[3.0, 0.4]]))

    assert decoded.labels is None
    assert decoded.opaque_reason == "output is outside [0, 1] and not known to be a logit"


def test_verified_logits_inside_zero_to_one_are_not_decided():
    """What may be a logit or a probability is not guessed."""
    assert decode(LOGIT, np.array([[0.7, 0.2]]), verify=True).labels is None
    assert decode(LOGIT, np.array([[7.0, 0.2]]), verify=True).labels == ("0", "1")


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.float16, *EXTENSION_DTYPES])
def test_other_dtypes_are_read(dtype):
    """Booleans, whole numbers and short floats name the same labels."""
    decoded = decode(PROBABILITY, np.array([[1, 0, 1]]).astype(dtype))

    assert decoded.labels == ("0", "2")


def test_an_empty_batch_has_no_rows():
    """No rows are no labels and no reason to complain."""
    decoded = decode(PROBABILITY, np.zeros((0, 3)))

    assert (decoded.task, decoded.rows, decoded.labels) == ("multilabel", 0, None)
    assert decoded.opaque_reason is None


def test_labels_for_each_position_are_opaque():
    """Labels for each token of a row are not labels of the row."""
    decoded = decode(PROBABILITY, np.zeros((1, 5, 3)))

    assert decoded.opaque_reason == "output of rank 3 holds many predictions a row"
