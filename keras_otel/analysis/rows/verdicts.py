"""Turn evaluations into verdicts: each counts once, pass or fail as given or by a rule, one for each trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from keras_otel.analysis.rows.fail_rules import FailRule, failed
from keras_otel.analysis.sources.tables.fetch import fetch_row, fetch_rows
from keras_otel.errors import SourceError


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationCounts:
    """What became of the evaluations, in counts.

    Attributes:
        deliveries: Evaluations read.
        duplicates: Repeated deliveries of an evaluation, and those that a later one replaced.
        same_trace: Further evaluated spans of a trace under the same name: a trace counts once, as
            failed if one of them failed.
        counted: The rest: pairs of a trace and an evaluation's name.
    """

    deliveries: int
    duplicates: int
    same_trace: int
    counted: int


def verdicts(evaluations: ir.Table, rules: Sequence[FailRule]) -> ir.Table:
    """Add `failed`, `is_error`, and the ranks among the deliveries of a span and the spans of a trace.

    `delivery` is 0 for the one that counts of a span: the latest without an error. `place` is 0 for the
    evaluated span that counts for its trace: the first that failed, else the first.
    """
    has_no_verdict = (
        evaluations.score.isnull() & evaluations.label.isnull() & evaluations.passed.isnull()
    )
    is_error = evaluations.error.notnull() | has_no_verdict
    judged = evaluations.mutate(
        is_error=is_error,
        failed=ibis.cases((~is_error, failed(evaluations, rules)), else_=ibis.null("boolean")),
    )
    # Explanations are long, and only those of failures are shown.
    judged = judged.mutate(explanation=ibis.cases((judged.failed, judged.explanation)))
    by_span = judged.mutate(
        delivery=ibis.row_number().over(
            group_by=[judged.trace_id, judged.span_id, judged.name],
            order_by=[
                judged.is_error.cast("int8"),
                ibis.coalesce(judged.time_ns, 0).desc(),
                ibis.coalesce(judged.failed.cast("int8"), 2).desc(),
                judged.score,
                judged.label,
            ],
        )
    )
    return by_span.mutate(
        place=ibis.row_number().over(
            group_by=[by_span.trace_id, by_span.name],
            order_by=[
                by_span.delivery != 0,
                by_span.is_error.cast("int8"),
                ibis.coalesce(by_span.failed.cast("int8"), 2).desc(),
                ibis.coalesce(by_span.time_ns, 0),
                by_span.span_id,
            ],
        )
    )


def counts(table: ir.Table) -> EvaluationCounts:
    """Count what became of each delivery."""
    row = fetch_row(
        table.aggregate(
            deliveries=table.count(),
            duplicates=(table.delivery > 0).sum(),
            counted=(table.place == 0).sum(),
        )
    )
    numbers = {name: int(count or 0) for name, count in row.items()}
    rest = numbers["deliveries"] - numbers["duplicates"] - numbers["counted"]
    return EvaluationCounts(**numbers, same_trace=rest)


def require_verdicts(table: ir.Table) -> None:
    """Check that every evaluation without an error has a verdict.

    Raises:
        SourceError: One has none: the line names it and the missing rule.
    """
    undecided = table.filter(~table.is_error & table.failed.isnull())
    by_name = undecided.group_by("name").aggregate(
        n=undecided.count(), has_score=undecided.score.notnull().any(), label=undecided.label.min()
    )
    missing = fetch_rows(by_name.order_by("name"))
    if not missing:
        return
    first = missing[0]
    condition = "score<0.5" if first["has_score"] else f"label={first['label']}"
    more = f", and {len(missing) - 1} more such names" if len(missing) > 1 else ""
    raise SourceError(
        f"evaluation {first['name']!r} has {first['n']:,} results that do not say pass or fail{more}: "
        f"give its rule, such as --fail '{first['name']}: {condition}', or choose others with --eval"
    )
