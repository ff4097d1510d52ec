"""Apply the rules of `tables.evaluation_attributes` to whole tables, in the engine that holds the spans.

That module reads the same evaluations from single records; a rule is changed in both, and
`tests/analysis/sources/test_evaluation_rules.py` compares them. The tables here have the columns `trace_id`,
`span_id`, `time_ns` and `attributes`, a map.
"""

from __future__ import annotations

from typing import Any, Final

import ibis
import ibis.expr.types as ir

from keras_otel import semconv
from keras_otel.analysis.sources.tables.evaluation_attributes import NO_METRICS, NOT_A_NUMBER
from keras_otel.analysis.sources.tables.schema import EVALUATIONS, UPSTREAM

_TYPES: Final = dict(ibis.Schema.from_pyarrow(EVALUATIONS).items())
# ClickHouse has no nullable maps: an evaluation without upstream predictions has an empty one.
_MAP: Final = "!map<!string, !string>"
_NUMBERED: Final = rf"^(?:{semconv.TRACE_EVALUATIONS}|{semconv.OPENINFERENCE_EVALUATIONS})\.[0-9]+\.evaluation\.name$"
_FUTURE_AGI: Final = r"^eval\.[^.]+$"
_METRIC_PREFIX: Final = "eval."
_NAME: Final = "name"


def evaluations_of_events(events: ir.Table) -> ir.Table:
    """Return the evaluations of events and log records `gen_ai.evaluation.result`."""
    target = _attribute(events, semconv.FUTUREAGI_TARGET)
    return _evaluations(events, target=target, own_span=events.span_id)


def evaluations_in_attributes(spans: ir.Table, links: ir.Table | None) -> ir.Table:
    """Return the evaluations in the attributes `gen_ai.evaluation.*` of spans."""
    spans = spans.filter(_attribute(spans, semconv.EVALUATION_NAME).notnull())
    spans = _with_link_targets(spans, links)
    return _evaluations(
        spans.mutate(trace_id=_evaluated_trace(spans)),
        target=_attribute(spans, semconv.FUTUREAGI_TARGET),
        own_span=ibis.coalesce(spans.target_span, spans.span_id),
        is_unlinked=spans.target_span.isnull(),
    )


def evaluations_in_numbered_attributes(spans: ir.Table, links: ir.Table | None) -> ir.Table:
    """Return the evaluations in OpenInference's `evaluations.<i>.evaluation.*` and FutureAGI's `eval.<metric>`."""
    by_key = spans.mutate(key=spans.attributes.keys().unnest())
    metric = by_key.key.substr(len(_METRIC_PREFIX))
    is_metric = by_key.key.re_search(_FUTURE_AGI) & ~metric.isin([*NO_METRICS])
    spans = _with_link_targets(by_key.filter(by_key.key.re_search(_NUMBERED) | is_metric), links)
    missing = ibis.null("string")
    value = spans.attributes.get(spans.key, missing)
    is_numbered = spans.key.re_search(_NUMBERED)
    prefix = spans.key.substr(0, spans.key.length() - len(_NAME))

    def beside(field: str) -> ir.Value:
        return spans.attributes.get(prefix.concat(field), missing)

    reason = spans.attributes.get(spans.key.concat(".reason"), missing)
    target = ibis.coalesce(
        _attribute(spans, semconv.FUTUREAGI_TARGET), spans.target_span, spans.span_id
    )
    is_about_trace = spans.key.startswith(semconv.TRACE_EVALUATIONS)
    evaluations = spans.select(
        trace_id=_evaluated_trace(spans),
        span_id=ibis.cases((is_about_trace, missing), else_=target),
        name=ibis.cases((is_numbered, value), else_=spans.key.substr(len(_METRIC_PREFIX))),
        score=_number(ibis.cases((is_numbered, beside("score")), else_=value)),
        label=ibis.cases((is_numbered, beside("label"))).nullif(""),
        passed=ibis.null("boolean"),
        error=missing,
        time_ns=spans.time_ns,
        explanation=ibis.cases((is_numbered, beside("explanation")), else_=reason).nullif(""),
        upstream=spans.attributes,
        is_numbered=is_numbered,
        genai_name=_attribute(spans, semconv.EVALUATION_NAME),
    )
    # FutureAGI also writes `eval.*` attributes that are no scores, and the evaluation of `gen_ai.evaluation.*` again.
    is_repeated = ibis.coalesce(evaluations.genai_name == evaluations.name, False)
    is_evaluation = evaluations.is_numbered | (evaluations.score.notnull() & ~is_repeated)
    return _typed(evaluations.filter(is_evaluation))


def _with_link_targets(spans: ir.Table, links: ir.Table | None) -> ir.Table:
    """Add the ids of the trace and span that each span evaluates by its link; null where it has none."""
    if links is None:
        return spans.mutate(target_trace=ibis.null("string"), target_span=ibis.null("string"))
    first = links.group_by(link_trace=links.trace_id, link_span=links.span_id).aggregate(
        target_trace=links.target_trace.min(), target_span=links.target_span.min()
    )
    joined = spans.left_join(
        first, [spans.trace_id == first.link_trace, spans.span_id == first.link_span]
    )
    return joined.drop("link_trace", "link_span")


def _evaluated_trace(spans: ir.Table) -> ir.Value:
    """Return the trace of the evaluated span: that of the link, unless an attribute names the span."""
    is_named = _attribute(spans, semconv.FUTUREAGI_TARGET).notnull()
    return ibis.cases(
        (is_named, spans.trace_id), else_=ibis.coalesce(spans.target_trace, spans.trace_id)
    )


def _evaluations(
    table: ir.Table, *, target: ir.Value, own_span: ir.Value, is_unlinked: Any = None
) -> ir.Table:
    """Read the attributes `gen_ai.evaluation.*`.

    Args:
        table: Spans, events or log records.
        target: The id of the evaluated span in the attributes; null where there is none.
        own_span: The id of the evaluated span where `target` is null.
        is_unlinked: For spans, whether no link leads to another span; None for events and log records.
    """
    label = _attribute(table, semconv.EVALUATION_LABEL)
    score_text = _attribute(table, semconv.EVALUATION_SCORE)
    passed_text = _attribute(table, semconv.EVALUATION_PASSED).lower()
    passed = ibis.cases((passed_text == "true", True), (passed_text == "false", False))
    error = _attribute(table, semconv.ERROR_TYPE)
    is_only_nan = (score_text == "NaN") & passed.isnull() & label.isnull()
    error = ibis.cases((is_only_nan, ibis.coalesce(error, NOT_A_NUMBER)), else_=error)
    score = _number(score_text)
    if is_unlinked is not None:
        has_verdict = score.notnull() | label.notnull() | passed.notnull()
        # The span's own error is the answer's, not the evaluator's.
        is_error_of_answer = is_unlinked & target.isnull() & has_verdict
        error = ibis.cases((is_error_of_answer, ibis.null("string")), else_=error)
    evaluations = table.select(
        trace_id=table.trace_id,
        span_id=ibis.coalesce(target, own_span),
        name=_attribute(table, semconv.EVALUATION_NAME),
        score=score,
        label=label,
        passed=passed,
        error=error,
        time_ns=table.time_ns,
        explanation=_explanation(table),
        upstream=table.attributes,
    )
    return _typed(evaluations.filter(evaluations.name.notnull()))


def _attribute(table: ir.Table, key: str) -> ir.Value:
    return table.attributes.get(key, ibis.null("string")).nullif("")


def _explanation(table: ir.Table) -> ir.Value:
    name = table.attributes.get(semconv.EVALUATION_NAME, "")
    key = ibis.literal(_METRIC_PREFIX).concat(name, ".reason")
    reason = table.attributes.get(key, ibis.null("string")).nullif("")
    return ibis.coalesce(_attribute(table, semconv.EVALUATION_EXPLANATION), reason)


def _number(text: ir.Value) -> ir.Value:
    number = text.try_cast("float64")
    return ibis.cases((number.isnan(), None), else_=number)


def _typed(table: ir.Table) -> ir.Table:
    return table.select(
        **{
            name: table[name].cast(_MAP if name == UPSTREAM else type_.copy(nullable=True))
            for name, type_ in _TYPES.items()
        }
    )
