"""Match each evaluated answer to the upstream prediction that it used.

For each evaluation name, each model and each trace one prediction is chosen:

1. the one that the evaluated span or the evaluation itself carries (`keras.upstream.<model>.*`): the
   nearest inference span with the same values, else the keys alone;
2. without such keys, the last one that ended before the evaluated span began;
3. without one, those within the evaluated span, if all of them agree;
4. if the evaluated span is unknown, all before the evaluation, if all of them agree.

The other answers are ambiguous, or all predictions came after them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import ibis
import ibis.expr.types as ir

from keras_otel.analysis.rows.upstream_keys import (
    REPEATED,
    has_any,
    upstream_of,
    upstream_of_own_model,
)
from keras_otel.analysis.sources.tables.fetch import fetch_count

NAMED: Final = 0
NEAREST: Final = 1
WITHIN: Final = 2
ANY: Final = 3
KEYS_ONLY: Final = 4
AFTER: Final = 9
"""How a prediction was matched, the best tier first."""

_SAME: Final = 1e-9
_UPSTREAM_COLUMN: Final = "upstream "
_KEYS: Final = ("trace_id", "model")


def match(
    predictions: ir.Table,
    answers: ir.Table,
    eval_names: Sequence[str],
    models: Mapping[str, str],
    *,
    until_ns: int | None = None,
) -> ir.Table:
    """Return one row for each trace, model and evaluation name.

    Args:
        predictions: The usable predictions.
        answers: One row for each trace and evaluation name.
        eval_names: All evaluation names; a trace without an evaluation of a name has a row without a verdict.
        models: The model that each segment of the answers' keys means.
        until_ns: The end of the window: answers from then on carry keys of predictions that do not count.

    Returns:
        The columns of both; `family`, the evaluation's name; `tier`; `choices`, the number of inference
        spans that the prediction was chosen from; `is_ambiguous`.
    """
    by_name = predictions.mutate(family=ibis.array(list(eval_names)).unnest())
    joined = by_name.left_join(
        answers, [by_name.trace_id == answers.answer_trace, by_name.family == answers.eval]
    )
    upstream = upstream_of_own_model(joined, models)
    joined = joined.mutate(**{f"{_UPSTREAM_COLUMN}{key}": value for key, value in upstream.items()})
    ranked = joined.mutate(tier=_tier(joined))
    best = _without_disagreement(_best(ranked, predictions), predictions.columns)
    parts = [best]
    if until_ns is not None:
        at_ns = ibis.coalesce(answers.answer_start_ns, answers.evaluated_ns)
        answers = answers.filter(at_ns.isnull() | (at_ns < until_ns))
    for segment, model in models.items():
        parts.append(_from_keys(answers, predictions, segment, model, best))
    return ibis.union(*parts) if len(parts) > 1 else best


def _upstream(table: ir.Table) -> dict[str, ir.Value]:
    return {attribute: table[f"{_UPSTREAM_COLUMN}{attribute}"] for attribute in REPEATED.values()}


def _tier(joined: ir.Table) -> ir.Value:
    upstream = _upstream(joined)
    has_keys = has_any(upstream)
    agrees = ibis.and_(*(_agrees(joined[key], value) for key, value in upstream.items()))
    is_unknown_span = joined.answer_start_ns.isnull()
    is_before_end = is_unknown_span | (joined.start_ns <= joined.answer_end_ns)
    is_before_evaluation = joined.evaluated_ns.isnull() | (joined.start_ns <= joined.evaluated_ns)
    return ibis.cases(
        (joined.eval.isnull(), ANY),
        (has_keys & agrees & is_before_end, NAMED),
        (has_keys, AFTER),
        (is_unknown_span & is_before_evaluation, ANY),
        (is_unknown_span, AFTER),
        (joined.end_ns <= joined.answer_start_ns, NEAREST),
        (is_before_end, WITHIN),
        else_=AFTER,
    ).cast("int8")


def _agrees(own: Any, upstream: Any) -> ir.BooleanValue:
    same: Any = (own - upstream).abs() <= _SAME if own.type().is_floating() else own == upstream
    agrees: ir.BooleanValue = upstream.isnull() | ibis.coalesce(same, False)
    return agrees


def _best(ranked: ir.Table, predictions: ir.Table) -> ir.Table:
    """Return the best prediction of each group; only groups of several are sorted."""
    several = predictions.group_by("trace_id", "model").aggregate(choices=predictions.count())
    several = several.filter(several.choices > 1)
    if not fetch_count(several):
        return ranked.mutate(choices=ibis.literal(1, "int64"), is_ambiguous=ibis.literal(False))  # noqa: FBT003
    alone = ranked.anti_join(several, ["trace_id", "model"]).mutate(
        choices=ibis.literal(1, "int64"),
        is_ambiguous=ibis.literal(False),  # noqa: FBT003 - a literal
    )
    candidates = ranked.inner_join(several, ["trace_id", "model"])
    candidates = candidates.select(*ranked.columns, "choices")
    group = [candidates.trace_id, candidates.model, candidates.family]
    signature, same_tier = _signature(candidates), ibis.window(group_by=[*group, candidates.tier])
    place = ibis.row_number().over(
        group_by=group,
        order_by=[candidates.tier, candidates.start_ns.desc(), candidates.span_id.desc()],
    )
    differs = signature.min().over(same_tier) != signature.max().over(same_tier)
    marked = candidates.mutate(
        is_ambiguous=candidates.tier.isin((WITHIN, ANY)) & candidates.eval.notnull() & differs,
        place=place,
    )
    return ibis.union(alone, marked.filter(marked.place == 0).drop("place").select(*alone.columns))


def _signature(table: ir.Table) -> ir.StringValue:
    first, *rest = (
        ibis.coalesce(table[attribute].cast("string"), "") for attribute in REPEATED.values()
    )
    signature: ir.StringValue = first
    for part in rest:
        signature = signature.concat("\n", part)
    return signature


def _without_disagreement(best: ir.Table, prediction_columns: Sequence[str]) -> ir.Table:
    """Replace a prediction by that of the keys, where no inference span has the values of the keys."""
    upstream = _upstream(best)
    by_keys = best.eval.notnull() & (best.tier == AFTER) & has_any(upstream)
    columns: dict[str, Any] = {
        name: ibis.cases(
            (by_keys, upstream.get(name, ibis.null(best[name].type()))), else_=best[name]
        )
        for name in prediction_columns
        if name not in _KEYS
    }
    columns["tier"] = ibis.cases((by_keys, ibis.literal(KEYS_ONLY, "int8")), else_=best.tier)
    columns["is_ambiguous"] = best.is_ambiguous & ~by_keys
    return best.mutate(**columns).drop(*(f"{_UPSTREAM_COLUMN}{key}" for key in upstream))


def _from_keys(
    answers: ir.Table, predictions: ir.Table, segment: str, model: str, like: ir.Table
) -> ir.Table:
    """Return answers that carry a model's prediction without an inference span in their trace.

    They have the columns of `like`.
    """
    upstream = upstream_of(answers, segment)
    spans = predictions.filter(predictions.model == model).select("trace_id").distinct()
    values: dict[str, Any] = {
        **{name: answers[name] for name in answers.columns},
        **upstream,
        "trace_id": answers.answer_trace,
        "model": ibis.literal(model),
        "family": answers.eval,
        "tier": ibis.literal(KEYS_ONLY, "int8"),
        "choices": ibis.literal(0, "int64"),
        "is_ambiguous": ibis.literal(False),  # noqa: FBT003 - a literal
    }
    columns = {
        name: values[name].cast(type_) if name in values else ibis.null(type_)
        for name, type_ in like.schema().items()
    }
    named = answers.filter(has_any(upstream)).select(**columns)
    return named.anti_join(spans, "trace_id")
