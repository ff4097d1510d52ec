"""Whether a program's result agrees with the model's answer that it was computed from.

A method around the model may return the scores as they are, rescale them, sort them, or decide by
them. Scores in another order, and decisions by another rule, cannot be named by the model's labels.
"""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Agreement(enum.Enum):
    """How a result relates to the answer that it was computed from."""

    SCORES = "scores"
    """Scores of the answer's shape that choose the same classes: they can be read in its place."""
    OTHER = "other"
    """Something else, or a decision that follows from the answer: the answer is to be read."""
    CONTRADICTION = "contradiction"
    """Scores or a decision that do not follow from the answer."""


def agreement(answer: Array, result: Array, threshold: float) -> Agreement:
    """Compare a result with the model's answer, both with one row for each input.

    Args:
        answer: Scores of shape (rows, columns), as the model returned them.
        result: What the program returned, of any shape.
        threshold: Value over which a binary or multilabel score counts.

    Returns:
        How the result relates to the answer.
    """
    if answer.ndim != 2 or answer.size == 0 or result.dtype.kind not in "fiub":
        return Agreement.SCORES if answer.shape == result.shape else Agreement.OTHER
    if _is_decision(answer, result):
        return _agreement_of_decision(answer, result, threshold)
    if answer.shape != result.shape:
        return Agreement.OTHER
    follows = np.array_equal(_chosen_class(answer, 0.5), _chosen_class(result, 0.5))
    return Agreement.SCORES if follows else Agreement.CONTRADICTION


def _is_decision(answer: Array, result: Array) -> bool:
    if result.dtype.kind in "iub":
        return result.shape == answer.shape or result.size == len(answer) == len(result)
    is_binary = bool(((result == 0) | (result == 1)).all())
    return is_binary and result.shape == answer.shape and not np.array_equal(answer, result)


def _agreement_of_decision(answer: Array, result: Array, threshold: float) -> Agreement:
    columns = answer.shape[1]
    if columns > 1 and result.size == len(answer):
        ids = result.reshape(-1)
        if ids.dtype.kind != "b" and not ((ids >= 0) & (ids < columns)).all():
            return Agreement.OTHER  # integers that are no class ids
        follows = np.array_equal(ids, answer.argmax(axis=1))
    elif columns > 1:
        is_one_hot = np.array_equal(result, np.eye(columns)[answer.argmax(axis=1)])
        follows = is_one_hot or np.array_equal(result, _over(answer, threshold))
    else:
        follows = np.array_equal(result.reshape(-1), _chosen_class(answer, threshold))
    return Agreement.OTHER if follows else Agreement.CONTRADICTION


def _chosen_class(scores: Array, threshold: float) -> Array:
    """Return the largest column, or for a single column whether it is over the threshold."""
    if scores.shape[1] > 1:
        chosen: Array = scores.argmax(axis=1)
        return chosen
    return _over(scores, threshold)[:, 0]


def _over(scores: Array, threshold: float) -> Array:
    """Return which probabilities are over the threshold, or which other scores are over 0."""
    with np.errstate(invalid="ignore"):
        are_probabilities = bool(((scores >= 0) & (scores <= 1)).all())
        over: Array = scores > (threshold if are_probabilities else 0.0)
    return over
