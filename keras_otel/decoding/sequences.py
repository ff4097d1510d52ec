"""Reading a class for each position of a row: taggers and segmentation.

An output does not show which positions are padding, so every position counts.
"""

from __future__ import annotations

from collections.abc import Mapping

from keras_otel.decoding.classification import Array, BatchDetail, opaque
from keras_otel.decoding.heads import Binary, Multiclass, Multilabel, Sequence
from keras_otel.decoding.independent import read_binary, read_multilabel
from keras_otel.decoding.multiclass import read_multiclass
from keras_otel.records import Decoded

_MAX_NUMBERS = 1 << 23
"""Larger outputs, such as a language model's scores of every token, would delay the caller."""

_MAX_CLASSES = 16

_COUNTS_ONLY = BatchDetail(max_rows=0, count_classes=True)


def read_sequence(head: Sequence, array: Array, *, verify: bool) -> Decoded:
    """Read how often each class is predicted, and the confidence over all positions."""
    rows = array.shape[0]
    if array.ndim < 2:
        return opaque(rows, f"output of rank {array.ndim} holds no positions")
    if array.size > _MAX_NUMBERS:
        return opaque(rows, f"more than {_MAX_NUMBERS} numbers to read position by position")
    if array.size == 0:
        return Decoded(task="sequence", rows=rows)
    positions = _read_positions(head.inner, array, verify=verify)
    if positions.task == "opaque":
        return positions._replace(rows=rows)
    # A record of one position has its confidence alone, and no mean or minimum.
    only_confidence = positions.confidences[0] if positions.confidences else None
    mean, minimum = positions.confidence_mean, positions.confidence_min
    reason = positions.opaque_reason
    return Decoded(
        task="sequence",
        rows=rows,
        confidence_mean=only_confidence if mean is None else mean,
        confidence_min=only_confidence if minimum is None else minimum,
        position_counts=_most_frequent(positions.class_counts) if rows == 1 else (),
        opaque_reason=reason.replace(" rows ", " positions ") if reason is not None else None,
    )


def _read_positions(
    head: Multiclass | Binary | Multilabel, array: Array, *, verify: bool
) -> Decoded:
    """Read each position as if it were a row."""
    match head:
        case Multiclass() if array.ndim == 2 and array.dtype.kind in "iu":
            return read_multiclass(head, array.reshape(-1), _COUNTS_ONLY, verify=verify)
        case Multiclass():
            scores = array.reshape(-1, array.shape[-1])
            return read_multiclass(head, scores, _COUNTS_ONLY, verify=verify)
        case Binary():
            return read_binary(head, array.reshape(-1), _COUNTS_ONLY, verify=verify)
        case Multilabel():
            return read_multilabel(head, array.reshape(-1, array.shape[-1]), verify=verify)


def _most_frequent(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    # The sort is stable: of equally frequent classes, the one with the smaller id comes first.
    return tuple(sorted(counts.items(), key=lambda item: -item[1])[:_MAX_CLASSES])
