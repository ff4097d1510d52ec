"""Spans and evaluations become rows: one for each trace, upstream model and evaluation name.

Everything here is an Ibis expression, so that it runs where the data is; only counts come back.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import ibis
import ibis.expr.types as ir

from keras_otel import semconv as names
from keras_otel.analysis import pairs, predictions, sampling, verdicts
from keras_otel.analysis.accounting import Accounting, RowCounts, row_counts
from keras_otel.analysis.answers import joined_answers, slim_answers
from keras_otel.analysis.attributes import attribute, attribute_names, in_maps, own_columns
from keras_otel.analysis.bins import confidence_bin, duration_bin
from keras_otel.analysis.fail_rules import FailRule
from keras_otel.analysis.lineage import lineage_warnings
from keras_otel.analysis.materialise import materialised
from keras_otel.analysis.sources.reading import Telemetry
from keras_otel.analysis.sources.schema import PROMOTED
from keras_otel.errors import SourceError

FEATURES: Final = (
    names.MODEL_VERSION,
    names.PREDICTION_CLASS,
    names.CONFIDENCE_BIN,
    names.BACKEND_NAME,
    names.RUNTIME_NAME,
    names.INFERENCE_COLD,
    names.DURATION_BIN,
)
"""The features that every row has, all of them text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of the data.

    Attributes:
        rules: When an evaluation failed, where it does not say so itself.
        models: Upstream models; all by default.
        evals: Evaluation names; all by default.
        by: Further attributes, of the inference span, the evaluated span or a resource.
        cluster: The attribute whose values are not independent of one another within.
        sample_rate: Share of traces that were kept, in (0, 1], where the tracestate does not say.
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
        features: The columns that are features.
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


def build_rows(telemetry: Telemetry, question: Question) -> Rows:
    """Join predictions and evaluations.

    Raises:
        SourceError: There is no prediction, no evaluation, an evaluation that does not say whether it
            failed, or no such model, evaluation or attribute.
    """
    spans = telemetry.spans
    inferences, counted = predictions.deduplicated(predictions.inferences(spans, telemetry.window))
    evaluations = _wanted_evaluations(telemetry.evaluations, question.evals)
    judged = materialised(verdicts.verdicts(evaluations, question.rules), "verdicts")
    verdicts.require_verdicts(judged)
    asked = _asked(question)
    answered, segments = slim_answers(joined_answers(judged, spans), asked)
    usable = _slim(predictions.usable(inferences), asked)
    models = _models(usable, segments)
    wanted = _wanted_models(models, question.models)
    if question.models:
        usable = usable.filter(usable.model.isin(wanted))
    named = {segment: model for segment, model in models.named.items() if model in wanted}
    thresholds = _thresholds(spans)
    one = pairs.paired(
        usable, answered, _values(judged.name), named, until_ns=telemetry.window.until_ns
    )
    features = (*FEATURES, *(key for key in dict.fromkeys(question.by) if key not in FEATURES))
    marked = materialised(_columns(one, question, features, thresholds), "rows")
    _require_attributes(marked, question, spans)
    rows = marked.filter(marked.left_out.isnull()).drop(
        "left_out", "choices", "tier", "is_answered"
    )
    accounting = Accounting(
        predictions=counted,
        evaluations=verdicts.counts(judged),
        rows=row_counts(marked),
    )
    return Rows(
        table=rows,
        features=features,
        is_weighted=bool(thresholds) or question.sample_rate not in (None, 1.0),
        is_clustered=question.cluster is not None,
        accounting=accounting,
        warnings=(
            *lineage_warnings(usable),
            *_sampling_warnings(thresholds, question, accounting.rows),
        ),
    )


def _asked(question: Question) -> list[str]:
    wanted = [*question.by, *([question.cluster] if question.cluster else [])]
    return [key for key in in_maps(wanted) if key not in FEATURES]


def _slim(usable: ir.Table, asked: Sequence[str]) -> ir.Table:
    """What of a prediction goes into a row or decides whether it does."""
    return usable.select(
        "trace_id",
        "span_id",
        "model",
        "start_ns",
        "end_ns",
        "tracestate",
        "latency_s",
        *PROMOTED,
        **own_columns(usable, asked),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Models:
    """The models there are, and which of them each segment of a key means."""

    predicted: tuple[str, ...]
    named: Mapping[str, str]


def _models(usable: ir.Table, segments: Sequence[str]) -> _Models:
    predicted = _values(usable.model)
    known: dict[str, list[str]] = {}
    for model in predicted:
        known.setdefault(names.key_segment(model), []).append(model)
    named = {
        segment: known[segment][0] if len(known.get(segment, ())) == 1 else segment
        for segment in segments
    }
    if not predicted and not named:
        raise SourceError(
            "no prediction was found: call keras_otel.instrument() in the service, and check that its "
            "spans are in this source and time"
        )
    return _Models(predicted=tuple(predicted), named=named)


def _wanted_models(models: _Models, wanted: Sequence[str]) -> tuple[str, ...]:
    there = sorted({*models.predicted, *models.named.values()})
    _require_known("model", wanted, there)
    return tuple(wanted) or tuple(there)


def _wanted_evaluations(evaluations: ir.Table, wanted: Sequence[str]) -> ir.Table:
    there = _values(evaluations.name)
    if not there:
        raise SourceError(
            "no evaluation was found: call keras_otel.record_evaluation(...) in the service, or name a "
            "file of them with --evals (CSV, JSON lines or Parquet with trace_id, name, passed)"
        )
    _require_known("evaluation", wanted, there)
    return evaluations.filter(evaluations.name.isin(list(wanted))) if wanted else evaluations


def _require_known(what: str, wanted: Iterable[str], there: Sequence[str]) -> None:
    for name in wanted:
        if name not in there:
            raise SourceError(f"no {what} is named {name!r}: there is {nearest_first(name, there)}")


def nearest_first(name: str, there: Iterable[str], most: int = 8) -> str:
    """Names that exist, those most like `name` first."""
    ranked = sorted(
        there, key=lambda each: (-difflib.SequenceMatcher(None, name, each).ratio(), each)
    )
    more = f" and {len(ranked) - most} more" if len(ranked) > most else ""
    return ", ".join(ranked[:most]) + more if ranked else "none"


def _values(column: ir.Column) -> list[str]:
    found = column.as_table().distinct().to_pyarrow().column(0).to_pylist()
    return sorted(value for value in found if value is not None)


def _thresholds(spans: ir.Table) -> list[str]:
    found = _values(sampling.threshold(spans.tracestate).name("threshold"))
    return [threshold for threshold in found if threshold]


def _columns(
    one: ir.Table, question: Question, features: Sequence[str], thresholds: Sequence[str]
) -> ir.Table:
    is_answered = one.eval.notnull()
    left_out = ibis.cases(
        (~is_answered, ibis.null("string")),
        (one.tier == pairs.AFTER, "after"),
        (one.is_ambiguous, "ambiguous"),
        else_=ibis.null("string"),
    )
    asked = {key: _feature(one, key) for key in features}
    return one.select(
        trace_id=one.trace_id,
        model=one.model,
        eval=one.family,
        failed=one.failed,
        error=ibis.coalesce(one.is_error, False),
        explanation=one.explanation,
        count=ibis.literal(1, "int64"),
        weight=_weight(one, question.sample_rate, thresholds),
        cluster=attribute(one, question.cluster) if question.cluster else ibis.null("string"),
        latency_s=one.latency_s,
        confidence=one[names.PREDICTION_CONFIDENCE],
        **asked,
        left_out=left_out,
        choices=one.choices,
        tier=one.tier,
        is_answered=is_answered,
    )


def _weight(one: ir.Table, rate: float | None, thresholds: Sequence[str]) -> ir.Value:
    usual = ibis.literal(1.0 / (rate or 1.0))
    told = [
        sampling.weight(sampling.threshold(one[column]), thresholds)
        for column in ("tracestate", "answer_tracestate")
    ]
    if not thresholds:
        return usual
    # Null where neither says; `greatest` of a null and a number differs between engines.
    first, second = (ibis.coalesce(weight, 0.0) for weight in told)
    larger = ibis.greatest(first, second)
    return ibis.cases((larger > 0, larger), else_=usual)


def _feature(one: ir.Table, key: str) -> ir.Value:
    if key == names.CONFIDENCE_BIN:
        return confidence_bin(one[names.PREDICTION_CONFIDENCE])
    if key == names.DURATION_BIN:
        return duration_bin(one.latency_s)
    return attribute(one, key)


def _require_attributes(marked: ir.Table, question: Question, spans: ir.Table) -> None:
    asked = [key for key in dict.fromkeys(question.by) if key not in FEATURES]
    wanted: dict[str, Any] = {key: marked[key].count() for key in asked}
    if question.cluster:
        wanted["cluster"] = marked.cluster.count()
    if not wanted:
        return
    found = marked.aggregate(**wanted).to_pyarrow().to_pylist()[0]
    for column, present in found.items():
        if not present:
            key = question.cluster if column == "cluster" and question.cluster else column
            raise SourceError(
                f"no prediction or evaluated span has the attribute {key!r}: there is "
                f"{nearest_first(key, attribute_names(spans) | set(FEATURES))}"
            )


def _sampling_warnings(
    thresholds: Sequence[str], question: Question, counts: RowCounts
) -> Iterable[str]:
    if not thresholds and question.sample_rate is None and counts.evaluated:
        yield (
            "no sampling threshold in tracestate: every trace counts once; if traces were sampled, give "
            "their share with --sample-rate"
        )
