"""Decode one output: an array and its head in, a `Decoded` record out.

Decisions:

* A class is named only where the head is known; the largest score is the class whatever its
  scale, but a confidence needs a probability.
* A row of zeros is padding, unless the scores are known to be logits: it names no class.
* A row with NaN or a positive infinity names no class (an independent logit of ±infinity does: its
  sigmoid is 0 or 1). In a batch such rows leave the arrays out and the
  reason says how many there were; the summaries cover the rest.
* One row of few columns, the case of an online service, is read with plain floats: for ten
  columns that is several times faster than numpy's dispatch. Everything else is vectorised.
"""

from __future__ import annotations

from typing import assert_never

import numpy as np

from keras_otel.decoding.classification import NOT_FINITE, Array, Keep, opaque
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

# The dtypes that are read as they are: native bool, integers, float32 and float64.
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
    """Read one output.

    Args:
        head: What kind of output it is.
        array: Shape (rows, columns), (rows,), or higher with all middle axes of length 1. Any
            real dtype, also bfloat16 and float8 of ml_dtypes.
        max_rows: Up to this many rows are kept row by row.
        verify: True where the array did not come straight from the model's own last layer (a
            wrapped function, an overridden `predict`), so that its scale must show in the values.
        count_classes: Whether anyone wants the class counts of a batch of more than `max_rows`.
        output: Name of the output, where the model has several.

    Returns:
        The record; of task `opaque`, or with an `opaque_reason`, where something cannot be read.
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
        decoded = _decode(head, array, Keep(max_rows, count_classes), verify=verify)
    return decoded if output is None else decoded._replace(output=output)


def _decode(head: Head, array: Array, keep: Keep, *, verify: bool) -> Decoded:
    shape = array.shape
    rows = shape[0] if shape else 1
    if isinstance(head, Opaque):
        return opaque(rows, head.reason)
    if array.dtype.char not in _PLAIN:
        array = _as_real(array)
    if not shape or array.dtype.kind not in "fiub":
        what = f"is of dtype {array.dtype}" if shape else "has no batch dimension"
        return opaque(rows, f"output {what}")
    match head:
        case Multiclass():
            return read_multiclass(head, array, keep, verify=verify)
        case Undetermined():
            return read_undetermined(head, array, keep)
        case Binary():
            return read_binary(head, array, keep, verify=verify)
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
    """float32 for short floats, those of ml_dtypes included; float64 for longer ones.

    Short floats would overflow and round in sums and norms; a long double's `tolist` gives numpy
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
        return array  # a record, not a number
