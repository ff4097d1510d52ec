"""Reading outputs without classes: a number or a vector for each row."""

from __future__ import annotations

import math

import numpy as np

from keras_otel.decoding.classification import NOT_FINITE, Array, as_matrix, opaque
from keras_otel.records import Decoded


def read_regression(array: Array) -> Decoded:
    """Read the value of a single row; of a batch only the number of rows is recorded."""
    rows = array.shape[0]
    values = as_matrix(array)
    if values is None or values.shape[1] != 1:
        width = math.prod(array.shape[1:])
        return Decoded(
            task="regression", rows=rows, opaque_reason=f"{width} values a row, no single value"
        )
    bad = rows - int(np.count_nonzero(np.isfinite(values)))
    if bad:
        reason = NOT_FINITE if bad == rows else f"{bad} of {rows} rows are NaN or infinite"
        return Decoded(task="regression", rows=rows, opaque_reason=reason)
    return Decoded(task="regression", rows=rows, value=float(values[0, 0]) if rows == 1 else None)


def read_embedding(array: Array) -> Decoded:
    """Read the dimension of the vectors, and the Euclidean norm of a single one."""
    rows = array.shape[0]
    if array.ndim < 2:
        return opaque(rows, "one number a row, no embedding")
    vectors = as_matrix(array)
    norm = reason = None
    if rows == 1 and vectors is not None:
        with np.errstate(over="ignore"):
            norm = float(np.linalg.norm(vectors[0].astype(np.float64, copy=False)))
        if not math.isfinite(norm):
            norm, reason = None, NOT_FINITE
    return Decoded(
        task="embedding",
        rows=rows,
        dimension=array.shape[-1],
        norm=norm,
        opaque_reason=reason,
    )
