"""Count what became of everything that was read; the counts add up."""

from __future__ import annotations

from dataclasses import dataclass

import ibis.expr.types as ir

from keras_otel.analysis.rows import matching
from keras_otel.analysis.rows.predictions import PredictionCounts
from keras_otel.analysis.rows.verdicts import EvaluationCounts
from keras_otel.analysis.sources.tables.fetch import fetch_row


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCounts:
    """Counts of triples of a trace, an upstream model and an evaluation name.

    `evaluated`, `errors`, `not_evaluated`, `ambiguous` and `after` add up to `triples`.

    Attributes:
        triples: All of them.
        evaluated: Those with a verdict.
        errors: Those whose evaluator failed.
        not_evaluated: Those without an evaluation of that name.
        ambiguous: Evaluated, but it is unknown which of several differing predictions the answer used.
        after: Evaluated, but every prediction came after the answer.
        several: Those for which one of several predictions was chosen.
        from_keys: Those whose prediction is known from `keras.upstream.*` keys alone, without an inference span.
        traces: Traces with a prediction.
        evaluated_traces: Those of them with a verdict.
        answered: Pairs of a trace and an evaluation name with a prediction and an evaluation.
    """

    triples: int
    evaluated: int
    errors: int
    not_evaluated: int
    ambiguous: int
    after: int
    several: int
    from_keys: int
    traces: int
    evaluated_traces: int
    answered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounting:
    """What became of inference spans, evaluations and triples, in counts."""

    predictions: PredictionCounts
    evaluations: EvaluationCounts
    rows: RowCounts

    @property
    def without_prediction(self) -> int:
        """Pairs of a trace and an evaluation name whose trace has no prediction."""
        return self.evaluations.counted - self.rows.answered


def row_counts(marked: ir.Table) -> RowCounts:
    """Count triples by what became of them."""
    is_used = marked.left_out.isnull() & marked.is_answered
    has_verdict = is_used & ~marked.error
    pair = marked.trace_id.concat(" ", marked.eval)
    counts = fetch_row(
        marked.aggregate(
            triples=marked.count(),
            evaluated=has_verdict.sum(),
            errors=(is_used & marked.error).sum(),
            not_evaluated=(~marked.is_answered).sum(),
            ambiguous=(marked.left_out == "ambiguous").sum(),
            after=(marked.left_out == "after").sum(),
            several=(has_verdict & (marked.choices > 1)).sum(),
            from_keys=(has_verdict & (marked.tier == matching.KEYS_ONLY)).sum(),
            traces=marked.trace_id.nunique(),
            evaluated_traces=marked.trace_id.nunique(where=has_verdict),
            answered=pair.nunique(where=marked.is_answered),
        )
    )
    return RowCounts(**{name: int(count or 0) for name, count in counts.items()})
