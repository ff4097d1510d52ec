"""Bin confidence and latency by fixed edges, so that counts add up over shards and time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import ibis
import ibis.expr.types as ir

from keras_otel import semconv

_DURATION_EDGES: Final = (0.0, *semconv.DURATION.boundaries)

CONFIDENCE_BINS: Final = tuple(semconv.confidence_bin(low) for low in semconv.CONFIDENCE_EDGES[:-1])
"""Every range of a confidence, in order."""

DURATION_BINS: Final = (
    *(f"[{low:g},{high:g})" for low, high in pairwise(_DURATION_EDGES)),
    f"[{_DURATION_EDGES[-1]:g},inf)",
)
"""Every range of a duration in seconds, in order."""


CONFIDENCE_BOUNDS: Final = tuple(pairwise(semconv.CONFIDENCE_EDGES))
"""Lower and upper end of each range of a confidence."""

DURATION_BOUNDS: Final[tuple[tuple[float, float | None], ...]] = (
    *pairwise(_DURATION_EDGES),
    (_DURATION_EDGES[-1], None),
)
"""Lower and upper end of each range of a duration; the last has no upper end."""


def confidence_bin(confidence: ir.NumericValue) -> ir.Value:
    """Return the range of each confidence, as `semconv.confidence_bin` names it; null where there is none."""
    return _binned(confidence, semconv.CONFIDENCE_EDGES[1:-1], CONFIDENCE_BINS)


def duration_bin(seconds: ir.NumericValue) -> ir.Value:
    """Return the range of each duration, with the edges of the metric; null where there is none."""
    return _binned(seconds, _DURATION_EDGES[1:], DURATION_BINS)


def _binned(value: ir.NumericValue, edges: Sequence[float], labels: Sequence[str]) -> ir.Value:
    branches = [(value < edge, label) for edge, label in zip(edges, labels, strict=False)]
    return ibis.cases((value.isnull(), ibis.null("string")), *branches, else_=labels[-1])
