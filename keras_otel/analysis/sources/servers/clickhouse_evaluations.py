"""What `evaluation_attributes` reads of records, read of whole tables: for engines that hold the spans.

The tables have `trace_id`, `span_id`, `time_ns` and `told`, the map of attributes.
"""

from __future__ import annotations

from typing import Any, Final

import ibis
import ibis.expr.types as ir

from keras_otel import semconv
from keras_otel.analysis.sources.tables.evaluation_attributes import NO_METRICS, NOT_A_NUMBER
from keras_otel.analysis.sources.tables.schema import EVALUATIONS, UPSTREAM

_TYPES: Final = dict(ibis.Schema.from_pyarrow(EVALUATIONS).items())
# ClickHouse has no nullable maps; where there is nothing it is empty.
_MAP: Final = "!map<!string, !string>"
_NUMBERED: Final = rf"^(?:{semconv.TRACE_EVALUATIONS}|{semconv.OPENINFERENCE_EVALUATIONS})\.[0-9]+\.evaluation\.name$"
_FUTURE_AGI: Final = r"^eval\.[^.]+$"
_NAME: Final = "name"


def delivered(table: ir.Table) -> ir.Table:
    """Events and log records `gen_ai.evaluation.result`."""
    return _evaluations(table, _get(table, semconv.FUTUREAGI_TARGET), table.span_id)


def of_attributes(table: ir.Table, links: ir.Table | None) -> ir.Table:
    """The attributes `gen_ai.evaluation.*` of spans."""
    told = _beside_links(table.filter(_get(table, semconv.EVALUATION_NAME).notnull()), links)
    target = _get(told, semconv.FUTUREAGI_TARGET)
    return _evaluations(
        told.mutate(trace_id=ibis.coalesce(told.target_trace, told.trace_id)),
        target,
        ibis.coalesce(told.target_span, told.span_id),
        own=told.target_span.isnull(),
    )


def of_numbered_attributes(table: ir.Table, links: ir.Table | None) -> ir.Table:
    """OpenInference's `evaluations.<i>.evaluation.*` and FutureAGI's `eval.<metric>`."""
    spread = table.mutate(key=table.told.keys().unnest())
    is_numbered = spread.key.re_search(_NUMBERED)
    metric = spread.key.substr(len("eval."))
    is_metric = spread.key.re_search(_FUTURE_AGI) & ~metric.isin([*NO_METRICS])
    told = _beside_links(spread.filter(is_numbered | is_metric), links)
    numbered = told.key.re_search(_NUMBERED)
    prefix = told.key.substr(0, told.key.length() - len(_NAME))
    missing = ibis.null("string")
    score = ibis.cases(
        (numbered, told.told.get(prefix.concat("score"), missing)),
        else_=told.told.get(told.key, missing),
    )
    explanation = ibis.cases(
        (numbered, told.told.get(prefix.concat("explanation"), missing)),
        else_=told.told.get(told.key.concat(".reason"), missing),
    ).nullif("")
    found = told.select(
        trace_id=ibis.coalesce(told.target_trace, told.trace_id),
        span_id=ibis.cases(
            (told.key.startswith(semconv.TRACE_EVALUATIONS), missing),
            else_=ibis.coalesce(
                _get(told, semconv.FUTUREAGI_TARGET), told.target_span, told.span_id
            ),
        ),
        name=ibis.cases(
            (numbered, told.told.get(told.key, missing)), else_=told.key.substr(len("eval."))
        ),
        score=_number(score),
        label=ibis.cases((numbered, told.told.get(prefix.concat("label"), missing))).nullif(""),
        passed=ibis.null("boolean"),
        error=missing,
        time_ns=told.time_ns,
        explanation=explanation,
        upstream=told.told,
        is_numbered=numbered,
        dual=_get(told, semconv.EVALUATION_NAME),
    )
    said_otherwise = ~found.is_numbered & (
        found.score.isnull() | ibis.coalesce(found.dual == found.name, False)
    )
    return _typed(found.filter(~said_otherwise))


def _beside_links(table: ir.Table, links: ir.Table | None) -> ir.Table:
    """Each span beside the span that it evaluates, by its link."""
    if links is None:
        return table.mutate(target_trace=ibis.null("string"), target_span=ibis.null("string"))
    first = links.group_by(link_trace=links.trace_id, link_span=links.span_id).aggregate(
        target_trace=links.target_trace.min(), target_span=links.target_span.min()
    )
    joined = table.left_join(
        first, [table.trace_id == first.link_trace, table.span_id == first.link_span]
    )
    return joined.drop("link_trace", "link_span")


def _evaluations(
    table: ir.Table, target: ir.Value, own_span: ir.Value, own: Any = None
) -> ir.Table:
    label, given = _get(table, semconv.EVALUATION_LABEL), _get(table, semconv.EVALUATION_SCORE)
    word = _get(table, semconv.EVALUATION_PASSED).lower()
    passed = ibis.cases((word == "true", True), (word == "false", False))
    error = _get(table, semconv.ERROR_TYPE)
    only_nan = (given == "NaN") & passed.isnull() & label.isnull()
    error = ibis.cases((only_nan, ibis.coalesce(error, NOT_A_NUMBER)), else_=error)
    score = _number(given)
    if own is not None:
        says_something = score.notnull() | label.notnull() | passed.notnull()
        # The span's own error is the answer's, not the evaluator's.
        is_own = own & target.isnull() & says_something
        error = ibis.cases((is_own, ibis.null("string")), else_=error)
    return _typed(
        table.select(
            trace_id=table.trace_id,
            span_id=ibis.coalesce(target, own_span),
            name=_get(table, semconv.EVALUATION_NAME),
            score=score,
            label=label,
            passed=passed,
            error=error,
            time_ns=table.time_ns,
            explanation=_explanation(table),
            upstream=table.told,
        ).filter(lambda t: t.name.notnull())
    )


def _get(table: ir.Table, key: str) -> ir.Value:
    return table.told.get(key, ibis.null("string")).nullif("")


def _explanation(table: ir.Table) -> ir.Value:
    metric = ibis.literal("eval.").concat(table.told.get(semconv.EVALUATION_NAME, ""), ".reason")
    of_metric = table.told.get(metric, ibis.null("string")).nullif("")
    return ibis.coalesce(_get(table, semconv.EVALUATION_EXPLANATION), of_metric)


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
