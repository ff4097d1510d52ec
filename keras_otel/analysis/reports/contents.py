"""The contents of a report in words and formatted numbers, the same in every output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from keras_otel.analysis.reports import wording
from keras_otel.analysis.reports.accounting_lines import accounting_lines
from keras_otel.analysis.reports.change_lines import ChangeLine, change_lines
from keras_otel.analysis.reports.numbers import count, percent, percent_range
from keras_otel.analysis.reports.slice_lines import SliceLine, slice_line
from keras_otel.analysis.reports.wording import Quote
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
    """One value of an attribute, in words and formatted numbers.

    Attributes:
        interval: Lower end, rate, and upper end, as shares.
        interval_text: The interval, such as "6.1 % to 12 %".
    """

    value: str
    rows: str
    failed: str
    rate: str
    interval: tuple[float, float, float]
    interval_text: str
    cohort: Cohort


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortTable:
    """The values of one attribute."""

    noun: str
    heading: str
    lines: tuple[CohortLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One evaluation by one upstream model.

    Attributes:
        no_findings_reason: Why there are no findings; empty if there are some.
        slices: The findings, and with `--all` the other slices, in order of rank.
        better: Slices that fail less often than the rest, if they were requested.
    """

    title: str
    summary: str
    no_findings_reason: str
    slices: tuple[SliceLine, ...]
    better: tuple[SliceLine, ...]
    cohorts: tuple[CohortTable, ...]
    family: EvalResult

    @property
    def highest(self) -> float:
        """Upper end of the highest interval: all bars of an evaluation have the same scale."""
        intervals = [line.interval for line in (*self.slices, *self.better)]
        intervals += [line.interval for table in self.cohorts for line in table.lines]
        return max((upper for _, _, upper in intervals), default=1.0) or 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The contents of a report.

    Attributes:
        changes: Changes since an earlier report; None if there is none to compare with.
    """

    title: str
    summary: str
    totals: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    accounting_lines: tuple[str, ...]
    sections: tuple[Section, ...]
    changes: tuple[ChangeLine, ...] | None = None
    method: tuple[str, ...] = METHOD


def contents(result: SliceResult, quote: Quote = str) -> Report:
    """Describe a result in words and formatted numbers."""
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
        accounting_lines=tuple(accounting_lines(result)),
        sections=tuple(_section(family, quote) for family in result.evals),
        changes=None if result.changes is None else tuple(change_lines(result.changes, quote)),
    )


def failed_of(failed: float, rows: float, rate: float) -> str:
    """Write a failure rate with its counts, such as "1,300 of 10,000 rows failed (13 %)"."""
    return f"{count(failed)} of {count(rows, 'row')} failed ({percent(rate)})"


def _section(family: EvalResult, quote: Quote) -> Section:
    findings = sum(slice_.is_finding for slice_ in family.slices)
    tested = count(family.slices_tested, "slice")
    verb = "was" if family.slices_tested == 1 else "were"
    summary = f"{failed_of(family.failed, family.rows, family.rate)}." if family.rows else ""
    return Section(
        title=wording.family_name(family.eval, family.model, quote),
        summary=f"{summary} {tested} {verb} tested, {count(findings)} found.".strip(),
        no_findings_reason="" if findings else _no_findings_reason(family),
        slices=tuple(slice_line(slice_, quote) for slice_ in family.slices),
        better=tuple(slice_line(slice_, quote) for slice_ in family.better),
        cohorts=tuple(_cohort_tables(family.cohorts, quote)),
        family=family,
    )


def _no_findings_reason(family: EvalResult) -> str:
    """Explain why there are no findings."""
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


def _cohort_tables(cohorts: Sequence[Cohort], quote: Quote) -> Sequence[CohortTable]:
    return [
        CohortTable(
            noun=wording.noun(by, quote),
            heading=wording.heading(by, quote),
            lines=tuple(_cohort_line(cohort, quote) for cohort in group),
        )
        for by, group in groupby(cohorts, key=lambda cohort: cohort.by)
    ]


def _cohort_line(cohort: Cohort, quote: Quote) -> CohortLine:
    return CohortLine(
        value=wording.value_text(cohort.by, cohort.value, quote),
        rows=count(cohort.n),
        failed=count(cohort.failed),
        rate=percent(cohort.rate),
        interval=(cohort.ci[0], cohort.rate, cohort.ci[1]),
        interval_text=percent_range(cohort.ci),
        cohort=cohort,
    )
