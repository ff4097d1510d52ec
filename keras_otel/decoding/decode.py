"""Decode one output: an array and its head in, a `Decoded` record out.

Decisions:

* A class is recorded only where the head is known. The largest score is the class whatever its
  scale, but only a probability is a confidence.
* A row of zeros is padding and has no class, unless the scores are known to be logits.
* A row with NaN or a positive infinity has no class (an independent logit of ±infinity has: its
  sigmoid is 0 or 1). With such rows in a batch no rows are listed; the reason says how many there
  are, and the summaries cover the others.
* One row of few columns, the usual case of an online service, is read with plain floats: for ten
  columns that is several times faster than numpy's dispatch. Everything else is vectorised.
"""

from __future__ import annotations

from typing import assert_never

import numpy as np

from keras_otel.decoding.classification import NOT_FINITE, Array, BatchDetail, opaque
from keras_otel.decoding.heads import (
    Binary,
    Embedding,
    Head,
    Multiclass,
    Multilabel,
    Opaque,
    Regression,
    Sequence,
    Undetermined,
)
from keras_otel.decoding.independent import read_binary, read_multilabel
from keras_otel.decoding.multiclass import (
    FEW_COLUMNS,
    read_multiclass,
    read_one_row,
    read_undetermined,
    tolerance_of,
)
from keras_otel.decoding.sequences import read_sequence
from keras_otel.decoding.values import read_embedding, read_regression
from keras_otel.records import Decoded

__all__ = ["NOT_FINITE", "decode"]

# Dtypes that need no conversion: native bool, integers, float32 and float64.
_PLAIN = "?bBhHiIlLqQfd"


def decode(
    head: Head,
    array: Array,
    *,
    max_rows: int = 32,
    verify: bool = False,
    count_classes: bool = True,
    output: str | None = None,
) -> Decoded:
    """Decode one output.

    Args:
        head: What kind of output it is.
        array: Shape (rows, columns), (rows,), or higher with all middle axes of length 1. Any
            real dtype, also bfloat16 and float8 of ml_dtypes.
        max_rows: Up to this many rows are recorded row by row.
        verify: True if the array did not come directly from the model's own last layer (but from
            a wrapped function, an overridden `predict`), so that its values must show its scale.
        count_classes: Whether the class counts of a batch of more than `max_rows` are needed.
        output: Name of the output, where the model has several.

    Returns:
        The record; of task `opaque`, or with an `opaque_reason`, where something is unreadable.
    """
    shape = array.shape
    if (
        type(head) is Multiclass
        and len(shape) == 2
        and shape[0] == 1
        and 1 < shape[1] <= FEW_COLUMNS
        and array.dtype.char in "fd"
    ):
        decoded = read_one_row(array[0].tolist(), head, tolerance_of(array), verify=verify)
    else:
        decoded = _decode(head, array, BatchDetail(max_rows, count_classes), verify=verify)
    return decoded if output is None else decoded._replace(output=output)


def _decode(head: Head, array: Array, detail: BatchDetail, *, verify: bool) -> Decoded:
    shape = array.shape
    rows = shape[0] if shape else 1
    if isinstance(head, Opaque):
        return opaque(rows, head.reason)
    if array.dtype.char not in _PLAIN:
        array = _as_real(array)
    if not shape or array.dtype.kind not in "fiub":
        problem = f"is of dtype {array.dtype}" if shape else "has no batch dimension"
        return opaque(rows, f"output {problem}")
    match head:
        case Multiclass():
            return read_multiclass(head, array, detail, verify=verify)
        case Undetermined():
            return read_undetermined(head, array, detail)
        case Binary():
            return read_binary(head, array, detail, verify=verify)
        case Multilabel():
            return read_multilabel(head, array, verify=verify)
        case Sequence():
            return read_sequence(head, array, verify=verify)
        case Regression():
            return read_regression(array)
        case Embedding():
            return read_embedding(array)
        case _:
            assert_never(head)


def _as_real(array: Array) -> Array:
    """Return short floats, also those of ml_dtypes, as float32, and longer ones as float64.

    Sums and norms of short floats would overflow and round; `tolist` of a long double returns numpy
    scalars, which OpenTelemetry would store as text.
    """
    kind = array.dtype.kind
    if kind not in "fV":
        return array
    try:
        is_long = kind == "f" and array.dtype.itemsize > 8
        with np.errstate(over="ignore", invalid="ignore"):
            return array.astype(np.float64 if is_long else np.float32)
    except (TypeError, ValueError):
        return array  # a structured dtype, not a number
