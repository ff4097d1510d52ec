"""What a report says, in words and written numbers: the same in every output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from keras_otel.analysis.reports import wording
from keras_otel.analysis.reports.accounting_lines import readings
from keras_otel.analysis.reports.change_lines import ChangeLine, change_lines
from keras_otel.analysis.reports.numbers import count, percent, percent_range
from keras_otel.analysis.reports.slice_lines import SliceLine, slice_line
from keras_otel.analysis.reports.wording import Quoted
from keras_otel.analysis.result import Cohort, EvalResult, SliceResult

TITLE: Final = "Failures of LLM answers by upstream prediction"
BETTER: Final = "Slices that fail less often than the rest"
METHOD: Final = (
    (
        "A row is one trace, one upstream model and one evaluation. The failure rate is the share of "
        "rows whose evaluation failed; intervals have 95 % confidence."
    ),
    (
        "Each slice is compared with all rows outside it. Excess failures: failures in the slice "
        "beyond those expected at the rate elsewhere; slices are ranked by the lower end of its 95 % "
        "interval. Risk ratio: the failure rate in the slice divided by the rate elsewhere. q: the "
        "p-value corrected for the number of slices tested."
    ),
    "A slice says where failures concentrate, not why.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortLine:
    """One value of an attribute, in words and numbers."""

    value: str
    rows: str
    failed: str
    rate: str
    interval: str
    ends: tuple[float, float, float]
    cohort: Cohort


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortTable:
    """The values of one attribute."""

    noun: str
    heading: str
    lines: tuple[CohortLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One evaluation of the answers behind one upstream model.

    Attributes:
        silence: Why nothing was found; empty where something was.
        slices: The findings, and what else was asked for, in order of rank.
        better: Those that fail less often than the rest, where they were asked for.
    """

    title: str
    summary: str
    silence: str
    slices: tuple[SliceLine, ...]
    better: tuple[SliceLine, ...]
    cohorts: tuple[CohortTable, ...]
    family: EvalResult

    @property
    def highest(self) -> float:
        """The upper end of the highest interval: all bars of an evaluation have one scale."""
        ends = [line.ends for line in (*self.slices, *self.better)]
        ends += [line.ends for table in self.cohorts for line in table.lines]
        return max((upper for _, _, upper in ends), default=1.0) or 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that a report says.

    Attributes:
        changes: Since an earlier report; None where there is none to compare with.
    """

    title: str
    summary: str
    totals: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    readings: tuple[str, ...]
    sections: tuple[Section, ...]
    changes: tuple[ChangeLine, ...] | None = None
    method: tuple[str, ...] = METHOD


def contents(result: SliceResult, quoted: Quoted = str) -> Report:
    """Put a result into words and written numbers."""
    totals = result.totals
    rows = count(totals.rows, "row")
    summary = (
        f"{failed_of(totals.failed, totals.rows, totals.rate)}."
        if totals.rows
        else "No row was evaluated."
    )
    return Report(
        title=TITLE,
        summary=summary,
        totals=(
            ("Rows", rows.partition(" ")[0]),
            ("Failed", count(totals.failed)),
            ("Failure rate", percent(totals.rate if totals.rows else None)),
            ("Traces evaluated", f"{count(totals.evaluated_traces)} of {count(totals.traces)}"),
            *([("Evaluator errors", count(totals.errors))] if totals.errors else ()),
        ),
        warnings=tuple(wording.visible(warning) for warning in result.warnings),
        readings=tuple(readings(result)),
        sections=tuple(_section(family, quoted) for family in result.evals),
        changes=None if result.changes is None else tuple(change_lines(result.changes, quoted)),
    )


def failed_of(failed: float, rows: float, rate: float) -> str:
    """Such as "1,300 of 10,000 rows failed (13 %)"."""
    return f"{count(failed)} of {count(rows, 'row')} failed ({percent(rate)})"


def _section(family: EvalResult, quoted: Quoted) -> Section:
    found = sum(each.is_finding for each in family.slices)
    tested = count(family.slices_tested, "slice")
    were = "was" if family.slices_tested == 1 else "were"
    summary = f"{failed_of(family.failed, family.rows, family.rate)}." if family.rows else ""
    return Section(
        title=f"{quoted(wording.shown(family.eval))} by upstream model {quoted(wording.shown(family.model))}",
        summary=f"{summary} {tested} {were} tested, {count(found)} found.".strip(),
        silence="" if found else _silence(family),
        slices=tuple(slice_line(each, quoted) for each in family.slices),
        better=tuple(slice_line(each, quoted) for each in family.better),
        cohorts=tuple(_cohort_tables(family.cohorts, quoted)),
        family=family,
    )


def _silence(family: EvalResult) -> str:
    """Why nothing was found."""
    if not family.rows:
        return "Nothing was tested: no row was evaluated."
    if not family.failed:
        return "Nothing was tested: no row failed."
    if family.failed >= family.rows:
        return "Nothing was tested: every row failed, so no slice can stand out."
    if not family.slices_tested:
        return (
            "Nothing was tested: no slice has enough rows and expected failures, or too few clusters. "
            "Read more traces, or lower --min-support."
        )
    return (
        "Nothing was found: in no slice tested do failures concentrate more than chance, and by "
        "enough to matter."
    )


def _cohort_tables(cohorts: Sequence[Cohort], quoted: Quoted) -> Sequence[CohortTable]:
    return [
        CohortTable(
            noun=wording.noun(by, quoted),
            heading=wording.heading(by, quoted),
            lines=tuple(_cohort_line(cohort, quoted) for cohort in group),
        )
        for by, group in groupby(cohorts, key=lambda cohort: cohort.by)
    ]


def _cohort_line(cohort: Cohort, quoted: Quoted) -> CohortLine:
    return CohortLine(
        value=wording.value_text(cohort.by, cohort.value, quoted),
        rows=count(cohort.n),
        failed=count(cohort.failed),
        rate=percent(cohort.rate),
        interval=percent_range(cohort.ci),
        ends=(cohort.ci[0], cohort.rate, cohort.ci[1]),
        cohort=cohort,
    )
