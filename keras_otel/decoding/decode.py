"""Decode one output: an array and its head in, a `Decoded` record out.

Decisions:

* A class is named only where the head is known; the largest score is the class whatever its
  scale, but a confidence needs a probability.
* A row with NaN or infinity names no class. In a batch such rows leave the arrays out and the
  reason says how many there were; the summaries cover the rest.
* One row of few columns, the case of an online service, is read with plain floats: for ten
  columns that is several times faster than numpy's dispatch. Everything else is vectorised.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from keras_otel.decoding.heads import (
    Binary,
    Embedding,
    Head,
    Multiclass,
    Multilabel,
    Opaque,
    Regression,
    Scale,
    Undetermined,
)
from keras_otel.records import Decoded, Task

Array = npt.NDArray[Any]

NOT_FINITE = "output is NaN or infinite"

# Beyond this many columns numpy is faster than a list of floats.
_FEW_COLUMNS = 64

# A histogram records one value at a time (about 10 µs each), so a batch beyond `max_rows` is
# represented by this many evenly spaced rows.
_SAMPLED_ROWS = 2


def decode(
    head: Head,
    array: Array,
    *,
    max_rows: int = 32,
    verify: bool = False,
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
        output: Name of the output, where the model has several.

    Returns:
        The record; of task `opaque`, or with an `opaque_reason`, where something cannot be read.
    """
    rows = array.shape[0] if array.ndim else 1
    if isinstance(head, Opaque):
        return Decoded(task="opaque", rows=rows, output=output, opaque_reason=head.reason)
    if array.dtype.kind not in "fiub":
        array = _as_real(array)
    if array.ndim == 0 or array.dtype.kind not in "fiub":
        what = "has no batch dimension" if array.ndim == 0 else f"is of dtype {array.dtype}"
        return _opaque(rows, output, f"output {what}")
    if array.dtype == np.float16:
        array = array.astype(np.float32)  # so that sums and norms do not overflow or round
    match head:
        case Multiclass() | Undetermined():
            decoded = _multiclass(head, array, max_rows, verify=verify)
        case Binary():
            decoded = _binary(head, array, max_rows, verify=verify)
        case Multilabel():
            decoded = _multilabel(head, array, verify=verify)
        case Regression():
            decoded = _regression(array)
        case Embedding():
            decoded = _embedding(array)
        case _:
            assert_never(head)
    return decoded if output is None else replace(decoded, output=output)


def _as_real(array: Array) -> Array:
    """float32 for the extension floats of ml_dtypes (kind `V`); anything else as it was."""
    try:
        return array.astype(np.float32) if array.dtype.kind == "V" else array
    except (TypeError, ValueError):
        return array


def _opaque(rows: int, output: str | None, reason: str) -> Decoded:
    return Decoded(task="opaque", rows=rows, output=output, opaque_reason=reason)


def _as_matrix(array: Array) -> Array | None:
    """Shape (rows, columns), or None where a row holds more than one vector."""
    if array.ndim == 2:
        return array
    if array.ndim == 1:
        return array[:, None]
    if math.prod(array.shape[1:-1]) == 1:
        return array.reshape(array.shape[0], array.shape[-1])
    return None


def _positions(rows: int, array: Array) -> Decoded:
    return _opaque(rows, None, f"output of rank {array.ndim} holds many predictions a row")


def _names(labels: tuple[str, ...] | None, columns: int) -> tuple[str, ...] | None:
    """The labels, if there is one for each column; a list that does not fit would name wrongly."""
    return labels if labels is not None and len(labels) == columns else None


class _Ordinals:
    """Class ids as text, for models whose labels nobody told."""

    __slots__ = ("_columns",)

    def __init__(self, columns: int) -> None:
        self._columns = columns

    def __getitem__(self, index: int) -> str:
        return str(index)

    def __len__(self) -> int:
        return self._columns


Names = tuple[str, ...] | _Ordinals


# -- multiclass --------------------------------------------------------------------------------


def _multiclass(
    head: Multiclass | Undetermined, array: Array, max_rows: int, *, verify: bool
) -> Decoded:
    task: Task = "opaque" if isinstance(head, Undetermined) else "multiclass"
    rows = array.shape[0]
    if array.ndim == 1:
        if task == "multiclass" and array.dtype.kind in "iu":
            return _class_ids(head, array, max_rows)
        return _opaque(
            rows, None, "no head known" if task == "opaque" else "one column, no classes"
        )
    scores = _as_matrix(array)
    if scores is None:
        return _positions(rows, array)
    columns = scores.shape[1]
    if columns < 2:
        return _opaque(
            rows, None, "no head known" if task == "opaque" else "one column, no classes"
        )
    if rows == 0:
        return Decoded(
            task=task, rows=0, opaque_reason="no head known" if task == "opaque" else None
        )
    scale = Scale.UNKNOWN if isinstance(head, Undetermined) else head.scale
    labels = _names(head.labels, columns)
    if rows == 1 and columns <= _FEW_COLUMNS:
        decoded = _one_row(scores[0].tolist(), scale, labels, _tolerance(scores), verify=verify)
    else:
        decoded = _many_rows(scores, scale, labels, max_rows, verify=verify)
    if task == "opaque" and not decoded.confidences and decoded.confidence_mean is None:
        return _opaque(rows, None, decoded.opaque_reason or "no head known")
    return decoded


def _tolerance(array: Array) -> float:
    """How far a sum of probabilities may be from 1 for the rounding of its dtype.

    Halves and bfloat16 arrive here as float32 with their own rounding (2⁻⁸ relative), hence the
    width; rows of unrelated positive numbers are still told apart.
    """
    return 1e-3 if array.dtype == np.float64 else 1e-2


def _one_row(
    row: list[float],
    scale: Scale,
    labels: tuple[str, ...] | None,
    tolerance: float,
    *,
    verify: bool,
) -> Decoded:
    total = sum(row)
    if total != total or total == math.inf:  # noqa: PLR0124 - NaN is not equal to itself
        return Decoded(task="multiclass", rows=1, opaque_reason=NOT_FINITE)
    top = max(row)
    if top == -math.inf:
        return Decoded(task="multiclass", rows=1, opaque_reason=NOT_FINITE)
    class_id = row.index(top)
    second = max(
        max(row[:class_id], default=-math.inf), max(row[class_id + 1 :], default=-math.inf)
    )
    is_probability = abs(total - 1.0) <= tolerance and min(row) >= -tolerance
    name = labels[class_id] if labels else str(class_id)
    if scale is Scale.LOGIT and not (verify and is_probability):
        # softmax of the largest score, shifted by it so that nothing overflows
        denominator = sum([math.exp(score - top) for score in row])
        confidence = 1.0 / denominator
        margin = (1.0 - math.exp(second - top)) / denominator
    elif is_probability:
        confidence, margin = top, top - second
    else:
        return Decoded(
            task="multiclass",
            rows=1,
            classes=(name,),
            class_ids=(class_id,),
            class_counts={name: 1},
        )
    return Decoded(
        task="multiclass",
        rows=1,
        classes=(name,),
        class_ids=(class_id,),
        confidences=(confidence,),
        margin=margin,
        class_counts={name: 1},
        confidence_sample=((name, confidence),),
    )


def _many_rows(
    scores: Array,
    scale: Scale,
    labels: tuple[str, ...] | None,
    max_rows: int,
    *,
    verify: bool,
) -> Decoded:
    rows, columns = scores.shape
    class_ids = scores.argmax(axis=1)
    top = scores.max(axis=1)
    confidence: Array | None
    with np.errstate(invalid="ignore", over="ignore"):
        is_probability = (scale is Scale.PROBABILITY and not verify) or _are_probabilities(
            scores, top, scale, verify=verify
        )
        if is_probability:
            confidence = top
            finite = np.isfinite(top)
        elif scale is Scale.LOGIT:
            confidence = 1.0 / np.exp(scores - top[:, None]).sum(axis=1)
            finite = np.isfinite(confidence)
        else:
            confidence = None
            finite = np.isfinite(top)
    decoded = _classified(
        "multiclass", class_ids, confidence, finite, labels or _Ordinals(columns), max_rows
    )
    if rows == 1 and confidence is not None and decoded.confidences:
        runner_up = np.partition(scores[0], -2)[-2]
        margin = (
            top[0] - runner_up
            if is_probability
            else (1.0 - np.exp(runner_up - top[0])) * confidence[0]
        )
        return replace(decoded, margin=float(margin))
    return decoded


def _are_probabilities(scores: Array, top: Array, scale: Scale, *, verify: bool) -> bool:
    """True if every finite row is non-negative and sums to 1, where the values are to decide."""
    if scale is Scale.LOGIT and not verify:
        return False
    tolerance = _tolerance(scores)
    finite = np.isfinite(top)
    fits = (np.abs(scores.sum(axis=1) - 1.0) <= tolerance) & (scores.min(axis=1) >= -tolerance)
    return bool(finite.any() and fits[finite].all())


def _class_ids(head: Multiclass | Undetermined, ids: Array, max_rows: int) -> Decoded:
    """An output that already holds class indices, of shape (rows,): no confidence is known."""
    known = len(head.labels) if head.labels else int(ids.max(initial=0)) + 1
    fits = (ids >= 0) & (ids < known)
    return _classified("multiclass", ids, None, fits, head.labels or _Ordinals(known), max_rows)


def _classified(
    task: Task,
    class_ids: Array,
    confidence: Array | None,
    finite: Array,
    names: Names,
    max_rows: int,
) -> Decoded:
    """The record of a batch whose every row has one class."""
    rows = class_ids.shape[0]
    if not finite.all():
        bad = rows - int(np.count_nonzero(finite))
        if bad == rows:
            return Decoded(task=task, rows=rows, opaque_reason=NOT_FINITE)
        rest = _classified(
            task,
            class_ids[finite],
            None if confidence is None else confidence[finite],
            finite[finite],
            names,
            max_rows,
        )
        return replace(
            rest,
            rows=rows,
            classes=(),
            class_ids=(),
            confidences=(),
            opaque_reason=f"{bad} of {rows} rows are NaN or infinite",
        )
    kept_ids = class_ids.tolist() if rows <= max_rows else []
    kept = confidence.tolist() if confidence is not None and rows <= max_rows else []
    classes = tuple([names[i] for i in kept_ids])
    counts = np.bincount(class_ids, minlength=1)
    present = np.flatnonzero(counts)
    return Decoded(
        task=task,
        rows=rows,
        classes=classes,
        class_ids=tuple(kept_ids),
        confidences=tuple(kept),
        confidence_mean=float(confidence.mean(dtype=np.float64))
        if confidence is not None
        else None,
        confidence_min=float(confidence.min()) if confidence is not None else None,
        class_counts={
            names[i]: n for i, n in zip(present.tolist(), counts[present].tolist(), strict=True)
        },
        confidence_sample=_sample(classes, kept, class_ids, confidence, names),
    )


def _sample(
    classes: tuple[str, ...],
    kept: list[float],
    class_ids: Array,
    confidence: Array | None,
    names: Names,
) -> tuple[tuple[str, float], ...]:
    if confidence is None:
        return ()
    if kept:
        return tuple(zip(classes, kept, strict=True))
    step = max(1, class_ids.shape[0] // _SAMPLED_ROWS)
    picked = slice(step // 2, None, step)
    ids, values = class_ids[picked].tolist(), confidence[picked].tolist()
    return tuple([(names[i], value) for i, value in zip(ids, values, strict=True)][:_SAMPLED_ROWS])


# -- binary ------------------------------------------------------------------------------------


def _binary(head: Binary, array: Array, max_rows: int, *, verify: bool) -> Decoded:
    rows = array.shape[0]
    scores = _as_matrix(array)
    if scores is None:
        return _positions(rows, array)
    if scores.shape[1] != 1:
        return _opaque(rows, None, f"binary head with {scores.shape[1]} columns, expected 1")
    if rows == 0:
        return Decoded(task="binary", rows=0)
    column = scores[:, 0]
    probability, reason = _probabilities(column, head.scale, verify=verify)
    if probability is None:
        return replace(_opaque(rows, None, reason), task="binary")
    positive = probability > head.threshold  # as keras.metrics.BinaryAccuracy compares
    confidence = np.where(positive, probability, 1.0 - probability)
    return _classified(
        "binary",
        positive.astype(np.int64),
        confidence,
        np.isfinite(probability),
        _names(head.labels, 2) or _Ordinals(2),
        max_rows,
    )


def _probabilities(scores: Array, scale: Scale, *, verify: bool) -> tuple[Array | None, str]:
    """Independent probabilities of any shape, or None and the reason."""
    finite = scores[np.isfinite(scores)]
    in_range = bool(((finite >= -1e-6) & (finite <= 1.0 + 1e-6)).all())
    if scale is Scale.LOGIT:
        if verify and in_range:
            return None, "cannot tell a probability from a logit in a wrapped function's output"
        with np.errstate(over="ignore", invalid="ignore"):
            # 1/(1+e^-x) for x >= 0 and e^x/(1+e^x) below, so that nothing overflows; written once
            # with |x|. Infinity saturates to 0 or 1 as in the limit, NaN stays NaN.
            small = np.exp(-np.abs(scores))
            return np.where(scores >= 0, 1.0, small) / (1.0 + small), ""
    if not in_range:
        return None, "output is outside [0, 1] and not known to be a logit"
    return np.where(np.isfinite(scores), scores, np.nan), ""


# -- multilabel, regression, embedding ---------------------------------------------------------


def _multilabel(head: Multilabel, array: Array, *, verify: bool) -> Decoded:
    rows = array.shape[0]
    scores = _as_matrix(array)
    if scores is None:
        return _positions(rows, array)
    columns = scores.shape[1]
    if len(head.thresholds) not in (1, columns):
        reason = f"{len(head.thresholds)} thresholds for {columns} columns"
        return replace(_opaque(rows, None, reason), task="multilabel")
    if rows == 0:
        return Decoded(task="multilabel", rows=0)
    probability, reason = _probabilities(scores, head.scale, verify=verify)
    if probability is None:
        return replace(_opaque(rows, None, reason), task="multilabel")
    names = _names(head.labels, columns) or _Ordinals(columns)
    finite: Array = np.isfinite(probability).all(axis=1)
    bad = rows - int(np.count_nonzero(finite))
    with np.errstate(invalid="ignore"):
        over: Array = (probability > np.asarray(head.thresholds)) & finite[:, None]
    counts = over.sum(axis=0).tolist()
    if bad:
        reason = NOT_FINITE if bad == rows else f"{bad} of {rows} rows are NaN or infinite"
    return Decoded(
        task="multilabel",
        rows=rows,
        labels=tuple([names[i] for i in np.flatnonzero(over[0]).tolist()])
        if rows == 1 and not bad
        else None,
        class_counts={names[i]: n for i, n in enumerate(counts) if n},
        opaque_reason=reason or None,
    )


def _regression(array: Array) -> Decoded:
    rows = array.shape[0]
    values = _as_matrix(array)
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


def _embedding(array: Array) -> Decoded:
    rows = array.shape[0]
    if array.ndim < 2:
        return _opaque(rows, None, "one number a row, no embedding")
    vectors = _as_matrix(array)
    norm = reason = None
    if rows == 1 and vectors is not None:
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
