"""Arrays that models return, and arrays that no model should."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keras_otel.decoding.heads import (
    Binary,
    Embedding,
    Head,
    Multiclass,
    Multilabel,
    Opaque,
    Regression,
    Scale,
    Sequence,
    Undetermined,
)

# A shared machine may stall for longer than Hypothesis allows an example.
patient = settings(deadline=None)

EXTENSION_DTYPES = (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2)


def matrices(
    *,
    min_rows: int = 1,
    max_rows: int = 12,
    min_columns: int = 2,
    max_columns: int = 6,
    bound: float = 50.0,
    dtype: Any = np.float32,
) -> st.SearchStrategy[np.ndarray]:
    """Finite numbers of shape (rows, columns)."""
    width = np.dtype(dtype).itemsize * 8
    return hnp.arrays(
        dtype,
        st.tuples(st.integers(min_rows, max_rows), st.integers(min_columns, max_columns)),
        elements=st.floats(-bound, bound, width=width),
    )


def softmax(row: Any) -> list[float]:
    """Softmax of one row in Python's own floats: the reference."""
    scores = [float(score) for score in row]
    top = max(scores)
    parts = [math.exp(score - top) for score in scores]
    return [part / math.fsum(parts) for part in parts]


def softmaxes(rows: Any) -> np.ndarray:
    """Softmax of each row, float64."""
    return np.array([softmax(row) for row in rows])


def sigmoid(score: float) -> float:
    """Sigmoid of one number: the reference."""
    if score < -700:
        return 0.0
    return 1.0 / (1.0 + math.exp(-score))


@st.composite
def probabilities(draw: st.DrawFn, **kwargs: Any) -> np.ndarray:
    """Rows that a softmax made, float64."""
    return softmaxes(draw(matrices(bound=8.0, dtype=np.float64, **kwargs)))


scales = st.sampled_from(Scale)
_labels = st.none() | st.lists(st.text(max_size=3), max_size=5, unique=True).map(tuple)
_thresholds = st.floats(0.01, 0.99)

heads: st.SearchStrategy[Head] = st.one_of(
    st.builds(Multiclass, labels=_labels, scale=scales),
    st.builds(Binary, labels=_labels, scale=scales, threshold=_thresholds),
    st.builds(
        Multilabel,
        labels=_labels,
        scale=scales,
        thresholds=st.lists(_thresholds, min_size=1, max_size=4).map(tuple),
    ),
    st.builds(Regression),
    st.builds(Embedding),
    st.builds(
        Sequence,
        inner=st.one_of(
            st.builds(Multiclass, labels=_labels, scale=scales),
            st.builds(Binary, labels=_labels, scale=scales, threshold=_thresholds),
            st.builds(Multilabel, labels=_labels, scale=scales),
        ),
    ),
    st.builds(Undetermined, labels=_labels),
    st.builds(Opaque, reason=st.just("said so")),
)


@st.composite
def any_array(draw: st.DrawFn) -> np.ndarray:
    """An array of any dtype and shape, with NaN, infinity and extremes."""
    dtype = draw(
        st.one_of(
            hnp.floating_dtypes(),
            hnp.integer_dtypes(),
            hnp.unsigned_integer_dtypes(),
            hnp.boolean_dtypes(),
            hnp.complex_number_dtypes(),
            hnp.unicode_string_dtypes(max_len=3),
            hnp.byte_string_dtypes(max_len=3),
            hnp.datetime64_dtypes(),
            st.sampled_from([np.dtype([("a", "f4")]), np.dtype([("a", "f4"), ("b", "i2")])]),
            st.just(np.dtype(np.longdouble)),
        )
    )
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
    array = draw(hnp.arrays(dtype, shape))
    if dtype == np.float32 and draw(st.booleans()):
        with np.errstate(all="ignore"):
            array = array.astype(draw(st.sampled_from(EXTENSION_DTYPES)))
    return array
