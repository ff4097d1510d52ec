"""A class for each position."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keras_otel.decoding import sequences
from keras_otel.decoding.decode import NOT_FINITE, decode
from keras_otel.decoding.heads import Binary, Multiclass, Multilabel, Scale, Sequence
from tests.decoding.strategies import patient, softmaxes

TAGGER = Sequence(inner=Multiclass(scale=Scale.LOGIT))
PROBABILITY = Sequence(inner=Multiclass(labels=("O", "LOC"), scale=Scale.PROBABILITY))

_shapes = hnp.array_shapes(min_dims=3, max_dims=4, min_side=1, max_side=4)


@given(_shapes.flatmap(lambda s: hnp.arrays(np.float64, s, elements=st.floats(-9, 9))))
@patient
def test_every_position_is_read_as_a_row_is(scores):
    """Counts, mean and minimum are those of all positions, each read on its own."""
    if scores.shape[-1] < 2:
        assert decode(TAGGER, scores).opaque_reason == "one column holds no classes"
        return
    positions = scores.reshape(-1, scores.shape[-1])
    confidences = softmaxes(positions).max(axis=1)

    decoded = decode(TAGGER, scores)

    assert (decoded.task, decoded.rows) == ("sequence", len(scores))
    assert decoded.confidence_mean == pytest.approx(confidences.mean())
    assert decoded.confidence_min == pytest.approx(confidences.min())
    counts = Counter(map(str, positions.argmax(axis=1).tolist()))
    assert dict(decoded.position_counts) == (counts if len(scores) == 1 else {})


@given(_shapes.flatmap(lambda s: hnp.arrays(np.float64, s, elements=st.floats(-9, 9))))
@patient
def test_there_is_never_a_single_class(scores):
    """Nothing in the record can be taken for the class of the row."""
    decoded = decode(TAGGER, scores)

    assert (decoded.classes, decoded.class_ids, decoded.confidences) == ((), (), ())
    assert (decoded.class_counts, decoded.confidence_sample) == ({}, ())
    assert decoded.prediction(0).class_name is None if len(scores) == 1 else True


def test_the_most_frequent_classes_come_first():
    """At most 16 classes, most frequent first; of equal ones the smaller id."""
    ids = np.repeat(np.arange(20), [3, 1, 5] + [2] * 17)
    decoded = decode(TAGGER, np.eye(20)[ids][None])

    assert decoded.position_counts[:4] == (("2", 5), ("0", 3), ("3", 2), ("4", 2))
    assert len(decoded.position_counts) == 16


def test_positions_of_nan_are_left_out():
    """NaN at some positions leaves the others, and the reason counts positions."""
    tags = np.array([[[0.9, 0.1], [np.nan, 0.5], [0.2, 0.8]]])

    decoded = decode(PROBABILITY, tags)

    assert decoded.position_counts == (("O", 1), ("LOC", 1))
    assert decoded.confidence_mean == pytest.approx(0.85)
    assert decoded.opaque_reason == "1 of 3 positions are NaN or infinite"
    assert decode(PROBABILITY, tags * np.nan).opaque_reason == NOT_FINITE


def test_padding_positions_are_left_out_where_they_are_zero():
    """Zeros of a masked softmax name no class."""
    decoded = decode(PROBABILITY, np.array([[[0.9, 0.1], [0.0, 0.0]]]))

    assert decoded.position_counts == (("O", 1),)
    assert decoded.opaque_reason == "1 of 2 positions are all zero"


@pytest.mark.parametrize("shape", [(1, 2, 2, 1), (1, 2, 2), (1, 4)])
def test_a_mask_of_one_class_against_the_rest(shape):
    """A binary segmentation counts its pixels on either side of the threshold."""
    head = Sequence(inner=Binary(labels=("road", "car"), scale=Scale.PROBABILITY, threshold=0.6))

    decoded = decode(head, np.array([0.9, 0.5, 0.6, 0.7]).reshape(shape))

    assert decoded.position_counts == (("road", 2), ("car", 2))
    assert decoded.confidence_mean == pytest.approx(np.mean([0.9, 0.5, 0.4, 0.7]))
    assert decoded.confidence_min == pytest.approx(0.4)


def test_several_labels_at_each_position():
    """Labels over their threshold are counted; there is no one confidence."""
    head = Sequence(inner=Multilabel(labels=("a", "b"), scale=Scale.PROBABILITY))

    decoded = decode(head, np.array([[[0.9, 0.1], [0.8, 0.7]]]))

    assert decoded.position_counts == (("a", 2), ("b", 1))
    assert decoded.confidence_mean is None


def test_class_ids_at_each_position():
    """Whole numbers of shape (rows, positions) are classes whose confidence nobody knows."""
    decoded = decode(Sequence(inner=Multiclass(labels=("O", "LOC"))), np.array([[1, 0, 1]]))

    assert decoded.position_counts == (("LOC", 2), ("O", 1))
    assert decoded.confidence_mean is None


@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 0, 2)])
def test_no_positions_are_no_classes(shape):
    """An empty batch or an empty text is of the task and says nothing."""
    decoded = decode(TAGGER, np.zeros(shape))

    assert (decoded.task, decoded.rows, decoded.position_counts) == ("sequence", shape[0], ())
    assert decoded.opaque_reason is None


def test_one_number_a_row_holds_no_positions():
    """Rank 1 is opaque."""
    assert decode(TAGGER, np.zeros(3)).opaque_reason == "output of rank 1 holds no positions"


def test_an_output_too_large_to_read_in_a_request_says_so(monkeypatch):
    """Beyond a bound nothing is read, and the reason names the bound."""
    monkeypatch.setattr(sequences, "_MAX_NUMBERS", 5)

    decoded = decode(TAGGER, np.zeros((1, 3, 2)))

    assert decoded.opaque_reason == "more than 5 numbers to read position by position"
    assert decode(TAGGER, np.zeros((1, 2, 2))).opaque_reason is None
