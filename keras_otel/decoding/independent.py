"""Reading independent probabilities: binary and multilabel heads."""

from __future__ import annotations

import math
from typing import Any

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
from keras_otel.decoding.heads import Binary, Multilabel, Scale
from keras_otel.records import Decoded


def read_binary(head: Binary, array: Array, detail: BatchDetail, *, verify: bool) -> Decoded:
    """Read class 1 where its probability is over the threshold, else class 0.

    The confidence is the probability of the class that was chosen.
    """
    rows = array.shape[0]
    scores = as_matrix(array)
    if scores is None:
        return opaque_positions(rows, array)
    if scores.shape[1] != 1:
        return opaque(rows, f"binary head with {scores.shape[1]} columns, expected 1")
    if rows == 0:
        return Decoded(task="binary", rows=0)
    if head.scale is Scale.HINGE:
        return _read_signs(head, scores[:, 0], detail)
    probability, reason = _probabilities(scores[:, 0], head.scale, verify=verify)
    if probability is None:
        return opaque(rows, reason, "binary")
    names = fitting_labels(head.labels, 2) or IndexNames(2)
    positive = probability > head.threshold  # as keras.metrics.BinaryAccuracy compares
    confidence = np.where(positive, probability, 1.0 - probability)
    total = float(confidence.sum(dtype=np.float64))
    if not math.isfinite(total):
        finite = np.isfinite(confidence)
        decoded = decoded_with_bad_rows(
            positive.astype(np.int64), confidence, finite, names, detail
        )
        return decoded._replace(task="binary")
    return decoded_classes("binary", positive.astype(np.int64), confidence, names, detail, total)


def _read_signs(head: Binary, scores: Array, detail: BatchDetail) -> Decoded:
    """Read class 1 where the score is over 0, as with hinge losses; there is no probability."""
    names = fitting_labels(head.labels, 2) or IndexNames(2)
    positive = (scores > 0).astype(np.int64)
    finite = np.isfinite(scores)
    if not finite.all():
        return decoded_with_bad_rows(positive, None, finite, names, detail)._replace(task="binary")
    return decoded_classes("binary", positive, None, names, detail, 0.0)


def read_multilabel(head: Multilabel, array: Array, *, verify: bool) -> Decoded:
    """Read every label whose probability is over its threshold."""
    rows = array.shape[0]
    scores = as_matrix(array)
    if scores is None:
        return opaque_positions(rows, array)
    columns = scores.shape[1]
    if len(head.thresholds) not in (1, columns):
        reason = f"{len(head.thresholds)} thresholds for {columns} columns"
        return opaque(rows, reason, "multilabel")
    if rows == 0:
        return Decoded(task="multilabel", rows=0)
    probability, reason = _probabilities(scores, head.scale, verify=verify)
    if probability is None:
        return opaque(rows, reason, "multilabel")
    names = fitting_labels(head.labels, columns) or IndexNames(columns)
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


def _probabilities(scores: Array, scale: Scale, *, verify: bool) -> tuple[Array | None, str]:
    """Return independent probabilities in the scores' shape, or None and the reason."""
    finite = scores[np.isfinite(scores)]
    in_range = bool(((finite >= -1e-6) & (finite <= 1.0 + 1e-6)).all())
    if scale is Scale.LOGIT:
        if verify and in_range:
            return None, "cannot tell a probability from a logit in a wrapped function's output"
        with np.errstate(over="ignore", invalid="ignore"):
            # The sigmoid, as 1/(1+e^-x) for x >= 0 and e^x/(1+e^x) below, so that nothing overflows;
            # with e^-|x| computed once. Infinity gives 0 or 1, its limit; NaN stays NaN.
            exponential = np.exp(-np.abs(scores))
            return np.where(scores >= 0, 1.0, exponential) / (1.0 + exponential), ""
    if not in_range:
        return None, "output is outside [0, 1] and not known to be a logit"
    return np.where(np.isfinite(scores), scores, np.nan), ""
