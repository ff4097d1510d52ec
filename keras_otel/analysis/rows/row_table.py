"""The rows that slices are made of, and the selection of data that they are built from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import ibis.expr.types as ir

from keras_otel import semconv
from keras_otel.analysis.rows.accounting import Accounting
from keras_otel.analysis.rows.fail_rules import FailRule

FEATURES: Final = (
    semconv.MODEL_VERSION,
    semconv.PREDICTION_CLASS,
    semconv.CONFIDENCE_BIN,
    semconv.BACKEND_NAME,
    semconv.RUNTIME_NAME,
    semconv.INFERENCE_COLD,
    semconv.DURATION_BIN,
)
"""The features that every row has, all of them text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The data to analyse.

    Attributes:
        rules: Rules that mark evaluations without a verdict of their own as failed.
        models: Upstream models; all by default.
        evals: Evaluation names; all by default.
        by: Further attributes, of the inference span, the evaluated span, a resource, or another span of
            the trace; by default those of all spans that may be useful.
        cluster: The attribute whose rows with the same value depend on one another; `auto` for the first of
            the usual attributes whose values repeat.
        sample_rate: Share of traces that were kept, in (0, 1], where the tracestate has no threshold.
    """

    rules: tuple[FailRule, ...] = ()
    models: tuple[str, ...] = ()
    evals: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    cluster: str | None = None
    sample_rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rows, and what became of everything that was read.

    Attributes:
        table: `trace_id`, `model`, `eval`, `failed` (null if not evaluated or in error), `error`,
            `explanation` (of what failed), `count` (how many rows a row stands for), `weight`, `cluster`, `latency_s` (s), `confidence`, and one text column for each feature.
            A trace with a prediction and no evaluation of that name has a row with neither.
        features: The names of the features; `feature_columns.column_of` gives the column of each.
        requested: Those of them that the user named.
        is_weighted: True if some weight is not 1.
        is_clustered: True if rows with the same `cluster` depend on one another.
        accounting: Counts that add up; None for ready rows.
        warnings: One clear sentence each.
    """

    table: ir.Table
    features: tuple[str, ...]
    is_weighted: bool
    is_clustered: bool
    accounting: Accounting | None
    warnings: tuple[str, ...]
    requested: tuple[str, ...] = ()
