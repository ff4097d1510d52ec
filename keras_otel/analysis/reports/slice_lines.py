"""Describe a slice in words and formatted numbers."""

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
from keras_otel.analysis.reports.wording import Quote
from keras_otel.analysis.result import Adjustment, Example, Predicate, Slice

_EXAMPLES: Final = 3
_MOST_ADJUSTMENTS: Final = 3
_LONGEST_EXPLANATION: Final = 160
_NOTABLE: Final = math.log(1.25)
"""Least change of the log of a risk ratio that gets a note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of a slice: its heading, its text, the number to sort by, and a detail in small print."""

    title: str
    text: str
    key: float
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceLine:
    """A slice in words and formatted numbers.

    Attributes:
        summary: Its rate, that of the rest, and the excess failures.
        interval: Lower end, rate, and upper end, as shares.
        examples: Failed rows, with the evaluator's explanation.
        slice: The slice itself.
    """

    name: str
    summary: str
    is_finding: bool
    notes: tuple[str, ...]
    figures: tuple[Figure, ...]
    interval: tuple[float, float, float]
    examples: tuple[Example, ...]
    slice: Slice

    @property
    def sentence(self) -> str:
        """Name and numbers."""
        return f"{self.name}: {self.summary}"

    @property
    def rate(self) -> str:
        """Its rate with the interval."""
        (figure,) = (figure for figure in self.figures if figure.title == "Failure rate")
        return f"{figure.text} ({figure.detail})"

    @property
    def details(self) -> str:
        """All other numbers, in one line."""
        figures = {figure.title: figure for figure in self.figures}
        parts = [f"{figures['Failed'].text} of {figures['Rows'].text} rows failed"]
        # A slice that fails less often has no share of the failures.
        share = ("Share of failures",) if self.slice.excess_failures > 0 else ()
        for title in ("Excess failures", "Risk ratio", *share, "q"):
            figure = figures[title]
            name = title if title == "q" else title.lower()
            parts.append(f"{name}: {figure.text}{f' ({figure.detail})' if figure.detail else ''}")
        return "; ".join(parts)


def slice_name(predicates: tuple[Predicate, ...], quote: Quote = str) -> str:
    """Describe the predicates of a slice in words."""
    return wording.listed([wording.predicate_text(p.attribute, p.value, quote) for p in predicates])


def slice_line(slice_: Slice, quote: Quote = str) -> SliceLine:
    """Describe a slice in words and formatted numbers."""
    name = slice_name(slice_.predicates, quote)
    summary = (
        f"{percent(slice_.rate)} fail, {percent(slice_.rate_rest)} elsewhere, "
        f"{_excess(slice_.excess_failures)}"
    )
    return SliceLine(
        name=name,
        summary=summary,
        is_finding=slice_.is_finding,
        notes=tuple(_notes(slice_, quote)),
        figures=_figures(slice_),
        interval=(slice_.ci[0], slice_.rate, slice_.ci[1]),
        examples=tuple(_examples(slice_)),
        slice=slice_,
    )


def _excess(excess: float) -> str:
    """Write the excess failures, or how many fewer than expected there are."""
    if round(excess) < 0:
        return f"{count(-excess, 'failure')} fewer than expected"
    return count(excess, "excess failure")


def _notes(slice_: Slice, quote: Quote) -> Iterator[str]:
    """Yield what a reader must know to interpret the slice."""
    if not slice_.significant:
        yield "not significant"
    if slice_.explained_by:
        others = "; ".join(slice_name(finding, quote) for finding in slice_.explained_by)
        yield f"explained by {others}"
    given_others = slice_.adjusted_risk_ratio
    if given_others and _is_changed(slice_.risk_ratio, given_others):
        yield f"{ratio(given_others)} times as often with the other findings held fixed"
    for adjustment in slice_.adjustments[:_MOST_ADJUSTMENTS]:
        yield _adjusted(slice_, adjustment, quote)
    adjusted_for = {adjustment.attribute for adjustment in slice_.adjustments}
    changing = [
        wording.noun(attribute, quote)
        for attribute in slice_.confounded_by
        if attribute not in adjusted_for
    ]
    if changing:
        nouns = wording.listed(changing)
        yield f"confounded by {nouns}: the risk ratio changes once it is held fixed"


def _is_changed(risk_ratio: float, adjusted: float) -> bool:
    is_positive = 0 < risk_ratio < math.inf
    return is_positive and abs(math.log(adjusted / risk_ratio)) > _NOTABLE


def _adjusted(slice_: Slice, adjustment: Adjustment, quote: Quote) -> str:
    """Write a slice's risk ratio with another attribute held fixed."""
    fixed = f"with {wording.noun(adjustment.attribute, quote)} held fixed"
    adjusted = f"risk ratio {ratio(adjustment.risk_ratio)}"
    if not adjustment.reverses:
        return f"{adjusted} {fixed}"
    often = "less often" if slice_.risk_ratio > 1 else "more often"
    return f"Simpson's paradox: {fixed} it fails {often} than the rest, {adjusted}"


def _examples(slice_: Slice) -> Iterator[Example]:
    examples = slice_.examples or [
        Example(trace_id=trace_id) for trace_id in slice_.example_trace_ids
    ]
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


def _at_least(slice_: Slice) -> str:
    # For a slice that fails less often than the rest the lower end is always 0.
    return f"at least {count(slice_.excess_failures_lower)}" if slice_.excess_failures > 0 else ""


def _figures(slice_: Slice) -> tuple[Figure, ...]:
    return (
        Figure(title="Rows", text=count(slice_.n), key=slice_.n),
        Figure(title="Failed", text=count(slice_.failed), key=slice_.failed),
        Figure(
            title="Failure rate",
            text=percent(slice_.rate),
            key=slice_.rate,
            detail=percent_range(slice_.ci),
        ),
        Figure(title="Rate elsewhere", text=percent(slice_.rate_rest), key=slice_.rate_rest),
        Figure(
            title="Excess failures",
            text=count(slice_.excess_failures),
            key=slice_.excess_failures,
            detail=_at_least(slice_),
        ),
        Figure(
            title="Risk ratio",
            text=ratio(slice_.risk_ratio),
            key=slice_.risk_ratio,
            detail=ratio_range(slice_.risk_ratio_ci),
        ),
        Figure(
            title="Share of failures",
            text=percent(slice_.share_of_failures),
            key=slice_.share_of_failures,
        ),
        Figure(title="q", text=probability(slice_.q), key=1.0 if slice_.q is None else slice_.q),
    )
