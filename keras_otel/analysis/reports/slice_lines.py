"""A slice in words and written numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from keras_otel.analysis.reports import wording
from keras_otel.analysis.reports.numbers import (
    count,
    percent,
    percent_range,
    probability,
    ratio,
    ratio_range,
)
from keras_otel.analysis.reports.wording import Quoted
from keras_otel.analysis.result import Adjustment, Example, Predicate, Slice

_EXAMPLES: Final = 3
_MOST_ADJUSTMENTS: Final = 3
_LONGEST_EXPLANATION: Final = 160
_NOTABLE: Final = math.log(1.25)
"""A change of a risk ratio that is worth a note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of a slice: its heading, text, smaller print, and the number to sort by."""

    title: str
    text: str
    key: float
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceLine:
    """A slice in words and numbers.

    Attributes:
        told: Its rate, that of the rest, and what is in excess.
        ends: Lower end, rate, upper end.
        examples: Failed rows to look at, with what the evaluator gave as its reason.
        found: What it was made from.
    """

    name: str
    told: str
    is_finding: bool
    notes: tuple[str, ...]
    figures: tuple[Figure, ...]
    ends: tuple[float, float, float]
    examples: tuple[Example, ...]
    found: Slice

    @property
    def sentence(self) -> str:
        """Name and numbers."""
        return f"{self.name}: {self.told}"

    @property
    def rate(self) -> str:
        """Its rate with the interval."""
        (figure,) = (each for each in self.figures if each.title == "Failure rate")
        return f"{figure.text} ({figure.detail})"

    @property
    def details(self) -> str:
        """All other numbers, in one line."""
        figures = {figure.title: figure for figure in self.figures}
        parts = [f"{figures['Failed'].text} of {figures['Rows'].text} rows failed"]
        # Of what fails less often there is no share.
        share = ("Share of failures",) if self.found.excess_failures > 0 else ()
        for title in ("Excess failures", "Risk ratio", *share, "q"):
            figure = figures[title]
            name = title if title == "q" else title.lower()
            parts.append(f"{name}: {figure.text}{f' ({figure.detail})' if figure.detail else ''}")
        return "; ".join(parts)


def slice_name(predicates: tuple[Predicate, ...], quoted: Quoted = str) -> str:
    """The predicates of a slice as words."""
    return wording.listed(
        [wording.predicate_text(p.attribute, p.value, quoted) for p in predicates]
    )


def slice_line(found: Slice, quoted: Quoted = str) -> SliceLine:
    """Put a slice into words and written numbers."""
    name = slice_name(found.predicates, quoted)
    told = (
        f"{percent(found.rate)} fail, {percent(found.rate_rest)} elsewhere, "
        f"{_excess(found.excess_failures)}"
    )
    return SliceLine(
        name=name,
        told=told,
        is_finding=found.is_finding,
        notes=tuple(_notes(found, quoted)),
        figures=_figures(found),
        ends=(found.ci[0], found.rate, found.ci[1]),
        examples=tuple(_examples(found)),
        found=found,
    )


def _excess(excess: float) -> str:
    if round(excess) < 0:
        return f"{count(-excess, 'failure')} fewer than expected"
    return count(excess, "excess failure")


def _notes(found: Slice, quoted: Quoted) -> Iterator[str]:
    if not found.significant:
        yield "not significant"
    if found.explained_by:
        others = "; ".join(slice_name(each, quoted) for each in found.explained_by)
        yield f"explained by {others}"
    given_others = found.adjusted_risk_ratio
    if given_others and _is_changed(found.risk_ratio, given_others):
        yield f"{ratio(given_others)} times as often with the other findings held fixed"
    for adjustment in found.adjustments[:_MOST_ADJUSTMENTS]:
        yield _adjusted(found, adjustment, quoted)
    told = {each.attribute for each in found.adjustments}
    changing = [wording.noun(each, quoted) for each in found.confounded_by if each not in told]
    if changing:
        nouns = wording.listed(changing)
        yield f"confounded by {nouns}: the risk ratio changes once it is held fixed"


def _is_changed(risk_ratio: float, adjusted: float) -> bool:
    is_positive = 0 < risk_ratio < math.inf
    return is_positive and abs(math.log(adjusted / risk_ratio)) > _NOTABLE


def _adjusted(found: Slice, adjustment: Adjustment, quoted: Quoted) -> str:
    fixed = f"with {wording.noun(adjustment.attribute, quoted)} held fixed"
    adjusted = f"risk ratio {ratio(adjustment.risk_ratio)}"
    if not adjustment.reverses:
        return f"{adjusted} {fixed}"
    often = "less often" if found.risk_ratio > 1 else "more often"
    return f"Simpson's paradox: {fixed} it fails {often} than the rest, {adjusted}"


def _examples(found: Slice) -> Iterator[Example]:
    examples = found.examples or [Example(trace_id=each) for each in found.example_trace_ids]
    for example in examples[:_EXAMPLES]:
        yield Example(
            trace_id=wording.visible(example.trace_id),
            explanation=_shortened(example.explanation) if example.explanation else None,
        )


def _shortened(text: str) -> str:
    line = wording.visible(" ".join(text.split()))
    if len(line) <= _LONGEST_EXPLANATION:
        return line
    return f"{line[: _LONGEST_EXPLANATION - 1].rstrip()}…"


def _at_least(found: Slice) -> str:
    # Its lower end says nothing of a slice that fails less often than the rest.
    return f"at least {count(found.excess_failures_lower)}" if found.excess_failures > 0 else ""


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
            title="Excess failures",
            text=count(found.excess_failures),
            key=found.excess_failures,
            detail=_at_least(found),
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
