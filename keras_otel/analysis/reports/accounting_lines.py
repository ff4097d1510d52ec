"""Account for everything that was read, in lines whose numbers add up."""

from __future__ import annotations

from collections.abc import Iterator

from keras_otel.analysis.reports.numbers import count
from keras_otel.analysis.result import SliceResult
from keras_otel.analysis.rows.accounting import Accounting


def accounting_lines(result: SliceResult) -> Iterator[str]:
    """Yield a line for inference spans, one for evaluations and one for rows; none of these for ready rows."""
    if result.totals.weighted:
        yield "Rates are weighted by the sampling probability of each trace."
    accounting: Accounting | None = result.accounting
    if accounting is None:
        return
    spans, evaluations, rows = accounting.predictions, accounting.evaluations, accounting.rows
    yield _line(
        count(spans.spans, "inference span"),
        f"{count(spans.usable)} used",
        (spans.duplicates, "delivered twice", "delivered twice"),
        (spans.failed, "failed inference", "failed inferences"),
        (
            spans.batches,
            "batch without a span for each item",
            "batches without a span for each item",
        ),
    )
    yield _line(
        count(evaluations.deliveries, "evaluation"),
        f"{count(evaluations.counted)} counted",
        (evaluations.duplicates, "delivered twice or replaced", "delivered twice or replaced"),
        (evaluations.same_trace, "further one of the same trace", "further ones of the same trace"),
    )
    yield _line(
        f"{count(rows.triples, 'combination')} of trace, model and evaluation",
        f"{count(rows.evaluated)} evaluated",
        (rows.errors, "evaluator error", "evaluator errors"),
        (rows.not_evaluated, "not evaluated", "not evaluated"),
        (
            rows.ambiguous,
            "with several differing predictions",
            "with several differing predictions",
        ),
        (rows.after, "predicted after the answer", "predicted after the answer"),
    )
    if rows.several:
        yield f"The nearest of several predictions was taken in {count(rows.several, 'row')}."
    if rows.from_keys:
        yield (
            f"{count(rows.from_keys, 'row')} had no inference span and "
            f"{'was' if rows.from_keys == 1 else 'were'} read from the stamped attributes alone."
        )
    if accounting.without_prediction:
        yield (
            f"{count(accounting.without_prediction, 'evaluated trace')} had no prediction of any model."
        )


def _line(read: str, used: str, *left_out: tuple[int, str, str]) -> str:
    """Write how many were read, used, and left out, each with its singular and plural."""
    parts = [used, *(count(n, singular, plural) for n, singular, plural in left_out if n)]
    return f"{read}: {', '.join(parts)}."
