"""Reading one class of several: softmax, logits, class ids, and outputs of an unknown head."""

from __future__ import annotations

import math

import numpy as np

from keras_otel.decoding.classification import (
    NOT_FINITE,
    Array,
    BatchDetail,
    IndexNames,
    as_matrix,
    decoded_classes,
    decoded_with_bad_rows,
    fitting_labels,
    opaque,
    opaque_positions,
)
from keras_otel.decoding.heads import Multiclass, Scale, Undetermined
from keras_otel.records import Decoded

ALL_ZERO = "all scores are zero"

# A row of zeros is a possible output on these scales; on others it is padding.
_MAY_BE_ZERO = (Scale.LOGIT, Scale.HINGE)

# With more columns than this numpy is faster than a list of floats.
FEW_COLUMNS = 64


def read_undetermined(head: Undetermined, array: Array, detail: BatchDetail) -> Decoded:
    """Read classes if every row is non-negative and sums to 1; otherwise the output is opaque.

    One-hot rows are opaque too, because they may as well be the choice of an expert, slot or
    position; and integers are not probabilities.
    """
    scores = as_matrix(array) if array.ndim == 2 and array.dtype.kind == "f" else None
    if scores is not None and scores.shape[0] and scores.shape[1] > 1:
        if not scores.any(axis=1).all():
            return opaque(array.shape[0], "no head known")
        if ((scores == 0.0) | (scores == 1.0)).all():
            return opaque(array.shape[0], "no head known: rows of a single 1 may be a choice")
        decoded = read_multiclass(Multiclass(labels=head.labels), scores, detail, verify=True)
        if decoded.confidences or decoded.confidence_mean is not None:
            return decoded
        if not decoded.classes and decoded.opaque_reason is not None:
            return decoded._replace(task="opaque")
    return opaque(array.shape[0], "no head known")


def read_multiclass(
    head: Multiclass, array: Array, detail: BatchDetail, *, verify: bool
) -> Decoded:
    """Read the class of the largest score, and its probability where the scores give one."""
    rows = array.shape[0]
    if array.ndim == 1 and array.dtype.kind in "iu":
        return _class_ids(head, array, detail)
    scores = as_matrix(array)
    if scores is None:
        return opaque_positions(rows, array)
    columns = scores.shape[1]
    if columns < 2:
        return opaque(rows, "one column holds no classes")
    if rows == 0:
        return Decoded(task="multiclass", rows=0)
    if rows == 1 and columns <= FEW_COLUMNS:
        return read_one_row(scores[0].tolist(), head, tolerance_of(scores), verify=verify)
    return _many_rows(scores, head, detail, verify=verify)


def tolerance_of(array: Array) -> float:
    """Return how far a sum of probabilities may be from 1, given the rounding of its dtype.

    float16 and bfloat16 arrive here as float32 with their own rounding (2⁻⁸ relative), hence the
    wide tolerance; rows of unrelated positive numbers are still outside of it.
    """
    return 1e-3 if array.dtype.char == "d" else 1e-2


def read_one_row(row: list[float], head: Multiclass, tolerance: float, *, verify: bool) -> Decoded:
    """Read the class of one row of plain floats, in the same way as `read_multiclass`."""
    total = sum(row)
    ordered = sorted(row)
    top = ordered[-1]
    if total != total or abs(top) == math.inf:  # noqa: PLR0124 - only NaN differs from itself
        return opaque(1, NOT_FINITE, "multiclass")
    class_id = row.index(top)
    labels = head.labels
    name = labels[class_id] if labels and len(labels) == len(row) else str(class_id)
    is_probability = abs(total - 1.0) <= tolerance and ordered[0] >= -tolerance
    if top == 0.0 == ordered[0] and (verify or head.scale not in _MAY_BE_ZERO):
        return opaque(1, ALL_ZERO, "multiclass")
    if head.scale is Scale.LOGIT and not (verify and is_probability):
        # softmax of the largest score, shifted by it so that nothing overflows
        denominator = sum([math.exp(score - top) for score in row])
        confidence = 1.0 / denominator
        margin = (1.0 - math.exp(ordered[-2] - top)) / denominator
    elif is_probability and head.scale is not Scale.HINGE:
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


def _many_rows(scores: Array, head: Multiclass, detail: BatchDetail, *, verify: bool) -> Decoded:
    rows, columns = scores.shape
    names = fitting_labels(head.labels, columns) or IndexNames(columns)
    class_ids = scores.argmax(axis=1)
    top = scores.take(class_ids + np.arange(0, scores.size, columns))
    confidence: Array | None
    with np.errstate(invalid="ignore", over="ignore"):
        is_probability = _are_probabilities(scores, top, head.scale, verify=verify)
        if is_probability:
            confidence = top
        elif (verify or head.scale not in _MAY_BE_ZERO) and not scores.any(axis=1).all():
            return _padded(scores, head, detail, verify=verify)
        elif head.scale is Scale.LOGIT:
            confidence = 1.0 / np.exp(scores - top[:, None]).sum(axis=1)
        else:
            confidence = None
        # One sum shows whether any row is NaN or infinite, and is the numerator of the mean.
        known = top if confidence is None else confidence
        total = float(np.add.reduce(known, dtype=np.float64))
    # Finite scores of 1e308 add up to infinity too; those rows are not bad.
    if not math.isfinite(total) and not (finite := np.isfinite(known)).all():
        return decoded_with_bad_rows(class_ids, confidence, finite, names, detail)
    decoded = decoded_classes("multiclass", class_ids, confidence, names, detail, total)
    if rows == 1 and confidence is not None:
        runner_up = np.partition(scores[0], -2)[-2]
        margin = (
            top[0] - runner_up
            if is_probability
            else (1.0 - np.exp(runner_up - top[0])) * confidence[0]
        )
        return decoded._replace(margin=float(margin))
    return decoded


def _padded(scores: Array, head: Multiclass, detail: BatchDetail, *, verify: bool) -> Decoded:
    """Return the summaries of the rows that are not all zero, and the number of those that are."""
    filled: Array = np.asarray(scores.any(axis=1))
    rows, padding = scores.shape[0], scores.shape[0] - int(np.count_nonzero(filled))
    if padding == rows:
        return opaque(rows, ALL_ZERO, "multiclass")
    decoded = _many_rows(scores[filled], head, detail, verify=verify)
    reasons = [f"{padding} of {rows} rows are all zero", decoded.opaque_reason]
    return decoded._replace(
        rows=rows,
        classes=(),
        class_ids=(),
        confidences=(),
        margin=None,
        opaque_reason="; ".join(filter(None, reasons)),
    )


def _are_probabilities(scores: Array, top: Array, scale: Scale, *, verify: bool) -> bool:
    """Return True if every finite row is non-negative and sums to 1, and the scale allows it."""
    if scale is Scale.HINGE or (scale is Scale.LOGIT and not verify):
        return False
    tolerance = tolerance_of(scores)
    # numpy sums slowly along a short last axis: a product with ones is five times faster.
    sums = scores @ np.ones(scores.shape[1], scores.dtype)
    if (
        sums.max() <= 1.0 + tolerance
        and sums.min() >= 1.0 - tolerance
        and scores.min() >= -tolerance
    ):
        return True
    finite = np.isfinite(top)  # NaN fails each comparison above: check the other rows alone
    fits = (np.abs(sums - 1.0) <= tolerance) & (scores.min(axis=1) >= -tolerance)
    return bool(finite.any() and fits[finite].all())


def _class_ids(head: Multiclass, ids: Array, detail: BatchDetail) -> Decoded:
    """Read an output of class indices, of shape (rows,); there is no confidence."""
    if not ids.size:
        return Decoded(task="multiclass", rows=0)
    classes = len(head.labels) if head.labels else int(ids.max()) + 1
    if int(ids.min()) < 0 or int(ids.max()) >= classes:
        return opaque(ids.shape[0], f"class ids outside 0 to {classes - 1}", "multiclass")
    names = head.labels or IndexNames(classes)
    return decoded_classes("multiclass", ids, None, names, detail, 0.0)
