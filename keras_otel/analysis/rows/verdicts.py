"""Evaluations as verdicts: deliveries counted once, pass or fail as given or ruled, one a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from keras_otel.analysis.rows.fail_rules import FailRule, failed
from keras_otel.errors import SourceError


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationCounts:
    """Where the evaluations went.

    Attributes:
        deliveries: Evaluations read.
        duplicates: Deliveries of an evaluation that was there already, or that a later one replaced.
        same_trace: Further evaluated spans of a trace under the same name: a trace counts once, as
            failed if one of them failed.
        counted: The rest: pairs of a trace and an evaluation's name.
    """

    deliveries: int
    duplicates: int
    same_trace: int
    counted: int


def verdicts(evaluations: ir.Table, rules: Sequence[FailRule]) -> ir.Table:
    """Each delivery with `failed`, `is_error`, and its rank among those of its span and trace.

    `delivery` is 0 for the one that counts of a span: the latest without an error. `place` is 0 for the
    evaluated span that stands for its trace: the first that failed, else the first.
    """
    says_nothing = (
        evaluations.score.isnull() & evaluations.label.isnull() & evaluations.passed.isnull()
    )
    is_error = evaluations.error.notnull() | says_nothing
    told = evaluations.mutate(
        is_error=is_error,
        failed=ibis.cases((~is_error, failed(evaluations, rules)), else_=ibis.null("boolean")),
    )
    # Reasons are read of failures alone, and they are long.
    told = told.mutate(explanation=ibis.cases((told.failed, told.explanation)))
    once = told.mutate(
        delivery=ibis.row_number().over(
            group_by=[told.trace_id, told.span_id, told.name],
            order_by=[
                told.is_error.cast("int8"),
                ibis.coalesce(told.time_ns, 0).desc(),
                ibis.coalesce(told.failed.cast("int8"), 2).desc(),
                told.score,
                told.label,
            ],
        )
    )
    return once.mutate(
        place=ibis.row_number().over(
            group_by=[once.trace_id, once.name],
            order_by=[
                once.delivery != 0,
                once.is_error.cast("int8"),
                ibis.coalesce(once.failed.cast("int8"), 2).desc(),
                ibis.coalesce(once.time_ns, 0),
                once.span_id,
            ],
        )
    )


def counts(table: ir.Table) -> EvaluationCounts:
    """What became of each delivery."""
    found = (
        table.aggregate(
            deliveries=table.count(),
            duplicates=(table.delivery > 0).sum(),
            counted=(table.place == 0).sum(),
        )
        .to_pyarrow()
        .to_pylist()[0]
    )
    numbers = {name: int(count or 0) for name, count in found.items()}
    rest = numbers["deliveries"] - numbers["duplicates"] - numbers["counted"]
    return EvaluationCounts(**numbers, same_trace=rest)


def require_verdicts(table: ir.Table) -> None:
    """Every evaluation without an error must say whether it failed.

    Raises:
        SourceError: One does not: the line names it and the rule that is missing.
    """
    silent = table.filter(~table.is_error & table.failed.isnull())
    missing = (
        silent.group_by("name")
        .aggregate(
            n=silent.count(), has_score=silent.score.notnull().any(), label=silent.label.min()
        )
        .order_by("name")
        .to_pyarrow()
        .to_pylist()
    )
    if not missing:
        return
    first = missing[0]
    wanted = "score<0.5" if first["has_score"] else f"label={first['label']}"
    more = f", and {len(missing) - 1} more such names" if len(missing) > 1 else ""
    raise SourceError(
        f"evaluation {first['name']!r} has {first['n']:,} results that do not say pass or fail{more}: "
        f"give its rule, such as --fail '{first['name']}: {wanted}', or choose others with --eval"
    )
