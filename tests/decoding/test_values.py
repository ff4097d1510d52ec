"""Numbers, vectors, and outputs of which nothing is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_otel.decoding.decode import NOT_FINITE, decode
from keras_otel.decoding.heads import Embedding, Multiclass, Opaque, Regression, Undetermined
from tests.decoding.strategies import EXTENSION_DTYPES, matrices, patient, probabilities


@given(st.floats(-(2.0**100), 2.0**100, width=32), st.sampled_from([(1,), (1, 1), (1, 1, 1)]))
@patient
def test_a_regression_is_its_value(number, shape):
    """One row of a regression is its number, as Python's own float, in every shape."""
    decoded = decode(Regression(), np.full(shape, number, dtype=np.float32))

    assert decoded.task == "regression"
    assert decoded.value == number
    assert type(decoded.value) is float


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.float16, *EXTENSION_DTYPES])
def test_a_regression_of_any_dtype_is_a_float(dtype):
    """Whole numbers and short floats become Python's float."""
    value = decode(Regression(), np.ones((1, 1)).astype(dtype)).value

    assert value == 1.0
    assert type(value) is float


def test_a_batch_of_regressions_has_no_single_value():
    """Several rows have several values, and none stands for them."""
    decoded = decode(Regression(), np.ones((3, 1)))

    assert (decoded.rows, decoded.value, decoded.opaque_reason) == (3, None, None)


@pytest.mark.parametrize(("shape", "width"), [((1, 4), 4), ((2, 3, 5), 15), ((1, 0), 0)])
def test_several_values_a_row_are_no_value(shape, width):
    """A row of several numbers is marked, and not the first of them taken."""
    decoded = decode(Regression(), np.zeros(shape))

    assert decoded.value is None
    assert decoded.opaque_reason == f"{width} values a row, no single value"


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([np.nan], NOT_FINITE),
        ([np.inf], NOT_FINITE),
        ([1, -np.inf], "1 of 2 rows are NaN or infinite"),
    ],
)
def test_a_regression_that_is_not_finite_has_no_value(rows, reason):
    """NaN and infinity are no values."""
    decoded = decode(Regression(), np.array(rows)[:, None])

    assert decoded.value is None
    assert decoded.opaque_reason == reason


@given(matrices(max_rows=1, min_columns=1, max_columns=80, dtype=np.float64))
@patient
def test_an_embedding_is_its_dimension_and_norm(vector):
    """The norm is the Euclidean one, the dimension the number of columns."""
    decoded = decode(Embedding(), vector)

    assert decoded.dimension == vector.shape[1]
    assert decoded.norm == pytest.approx(math.hypot(*vector[0].tolist()))
    assert type(decoded.norm) is float


def test_the_norm_of_a_half_does_not_overflow():
    """The squares of float16 numbers do not fit in float16."""
    assert decode(Embedding(), np.full((1, 4), 60_000, np.float16)).norm == pytest.approx(
        120_000, rel=1e-3
    )


def test_a_batch_of_embeddings_has_a_dimension_and_no_norm():
    """The dimension is the same for all rows, the norm is not."""
    decoded = decode(Embedding(), np.ones((3, 8)))

    assert (decoded.dimension, decoded.norm, decoded.rows) == (8, None, 3)


def test_token_embeddings_have_a_dimension_and_no_norm():
    """A vector for each token has no norm as a whole."""
    decoded = decode(Embedding(), np.ones((1, 5, 8)))

    assert (decoded.dimension, decoded.norm) == (8, None)


def test_one_number_a_row_is_no_embedding():
    """Rank 1 holds no vectors."""
    assert decode(Embedding(), np.ones(3)).opaque_reason == "one number a row, no embedding"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_embedding_that_is_not_finite_has_no_norm(bad):
    """The dimension is still known, and the reason is told."""
    decoded = decode(Embedding(), np.array([[1.0, bad]]))

    assert (decoded.dimension, decoded.norm, decoded.opaque_reason) == (2, None, NOT_FINITE)


@given(probabilities())
@patient
def test_undetermined_probabilities_are_classes(rows):
    """Rows that are non-negative and sum to 1 are read as a softmax is."""
    labels = tuple("abcdef"[: rows.shape[1]])

    assert decode(Undetermined(labels=labels), rows) == decode(Multiclass(labels=labels), rows)


@given(matrices(min_columns=1, max_rows=5))
@patient
def test_undetermined_scores_are_never_guessed(scores):
    """Rows that do not all sum to 1 are opaque, with a reason and no class."""
    scores[0, 0] = 7.0 + abs(scores[0, 0]) + abs(scores).sum()

    decoded = decode(Undetermined(), scores)

    assert decoded.task == "opaque"
    assert decoded.opaque_reason == "no head known"
    assert decoded.classes == ()
    assert decoded.class_counts == {}


def test_undetermined_negative_rows_are_opaque():
    """Rows that sum to 1 by way of a negative number are no probabilities."""
    assert decode(Undetermined(), np.array([[1.5, -0.5]])).opaque_reason == "no head known"


def test_undetermined_nan_is_opaque():
    """NaN shows no head; the reason says what was seen."""
    decoded = decode(Undetermined(), np.array([[np.nan, 0.5]]))

    assert (decoded.task, decoded.opaque_reason) == ("opaque", NOT_FINITE)


def test_undetermined_large_batches_are_summarised():
    """Probabilities beyond `max_rows` are classes too."""
    decoded = decode(Undetermined(), np.full((50, 2), 0.5), max_rows=3)

    assert decoded.task == "multiclass"
    assert decoded.confidence_mean == 0.5
    assert decoded.class_counts == {"0": 50}


@pytest.mark.parametrize("shape", [(0, 3), (3,), (2, 2, 2), (2, 0)])
def test_undetermined_shapes_without_rows_of_scores_are_opaque(shape):
    """Where there is no row of scores there is nothing to tell a head from."""
    assert decode(Undetermined(), np.full(shape, 0.5)).opaque_reason == "no head known"


def test_opaque_says_its_reason():
    """What is described as opaque is not looked at."""
    decoded = decode(Opaque(reason="described as opaque"), np.full((2, 3), np.nan), output="mask")

    assert decoded == decode(Opaque(reason="described as opaque"), np.ones((2, 3)), output="mask")
    assert (decoded.task, decoded.rows, decoded.output) == ("opaque", 2, "mask")


@pytest.mark.parametrize(
    "rows",
    [
        np.eye(3)[[0, 2]],
        np.eye(3)[[1]].astype("float32"),
        np.array([[0, 1]]),
        np.array([[True, False]]),
    ],
)
def test_undetermined_choices_are_no_classes(rows):
    """A row of a single 1 may say which expert, slot or position was chosen."""
    decoded = decode(Undetermined(), rows)

    assert (decoded.task, decoded.classes) == ("opaque", ())
    assert decoded.opaque_reason.startswith("no head known")


def test_undetermined_padding_is_opaque():
    """A row of zeros beside rows that sum to 1 shows that they are no softmax's."""
    rows = np.array([[0.5, 0.5], [0.0, 0.0]])

    assert decode(Undetermined(), rows).opaque_reason == "no head known"
    assert decode(Undetermined(), rows[1:]).opaque_reason == "no head known"
