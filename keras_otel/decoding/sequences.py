"""A class for each position of a row: taggers and segmentation.

Which positions are padding cannot be seen in an output, so every position counts.
"""

from __future__ import annotations

from collections.abc import Mapping

from keras_otel.decoding.classification import Array, Keep, opaque
from keras_otel.decoding.heads import Binary, Multiclass, Multilabel, Sequence
from keras_otel.decoding.independent import read_binary, read_multilabel
from keras_otel.decoding.multiclass import read_multiclass
from keras_otel.records import Decoded

_MAX_NUMBERS = 1 << 23
"""Larger outputs, such as a language model's scores of every word, would hold the caller up."""

_MAX_CLASSES = 16

_COUNTS_ALONE = Keep(max_rows=0, count_classes=True)


def read_sequence(head: Sequence, array: Array, *, verify: bool) -> Decoded:
    """How often each class is the largest, and how sure the model is over all positions."""
    rows = array.shape[0]
    if array.ndim < 2:
        return opaque(rows, f"output of rank {array.ndim} holds no positions")
    if array.size > _MAX_NUMBERS:
        return opaque(rows, f"more than {_MAX_NUMBERS} numbers to read position by position")
    if array.size == 0:
        return Decoded(task="sequence", rows=rows)
    flat = _read_positions(head.of, array, verify=verify)
    if flat.task == "opaque":
        return flat._replace(rows=rows)
    one = flat.confidences[0] if flat.confidences else None  # where there is one position in all
    reason = flat.opaque_reason
    return Decoded(
        task="sequence",
        rows=rows,
        confidence_mean=one if flat.confidence_mean is None else flat.confidence_mean,
        confidence_min=one if flat.confidence_min is None else flat.confidence_min,
        position_counts=_most_frequent(flat.class_counts) if rows == 1 else (),
        opaque_reason=reason.replace(" rows ", " positions ") if reason is not None else None,
    )


def _read_positions(
    head: Multiclass | Binary | Multilabel, array: Array, *, verify: bool
) -> Decoded:
    """Read each position as if it were a row."""
    match head:
        case Multiclass() if array.ndim == 2 and array.dtype.kind in "iu":
            return read_multiclass(head, array.reshape(-1), _COUNTS_ALONE, verify=verify)
        case Multiclass():
            scores = array.reshape(-1, array.shape[-1])
            return read_multiclass(head, scores, _COUNTS_ALONE, verify=verify)
        case Binary():
            return read_binary(head, array.reshape(-1), _COUNTS_ALONE, verify=verify)
        case Multilabel():
            return read_multilabel(head, array.reshape(-1, array.shape[-1]), verify=verify)


def _most_frequent(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    # A stable sort: of classes that are equally frequent, the one with the smaller id comes first.
    return tuple(sorted(counts.items(), key=lambda item: -item[1])[:_MAX_CLASSES])
