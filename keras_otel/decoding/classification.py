"""What the readers of all heads share: shapes, class names, and the record of a batch."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from keras_otel.records import Decoded, Task

Array = npt.NDArray[Any]

NOT_FINITE = "output is NaN or infinite"

# `np.bincount` allocates for every class up to the largest id, `np.unique` only for those present.
_MANY_CLASSES = 65_536


# A histogram records one value at a time (about 10 µs each), so a batch beyond `max_rows` is
# represented by this many rows, evenly spaced.
_SAMPLED_ROWS = 1


class BatchDetail(NamedTuple):
    """How much detail of a batch is recorded.

    Attributes:
        max_rows: Up to this many rows are recorded row by row.
        count_classes: Whether the class counts of a larger batch are needed.
    """

    max_rows: int
    count_classes: bool


def opaque(rows: int, reason: str, task: Task = "opaque") -> Decoded:
    """Return a record without a prediction, with the reason why there is none."""
    return Decoded(task=task, rows=rows, opaque_reason=reason)


def as_matrix(array: Array) -> Array | None:
    """Return the array in shape (rows, columns), or None where a row holds several vectors.

    Integers and booleans become float64: int8 would overflow, booleans cannot be subtracted.
    """
    if array.dtype.kind in "iub":
        array = array.astype(np.float64)
    if array.ndim == 2:
        return array
    if array.ndim == 1:
        return array[:, None]
    if math.prod(array.shape[1:-1]) == 1:
        return array.reshape(array.shape[0], array.shape[-1])
    return None


def opaque_positions(rows: int, array: Array) -> Decoded:
    """Return the record of an output with many predictions a row, such as a segmentation."""
    return opaque(rows, f"output of rank {array.ndim} holds many predictions a row")


def fitting_labels(labels: tuple[str, ...] | None, columns: int) -> tuple[str, ...] | None:
    """Return the labels if there is one for each column; others would give wrong names."""
    return labels if labels is not None and len(labels) == columns else None


class IndexNames:
    """The names of the classes of a model without labels: their indices as text."""

    __slots__ = ("_columns",)

    def __init__(self, columns: int) -> None:
        self._columns = columns

    def __getitem__(self, index: int) -> str:
        return str(index)

    def __len__(self) -> int:
        return self._columns


ClassNames = tuple[str, ...] | IndexNames


def decoded_classes(
    task: Task,
    class_ids: Array,
    confidence: Array | None,
    names: ClassNames,
    detail: BatchDetail,
    total: float,
) -> Decoded:
    """Return the record of a batch in which every row has one class.

    Args:
        task: The task of the record.
        class_ids: Shape (rows,).
        confidence: Shape (rows,), in [0, 1]; None where it is not known.
        names: The name of each class.
        detail: How much is recorded.
        total: The sum of the confidences.
    """
    rows = class_ids.shape[0]
    kept_ids: list[int] = class_ids.tolist() if rows <= detail.max_rows else []
    kept: list[float] = (
        confidence.tolist() if confidence is not None and rows <= detail.max_rows else []
    )
    classes = tuple([names[i] for i in kept_ids])
    return Decoded(
        task=task,
        rows=rows,
        classes=classes,
        class_ids=tuple(kept_ids),
        confidences=tuple(kept),
        confidence_mean=None if confidence is None else total / rows,
        confidence_min=None if confidence is None else float(confidence.min()),
        class_counts=_class_counts(class_ids, names) if detail.count_classes else {},
        confidence_sample=()
        if confidence is None
        else tuple(zip(classes, kept, strict=True))
        if kept or not detail.count_classes
        else _confidence_sample(class_ids, confidence, names),
    )


def decoded_with_bad_rows(
    class_ids: Array,
    confidence: Array | None,
    finite: Array,
    names: ClassNames,
    detail: BatchDetail,
) -> Decoded:
    """Return the summaries of the finite rows, and the reason why no rows are listed."""
    rows = class_ids.shape[0]
    bad = rows - int(np.count_nonzero(finite))
    if bad == rows:
        return opaque(rows, NOT_FINITE, "multiclass")
    finite_confidence = None if confidence is None else confidence[finite]
    total = 0.0 if finite_confidence is None else float(finite_confidence.sum(dtype=np.float64))
    decoded = decoded_classes(
        "multiclass", class_ids[finite], finite_confidence, names, detail, total
    )
    return decoded._replace(
        rows=rows,
        classes=(),
        class_ids=(),
        confidences=(),
        opaque_reason=f"{bad} of {rows} rows are NaN or infinite",
    )


def _class_counts(class_ids: Array, names: ClassNames) -> dict[str, int]:
    if len(names) > _MANY_CLASSES or class_ids.dtype.kind == "u":
        values, occurrences = np.unique(class_ids, return_counts=True)
        pairs = zip(values.tolist(), occurrences.tolist(), strict=True)
        return {names[i]: n for i, n in pairs}
    counts = np.bincount(class_ids).tolist()
    return {names[i]: n for i, n in enumerate(counts) if n}


def _confidence_sample(
    class_ids: Array, confidence: Array, names: ClassNames
) -> tuple[tuple[str, float], ...]:
    """Return class and confidence of evenly spaced rows, to represent a large batch."""
    step = max(1, class_ids.shape[0] // _SAMPLED_ROWS)
    picked = slice(step // 2, step * _SAMPLED_ROWS, step)
    ids, values = class_ids[picked].tolist(), confidence[picked].tolist()
    return tuple([(names[i], value) for i, value in zip(ids, values, strict=True)])
