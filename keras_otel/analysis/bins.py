"""Confidence and latency as ranges with fixed edges, so that counts add up over shards and time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import ibis
import ibis.expr.types as ir

from keras_otel import semconv as names


def confidence_bin(confidence: ir.NumericValue) -> ir.Value:
    """The range of each confidence, as `semconv.confidence_bin` names it; null where there is none."""
    edges = names.CONFIDENCE_EDGES
    labels = [names.confidence_bin(low) for low in edges[:-1]]
    return _binned(confidence, edges[1:-1], labels)


def duration_bin(seconds: ir.NumericValue) -> ir.Value:
    """The range of each duration, with the edges of the metric; null where there is none."""
    edges = (0.0, *names.DURATION.boundaries)
    labels = [f"[{low:g},{high:g})" for low, high in pairwise(edges)]
    return _binned(seconds, edges[1:], [*labels, f"[{edges[-1]:g},inf)"])


def _binned(value: ir.NumericValue, edges: Sequence[float], labels: Sequence[str]) -> ir.Value:
    branches = [(value < edge, label) for edge, label in zip(edges, labels, strict=False)]
    return ibis.cases((value.isnull(), ibis.null("string")), *branches, else_=labels[-1])
