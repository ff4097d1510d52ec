"""What the heads share: shapes, names, and the record of a batch of classes."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from keras_otel.records import Decoded, Task

Array = npt.NDArray[Any]

NOT_FINITE = "output is NaN or infinite"

# `np.bincount` takes memory for every class up to the largest id, `np.unique` for those it sees.
_MANY_CLASSES = 65_536


# A histogram records one value at a time (about 10 µs each), so a batch beyond `max_rows` is
# represented by this many rows, evenly spaced.
_SAMPLED_ROWS = 1


class Keep(NamedTuple):
    """How much of a batch is wanted.

    Attributes:
        max_rows: Up to this many rows are kept row by row.
        count_classes: Whether anyone wants the class counts of a larger batch.
    """

    max_rows: int
    count_classes: bool


def opaque(rows: int, reason: str, task: Task = "opaque") -> Decoded:
    """A record that says nothing but why."""
    return Decoded(task=task, rows=rows, opaque_reason=reason)


def as_matrix(array: Array) -> Array | None:
    """Shape (rows, columns), or None where a row holds more than one vector.

    Whole numbers become floats: int8 and bool cannot even be subtracted from one another.
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


def many_positions(rows: int, array: Array) -> Decoded:
    """The record of an output such as a segmentation, a class for every pixel."""
    return opaque(rows, f"output of rank {array.ndim} holds many predictions a row")


def names_of(labels: tuple[str, ...] | None, columns: int) -> tuple[str, ...] | None:
    """The labels, if there is one for each column; a list that does not fit would name wrongly."""
    return labels if labels is not None and len(labels) == columns else None


class Ordinals:
    """Class ids as text, for models whose labels nobody told."""

    __slots__ = ("_columns",)

    def __init__(self, columns: int) -> None:
        self._columns = columns

    def __getitem__(self, index: int) -> str:
        return str(index)

    def __len__(self) -> int:
        return self._columns


Names = tuple[str, ...] | Ordinals


def classified(
    task: Task,
    class_ids: Array,
    confidence: Array | None,
    names: Names,
    keep: Keep,
    total: float,
) -> Decoded:
    """The record of a batch whose every row has one class; `total` is the confidences' sum."""
    rows = class_ids.shape[0]
    kept_ids: list[int] = class_ids.tolist() if rows <= keep.max_rows else []
    kept: list[float] = (
        confidence.tolist() if confidence is not None and rows <= keep.max_rows else []
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
        class_counts=_counts(class_ids, names) if keep.count_classes else {},
        confidence_sample=()
        if confidence is None
        else tuple(zip(classes, kept, strict=True))
        if kept or not keep.count_classes
        else _sample(class_ids, confidence, names),
    )


def with_bad_rows(
    class_ids: Array, confidence: Array | None, finite: Array, names: Names, keep: Keep
) -> Decoded:
    """The summaries of the finite rows, and the reason why rows are not listed."""
    rows = class_ids.shape[0]
    bad = rows - int(np.count_nonzero(finite))
    if bad == rows:
        return opaque(rows, NOT_FINITE, "multiclass")
    good = None if confidence is None else confidence[finite]
    total = 0.0 if good is None else float(good.sum(dtype=np.float64))
    rest = classified("multiclass", class_ids[finite], good, names, keep, total)
    return rest._replace(
        rows=rows,
        classes=(),
        class_ids=(),
        confidences=(),
        opaque_reason=f"{bad} of {rows} rows are NaN or infinite",
    )


def _counts(class_ids: Array, names: Names) -> dict[str, int]:
    if len(names) > _MANY_CLASSES or class_ids.dtype.kind == "u":
        values, occurrences = np.unique(class_ids, return_counts=True)
        pairs = zip(values.tolist(), occurrences.tolist(), strict=True)
        return {names[i]: n for i, n in pairs}
    counts = np.bincount(class_ids).tolist()
    return {names[i]: n for i, n in enumerate(counts) if n}


def _sample(class_ids: Array, confidence: Array, names: Names) -> tuple[tuple[str, float], ...]:
    """Evenly spaced rows that stand for a large batch."""
    step = max(1, class_ids.shape[0] // _SAMPLED_ROWS)
    picked = slice(step // 2, step * _SAMPLED_ROWS, step)
    ids, values = class_ids[picked].tolist(), confidence[picked].tolist()
    return tuple([(names[i], value) for i, value in zip(ids, values, strict=True)])
