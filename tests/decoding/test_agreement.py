"""What a program made of a model's answer."""

from __future__ import annotations

import numpy as np
import pytest

from keras_otel.decoding.agreement import Agreement, agreement

SOFTMAX = np.array([[0.2, 0.7, 0.1], [0.5, 0.3, 0.2]])
SIGMOID = np.array([[0.4], [0.9]])
LOGIT = np.array([[-0.3], [4.0]])

SCORES, OTHER, CONTRADICTION = Agreement.SCORES, Agreement.OTHER, Agreement.CONTRADICTION


@pytest.mark.parametrize(
    ("answer", "result", "expected"),
    [
        (SOFTMAX, SOFTMAX, SCORES),
        (SOFTMAX, SOFTMAX**2 / (SOFTMAX**2).sum(axis=1, keepdims=True), SCORES),
        (SOFTMAX, np.log(SOFTMAX), SCORES),
        (SOFTMAX, np.sort(SOFTMAX), CONTRADICTION),
        (SOFTMAX, 1 - SOFTMAX, CONTRADICTION),
        (SOFTMAX, SOFTMAX[:, :2], OTHER),
        (SOFTMAX, np.argsort(-SOFTMAX)[:, :2], OTHER),
        (SOFTMAX, SOFTMAX.argmax(axis=1), OTHER),
        (SOFTMAX, SOFTMAX.argmax(axis=1)[:, None], OTHER),
        (SOFTMAX, np.array([2, 0]), CONTRADICTION),
        (SOFTMAX, np.array([4711, 12]), OTHER),
        (SOFTMAX, np.eye(3)[[1, 0]], OTHER),
        (SOFTMAX, np.eye(3, dtype=int)[[1, 0]], OTHER),
        (SOFTMAX, np.eye(3)[[2, 0]], CONTRADICTION),
        (SOFTMAX, np.argsort(-SOFTMAX), CONTRADICTION),
        (SOFTMAX, np.array([["a"], ["b"]]), OTHER),
        (np.eye(3)[[1, 0]], np.eye(3)[[1, 0]], SCORES),
        (SIGMOID, SIGMOID, SCORES),
        (SIGMOID, SIGMOID**1.1, SCORES),
        (SIGMOID, 1 - SIGMOID, CONTRADICTION),
        (SIGMOID, (SIGMOID > 0.5).astype(int), OTHER),
        (SIGMOID, (SIGMOID > 0.5)[:, 0], OTHER),
        (SIGMOID, np.round(SIGMOID), OTHER),
        (SIGMOID, (SIGMOID > 0.3).astype(int), CONTRADICTION),
        (LOGIT, 1 / (1 + np.exp(-LOGIT)), SCORES),
        (LOGIT, (LOGIT > 0).astype(int), OTHER),
        (SOFTMAX[None], SOFTMAX[None], SCORES),
        (SOFTMAX[None], SOFTMAX[None].argmax(axis=-1), OTHER),
        (SOFTMAX[:0], SOFTMAX[:0], SCORES),
    ],
)
def test_what_a_result_is_to_the_answer(answer, result, expected):
    """Scores on the same side stand for the answer; decisions by it leave it to the answer."""
    assert agreement(answer, result, 0.5) is expected


def test_a_decision_by_the_described_threshold_follows():
    """A threshold that the user described is the rule of the decision."""
    assert agreement(SIGMOID, (SIGMOID > 0.3).astype(int), 0.3) is OTHER


def test_labels_by_threshold_follow():
    """Several labels, each over the threshold."""
    flags = np.array([[0.9, 0.6, 0.2]])
    assert agreement(flags, (flags > 0.5).astype(int), 0.5) is OTHER
    assert agreement(flags, (flags > 0.1).astype(int), 0.5) is CONTRADICTION


def test_nan_is_compared_without_a_warning():
    """NaN is over nothing."""
    assert agreement(SIGMOID * np.nan, SIGMOID, 0.5) is CONTRADICTION
