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
from typing import Any, NamedTuple, assert_never

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

# `np.bincount` takes memory for every class up to the largest id, `np.unique` for those it sees.
_MANY_CLASSES = 65_536

# The dtypes that are read as they are: native bool, integers, float32 and float64.
_PLAIN = "?bBhHiIlLqQfd"

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
        and 1 < shape[1] <= _FEW_COLUMNS
        and array.dtype.char in "fd"
    ):
        decoded = _one_row(array[0].tolist(), head, _tolerance(array), verify=verify)
    else:
        decoded = _decode(head, array, Keep(max_rows, count_classes), verify=verify)
    return decoded if output is None else decoded._replace(output=output)


def _decode(head: Head, array: Array, keep: Keep, *, verify: bool) -> Decoded:
    shape = array.shape
    rows = shape[0] if shape else 1
    if isinstance(head, Opaque):
        return _opaque(rows, head.reason)
    if array.dtype.char not in _PLAIN:
        array = _as_real(array)
    if not shape or array.dtype.kind not in "fiub":
        what = f"is of dtype {array.dtype}" if shape else "has no batch dimension"
        return _opaque(rows, f"output {what}")
    match head:
        case Multiclass():
            return _multiclass(head, array, keep, verify=verify)
        case Undetermined():
            return _undetermined(head, array, keep)
        case Binary():
            return _binary(head, array, keep, verify=verify)
        case Multilabel():
            return _multilabel(head, array, verify=verify)
        case Regression():
            return _regression(array)
        case Embedding():
            return _embedding(array)
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


def _opaque(rows: int, reason: str, task: Task = "opaque") -> Decoded:
    return Decoded(task=task, rows=rows, opaque_reason=reason)


def _as_matrix(array: Array) -> Array | None:
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


def _positions(rows: int, array: Array) -> Decoded:
    return _opaque(rows, f"output of rank {array.ndim} holds many predictions a row")


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


def _undetermined(head: Undetermined, array: Array, keep: Keep) -> Decoded:
    """Classes if every row is non-negative and sums to 1, else opaque: never a guess."""
    scores = _as_matrix(array)
    if scores is not None and scores.shape[0] and scores.shape[1] > 1:
        decoded = _multiclass(Multiclass(labels=head.labels), scores, keep, verify=True)
        if decoded.confidences or decoded.confidence_mean is not None:
            return decoded
        if not decoded.classes and decoded.opaque_reason is not None:
            return decoded._replace(task="opaque")
    return _opaque(array.shape[0], "no head known")


def _multiclass(head: Multiclass, array: Array, keep: Keep, *, verify: bool) -> Decoded:
    rows = array.shape[0]
    if array.ndim == 1 and array.dtype.kind in "iu":
        return _class_ids(head, array, keep)
    scores = _as_matrix(array)
    if scores is None:
        return _positions(rows, array)
    columns = scores.shape[1]
    if columns < 2:
        return _opaque(rows, "one column holds no classes")
    if rows == 0:
        return Decoded(task="multiclass", rows=0)
    if rows == 1 and columns <= _FEW_COLUMNS:
        return _one_row(scores[0].tolist(), head, _tolerance(scores), verify=verify)
    return _many_rows(scores, head, keep, verify=verify)


def _tolerance(array: Array) -> float:
    """How far a sum of probabilities may be from 1 for the rounding of its dtype.

    Halves and bfloat16 arrive here as float32 with their own rounding (2⁻⁸ relative), hence the
    width; rows of unrelated positive numbers are still told apart.
    """
    return 1e-3 if array.dtype.char == "d" else 1e-2


def _one_row(row: list[float], head: Multiclass, tolerance: float, *, verify: bool) -> Decoded:
    total = sum(row)
    ordered = sorted(row)
    top = ordered[-1]
    if total != total or abs(top) == math.inf:  # noqa: PLR0124 - only NaN differs from itself
        return _opaque(1, NOT_FINITE, "multiclass")
    class_id = row.index(top)
    labels = head.labels
    name = labels[class_id] if labels and len(labels) == len(row) else str(class_id)
    is_probability = abs(total - 1.0) <= tolerance and ordered[0] >= -tolerance
    if head.scale is Scale.LOGIT and not (verify and is_probability):
        # softmax of the largest score, shifted by it so that nothing overflows
        denominator = sum([math.exp(score - top) for score in row])
        confidence = 1.0 / denominator
        margin = (1.0 - math.exp(ordered[-2] - top)) / denominator
    elif is_probability:
        confidence = top
        margin = top - ordered[-2]
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


def _many_rows(scores: Array, head: Multiclass, keep: Keep, *, verify: bool) -> Decoded:
    rows, columns = scores.shape
    names = _names(head.labels, columns) or _Ordinals(columns)
    class_ids = scores.argmax(axis=1)
    top = scores.take(class_ids + np.arange(0, scores.size, columns))
    confidence: Array | None
    with np.errstate(invalid="ignore", over="ignore"):
        is_probability = _are_probabilities(scores, top, head.scale, verify=verify)
        if is_probability:
            confidence = top
        elif head.scale is Scale.LOGIT:
            confidence = 1.0 / np.exp(scores - top[:, None]).sum(axis=1)
        else:
            confidence = None
        # One sum tells whether any row is NaN or infinite, and is the mean's numerator.
        known = top if confidence is None else confidence
        total = float(np.add.reduce(known, dtype=np.float64))
    # Finite scores of 1e308 add up to infinity too; those rows are not bad.
    if not math.isfinite(total) and not (finite := np.isfinite(known)).all():
        return _with_bad_rows(class_ids, confidence, finite, names, keep)
    decoded = _classified("multiclass", class_ids, confidence, names, keep, total)
    if rows == 1 and confidence is not None:
        runner_up = np.partition(scores[0], -2)[-2]
        margin = (
            top[0] - runner_up
            if is_probability
            else (1.0 - np.exp(runner_up - top[0])) * confidence[0]
        )
        return decoded._replace(margin=float(margin))
    return decoded


def _are_probabilities(scores: Array, top: Array, scale: Scale, *, verify: bool) -> bool:
    """True if every finite row is non-negative and sums to 1, where the values are to decide."""
    if scale is Scale.LOGIT and not verify:
        return False
    tolerance = _tolerance(scores)
    # numpy is slow along a short last axis: a product with ones adds a row up five times faster.
    sums = scores @ np.ones(scores.shape[1], scores.dtype)
    if (
        sums.max() <= 1.0 + tolerance
        and sums.min() >= 1.0 - tolerance
        and scores.min() >= -tolerance
    ):
        return True
    finite = np.isfinite(top)  # NaN fails each comparison above: look at the other rows alone
    fits = (np.abs(sums - 1.0) <= tolerance) & (scores.min(axis=1) >= -tolerance)
    return bool(finite.any() and fits[finite].all())


def _class_ids(head: Multiclass, ids: Array, keep: Keep) -> Decoded:
    """An output that already holds class indices, of shape (rows,): no confidence is known."""
    if not ids.size:
        return Decoded(task="multiclass", rows=0)
    known = len(head.labels) if head.labels else int(ids.max()) + 1
    if int(ids.min()) < 0 or int(ids.max()) >= known:
        return _opaque(ids.shape[0], f"class ids outside 0 to {known - 1}", "multiclass")
    return _classified("multiclass", ids, None, head.labels or _Ordinals(known), keep, 0.0)


def _with_bad_rows(
    class_ids: Array, confidence: Array | None, finite: Array, names: Names, keep: Keep
) -> Decoded:
    """The summaries of the finite rows, and the reason why rows are not listed."""
    rows = class_ids.shape[0]
    bad = rows - int(np.count_nonzero(finite))
    if bad == rows:
        return _opaque(rows, NOT_FINITE, "multiclass")
    good = None if confidence is None else confidence[finite]
    total = 0.0 if good is None else float(good.sum(dtype=np.float64))
    rest = _classified("multiclass", class_ids[finite], good, names, keep, total)
    return rest._replace(
        rows=rows,
        classes=(),
        class_ids=(),
        confidences=(),
        opaque_reason=f"{bad} of {rows} rows are NaN or infinite",
    )


def _classified(
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


# -- binary ------------------------------------------------------------------------------------


def _binary(head: Binary, array: Array, keep: Keep, *, verify: bool) -> Decoded:
    rows = array.shape[0]
    scores = _as_matrix(array)
    if scores is None:
        return _positions(rows, array)
    if scores.shape[1] != 1:
        return _opaque(rows, f"binary head with {scores.shape[1]} columns, expected 1")
    if rows == 0:
        return Decoded(task="binary", rows=0)
    probability, reason = _probabilities(scores[:, 0], head.scale, verify=verify)
    if probability is None:
        return _opaque(rows, reason, "binary")
    names = _names(head.labels, 2) or _Ordinals(2)
    positive = probability > head.threshold  # as keras.metrics.BinaryAccuracy compares
    confidence = np.where(positive, probability, 1.0 - probability)
    total = float(confidence.sum(dtype=np.float64))
    if not math.isfinite(total):
        finite = np.isfinite(confidence)
        bad = _with_bad_rows(positive.astype(np.int64), confidence, finite, names, keep)
        return bad._replace(task="binary")
    return _classified("binary", positive.astype(np.int64), confidence, names, keep, total)


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
        return _opaque(rows, reason, "multilabel")
    if rows == 0:
        return Decoded(task="multilabel", rows=0)
    probability, reason = _probabilities(scores, head.scale, verify=verify)
    if probability is None:
        return _opaque(rows, reason, "multilabel")
    names = _names(head.labels, columns) or _Ordinals(columns)
    finite: Any = np.isfinite(probability).all(axis=1)
    bad = rows - int(np.count_nonzero(finite))
    with np.errstate(invalid="ignore"):
        # In the output's own dtype, as binary compares: 0.3 in float32 is not over 0.3.
        thresholds = np.asarray(head.thresholds, dtype=probability.dtype)
        over: Array = (probability > thresholds) & finite[:, None]
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
        return _opaque(rows, "one number a row, no embedding")
    vectors = _as_matrix(array)
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
