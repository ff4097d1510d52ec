"""Which prediction stands behind each evaluated answer.

For each evaluation name, each model and each trace one prediction is chosen:

1. the one that the evaluated span or the evaluation itself names (`keras.upstream.<model>.*`): the
   nearest inference span that says the same, else the keys alone;
2. without such keys, the last one that ended before the evaluated span began;
3. without one, those within the evaluated span, if all of them say the same;
4. if the evaluated span is not known, all before the evaluation, if all of them say the same.

What is left is ambiguous, or came after the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import ibis
import ibis.expr.types as ir

from keras_otel.analysis.rows.upstream_keys import STAMPED, is_said, said_of, said_of_own_model

NAMED: Final = 0
NEAREST: Final = 1
WITHIN: Final = 2
ANY: Final = 3
KEYS_ONLY: Final = 4
AFTER: Final = 9
"""The tiers, the best first."""

_SAME: Final = 1e-9
_SAYS: Final = "said "
_KEYS: Final = ("trace_id", "model")


def paired(
    predictions: ir.Table,
    answers: ir.Table,
    eval_names: Sequence[str],
    models: Mapping[str, str],
    *,
    until_ns: int | None = None,
) -> ir.Table:
    """One row for each trace, model and evaluation name.

    Args:
        predictions: The usable ones.
        answers: One for each trace and evaluation name.
        eval_names: All of them; a trace without an evaluation of a name has a row without a verdict.
        models: Each segment that the answers' keys speak of, and the model that it means.
        until_ns: Keys of answers from then on speak of predictions that do not count.

    Returns:
        The columns of both; `family`, the evaluation's name; `tier`; `choices`, the number of inference
        spans it was chosen from; `is_ambiguous`.
    """
    spread = predictions.mutate(family=ibis.array(list(eval_names)).unnest())
    joined = spread.left_join(
        answers, [spread.trace_id == answers.answer_trace, spread.family == answers.eval]
    )
    said = said_of_own_model(joined, models)
    joined = joined.mutate(**{f"{_SAYS}{key}": value for key, value in said.items()})
    ranked = joined.mutate(tier=_tier(joined))
    best = _corrected(_best(ranked, predictions), predictions.columns)
    parts = [best]
    if until_ns is not None:
        at_ns = ibis.coalesce(answers.answer_start_ns, answers.evaluated_ns)
        answers = answers.filter(at_ns.isnull() | (at_ns < until_ns))
    for segment, model in models.items():
        parts.append(_from_keys(answers, predictions, segment, model, best))
    return ibis.union(*parts) if len(parts) > 1 else best


def _said(table: ir.Table) -> dict[str, ir.Value]:
    return {attribute: table[f"{_SAYS}{attribute}"] for attribute in STAMPED.values()}


def _tier(joined: ir.Table) -> ir.Value:
    said = _said(joined)
    has_stamp = is_said(said)
    agrees = ibis.and_(*(_agrees(joined[key], value) for key, value in said.items()))
    no_span, start = joined.answer_start_ns.isnull(), joined.answer_start_ns
    is_before_end = no_span | (joined.start_ns <= joined.answer_end_ns)
    is_before_evaluation = joined.evaluated_ns.isnull() | (joined.start_ns <= joined.evaluated_ns)
    return ibis.cases(
        (joined.eval.isnull(), ANY),
        (has_stamp & agrees & is_before_end, NAMED),
        (has_stamp, AFTER),
        (no_span & is_before_evaluation, ANY),
        (no_span, AFTER),
        (joined.end_ns <= start, NEAREST),
        (is_before_end, WITHIN),
        else_=AFTER,
    ).cast("int8")


def _agrees(own: Any, stamped: Any) -> ir.BooleanValue:
    same: Any = (own - stamped).abs() <= _SAME if own.type().is_floating() else own == stamped
    agrees: ir.BooleanValue = stamped.isnull() | ibis.coalesce(same, False)
    return agrees


def _best(ranked: ir.Table, predictions: ir.Table) -> ir.Table:
    """The best candidate of each group; only groups of several are sorted."""
    several = predictions.group_by("trace_id", "model").aggregate(choices=predictions.count())
    several = several.filter(several.choices > 1)
    if not several.count().to_pyarrow().as_py():
        return ranked.mutate(choices=ibis.literal(1, "int64"), is_ambiguous=ibis.literal(False))  # noqa: FBT003
    alone = ranked.anti_join(several, ["trace_id", "model"]).mutate(
        choices=ibis.literal(1, "int64"),
        is_ambiguous=ibis.literal(False),  # noqa: FBT003 - a literal
    )
    among = ranked.inner_join(several, ["trace_id", "model"])
    among = among.select(*ranked.columns, "choices")
    group = [among.trace_id, among.model, among.family]
    signature, same_tier = _signature(among), ibis.window(group_by=[*group, among.tier])
    place = ibis.row_number().over(
        group_by=group, order_by=[among.tier, among.start_ns.desc(), among.span_id.desc()]
    )
    differs = signature.min().over(same_tier) != signature.max().over(same_tier)
    marked = among.mutate(
        is_ambiguous=among.tier.isin((WITHIN, ANY)) & among.eval.notnull() & differs, place=place
    )
    return ibis.union(alone, marked.filter(marked.place == 0).drop("place").select(*alone.columns))


def _signature(table: ir.Table) -> ir.StringValue:
    first, *rest = (
        ibis.coalesce(table[attribute].cast("string"), "") for attribute in STAMPED.values()
    )
    signature: ir.StringValue = first
    for part in rest:
        signature = signature.concat("\n", part)
    return signature


def _corrected(best: ir.Table, own: Sequence[str]) -> ir.Table:
    """Where no inference span says what the keys say, the keys count and the span does not."""
    said = _said(best)
    by_keys = best.eval.notnull() & (best.tier == AFTER) & is_said(said)
    columns: dict[str, Any] = {
        name: ibis.cases((by_keys, said.get(name, ibis.null(best[name].type()))), else_=best[name])
        for name in own
        if name not in _KEYS
    }
    columns["tier"] = ibis.cases((by_keys, ibis.literal(KEYS_ONLY, "int8")), else_=best.tier)
    columns["is_ambiguous"] = best.is_ambiguous & ~by_keys
    return best.mutate(**columns).drop(*(f"{_SAYS}{key}" for key in said))


def _from_keys(
    answers: ir.Table, predictions: ir.Table, segment: str, model: str, like: ir.Table
) -> ir.Table:
    """Answers that name a model without an inference span in their trace, with the columns of `like`."""
    said = said_of(answers, segment)
    spans = predictions.filter(predictions.model == model).select("trace_id").distinct()
    known: dict[str, Any] = {
        **{name: answers[name] for name in answers.columns},
        **said,
        "trace_id": answers.answer_trace,
        "model": ibis.literal(model),
        "family": answers.eval,
        "tier": ibis.literal(KEYS_ONLY, "int8"),
        "choices": ibis.literal(0, "int64"),
        "is_ambiguous": ibis.literal(False),  # noqa: FBT003 - a literal
    }
    columns = {
        name: known[name].cast(type_) if name in known else ibis.null(type_)
        for name, type_ in like.schema().items()
    }
    named = answers.filter(is_said(said)).select(**columns)
    return named.anti_join(spans, "trace_id")
