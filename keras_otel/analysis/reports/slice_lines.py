"""A slice in words and written numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keras_otel.analysis.reports import wording
from keras_otel.analysis.reports.quantities import (
    count,
    percent,
    percent_range,
    probability,
    ratio,
    ratio_range,
)
from keras_otel.analysis.reports.wording import Quoted
from keras_otel.analysis.result import Slice


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of a slice: its heading, text, smaller print, and the number to sort by."""

    title: str
    text: str
    key: float
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceLine:
    """A slice in words and numbers; `ends` are its rate's lower end, the rate, the upper end."""

    name: str
    sentence: str
    is_finding: bool
    notes: tuple[str, ...]
    figures: tuple[Figure, ...]
    ends: tuple[float, float, float]
    trace_ids: tuple[str, ...]


def slice_name(found: Slice, quoted: Quoted = str) -> str:
    """The predicates of a slice as words."""
    return wording.listed(
        [wording.predicate_text(p.attribute, p.value, quoted) for p in found.predicates]
    )


def slice_line(found: Slice, quoted: Quoted = str) -> SliceLine:
    """Put a slice into words and written numbers."""
    name = slice_name(found, quoted)
    sentence = (
        f"{name}: {percent(found.rate)} fail, {percent(found.rate_rest)} elsewhere, "
        f"{_too_many(found.excess_failures)}"
    )
    return SliceLine(
        name=name,
        sentence=sentence,
        is_finding=found.significant,
        notes=tuple(_notes(found, quoted)),
        figures=_figures(found),
        ends=(found.ci[0], found.rate, found.ci[1]),
        trace_ids=tuple(wording.visible(each) for each in found.example_trace_ids),
    )


def _too_many(excess: float) -> str:
    if round(excess) < 0:
        return f"{count(-excess, 'failure')} fewer than expected"
    return f"{count(excess, 'failure')} too many"


def _notes(found: Slice, quoted: Quoted) -> Sequence[str]:
    notes = []
    if not found.significant:
        notes.append("not significant")
    if found.confounded_by:
        nouns = wording.listed([wording.noun(each, quoted) for each in found.confounded_by])
        notes.append(f"confounded by {nouns}: the risk ratio changes once it is held fixed")
    return notes


def _figures(found: Slice) -> tuple[Figure, ...]:
    return (
        Figure(title="Rows", text=count(found.n), key=found.n),
        Figure(title="Failed", text=count(found.failed), key=found.failed),
        Figure(
            title="Failure rate",
            text=percent(found.rate),
            key=found.rate,
            detail=percent_range(found.ci),
        ),
        Figure(title="Rate elsewhere", text=percent(found.rate_rest), key=found.rate_rest),
        Figure(
            title="Failures too many",
            text=count(found.excess_failures),
            key=found.excess_failures,
            detail=f"at least {count(found.excess_failures_lower)}",
        ),
        Figure(
            title="Risk ratio",
            text=ratio(found.risk_ratio),
            key=found.risk_ratio,
            detail=ratio_range(found.risk_ratio_ci),
        ),
        Figure(
            title="Share of failures",
            text=percent(found.share_of_failures),
            key=found.share_of_failures,
        ),
        Figure(title="q", text=probability(found.q), key=1.0 if found.q is None else found.q),
    )
