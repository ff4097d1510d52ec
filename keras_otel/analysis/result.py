"""What slicing found: plain records, the same behind every output."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from os import PathLike
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Final, Literal

from keras_otel.analysis.aggregation.cells import Cells
from keras_otel.analysis.rows.accounting import Accounting

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# By their names: both are made of results, and stand above them.
_ARROW_TABLE: Final = "keras_otel.analysis.slices.result_tables:arrow_table"
_PAGE: Final = "keras_otel.analysis.reports.page:render_html"

Kind = Literal["slices", "cohorts"]
"""A table of a result: of its slices, or of its cohorts."""

Interval = tuple[float, float]
"""Lower and upper end, with 95 % confidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Everything together; `rate` is 0 without rows, and sums of weights where `weighted`."""

    rows: float
    failed: float
    rate: float
    evaluated_traces: int
    traces: int
    errors: int
    weighted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """The rows with one value of one attribute."""

    by: str
    value: str
    n: float
    failed: float
    rate: float
    ci: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicate:
    """One condition of a slice: a value, or a range of an ordered attribute.

    Attributes:
        attribute: Its name.
        value: The value, or the range as an interval such as `[0,0.9)`.
        values: The neighbouring values that a range joins, in order; empty for a single value.
        lower: The lower end of a range, inclusive; None where it is open or there is no range.
        upper: The upper end, exclusive; None where it is open or there is no range.
    """

    attribute: str
    value: str
    values: tuple[str, ...] = ()
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A failed row of a slice.

    Attributes:
        trace_id: Of the row's trace.
        explanation: What the evaluator gave as its reason; None where it gave none.
    """

    trace_id: str
    explanation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """A slice's risk ratio with another attribute held fixed.

    Attributes:
        attribute: What was held fixed.
        risk_ratio: The Mantel-Haenszel risk ratio over its values.
        reverses: Whether the direction is the other way round then (Simpson's paradox).
    """

    attribute: str
    risk_ratio: float
    reverses: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A slice compared with all rows outside it.

    Attributes:
        excess_failures: Failures beyond those expected at the rate elsewhere.
        excess_failures_lower: The lower end of its interval, at least 0.
        share_of_failures: Excess failures as a share of all failures.
        p: None where it could not be tested.
        q: `p` corrected for the slices tested; None where `p` is.
        errors: Rows whose evaluator failed; they are in none of the numbers above.
        traces: All rows, evaluated or not.
        confounded_by: Attributes that change the risk ratio by more than a tenth once held fixed.
        adjustments: What holding each of these fixed gives, the largest change first.
        explained_by: Findings that leave nothing of this slice unexplained; empty for a finding.
        examples: Some failed rows.
        adjusted_risk_ratio: Of a finding: its failures, divided by those expected of its rows by all other
            findings.
        adjusted_p: Of a finding: of its failures, the other findings given.
    """

    predicates: tuple[Predicate, ...]
    n: float
    failed: float
    rate: float
    ci: Interval
    rate_rest: float
    risk_difference: float
    risk_ratio: float
    risk_ratio_ci: Interval
    excess_failures: float
    excess_failures_lower: float
    share_of_failures: float
    p: float | None
    q: float | None
    significant: bool
    errors: int = 0
    traces: int = 0
    confounded_by: tuple[str, ...] = ()
    example_trace_ids: tuple[str, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()
    explained_by: tuple[tuple[Predicate, ...], ...] = ()
    examples: tuple[Example, ...] = ()
    adjusted_risk_ratio: float | None = None
    adjusted_p: float | None = None

    @property
    def is_finding(self) -> bool:
        """Whether it is significant and not owed to another slice."""
        return self.significant and not self.explained_by


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionCell:
    """The rows of one model version with one value of one attribute: plots are drawn from these."""

    version: str
    attribute: str
    value: str
    n: float
    failed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalResult:
    """One evaluation of the answers behind one upstream model.

    Attributes:
        cohorts: One after the other for each attribute, as asked for.
        slices: The largest lower end of excess failures first.
        plot_cohorts: By class, version and confidence, whatever was asked for.
        version_cells: Of class, confidence and latency; empty where there is no version.
        better: Slices that fail less often than the rest, where they were asked for.
        cells: The sums that every slice, rate and test is made of.
    """

    eval: str
    model: str
    rows: float
    failed: float
    rate: float
    slices_tested: int
    cohorts: tuple[Cohort, ...]
    slices: tuple[Slice, ...]
    plot_cohorts: tuple[Cohort, ...] = ()
    version_cells: tuple[VersionCell, ...] = ()
    better: tuple[Slice, ...] = ()
    cells: Cells | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The rate of a finding in one of two reports."""

    n: float
    failed: float
    rate: float
    ci: Interval


ChangeKind = Literal["new", "grown", "shrunk", "gone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A finding that is not what it was in an earlier report.

    Attributes:
        predicates: As they are now; of one that is gone, as they were.
        change: `grown` and `shrunk` are about its failure rate.
        before: In the earlier report; None of a new one.
        after: None of one that is gone.
    """

    eval: str
    model: str
    predicates: tuple[Predicate, ...]
    change: ChangeKind
    before: Measured | None
    after: Measured | None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SliceResult:
    """What was found in everything that was read; `accounting` is None for ready rows.

    `changes` says what is new, grown, shrunk or gone since an earlier report; None where there is none.

    A notebook shows it as the page that `keras-otel slice -o report.html` writes.
    """

    totals: Totals
    evals: tuple[EvalResult, ...]
    warnings: tuple[str, ...] = ()
    accounting: Accounting | None = None
    changes: tuple[Change, ...] | None = None

    def __repr__(self) -> str:
        findings = sum(found.is_finding for family in self.evals for found in family.slices)
        tested = sum(family.slices_tested for family in self.evals)
        return (
            f"<SliceResult: {self.totals.failed:,.0f} of {self.totals.rows:,.0f} rows failed; "
            f"evaluations: {len(self.evals)}, slices tested: {tested:,}, findings: {findings}, "
            f"warnings: {len(self.warnings)}>"
        )

    def to_arrow(self, kind: Kind = "slices") -> pa.Table:
        """The slices, those of `better` among them, or the cohorts as an Arrow table.

        Args:
            kind: `slices` or `cohorts`.

        Raises:
            OptionError: `kind` is neither.
        """
        table: pa.Table = resolve_name(_ARROW_TABLE)(self, kind)
        return table

    def to_pandas(self, kind: Kind = "slices") -> pd.DataFrame:
        """The same as a pandas data frame; pandas has to be installed."""
        return self.to_arrow(kind).to_pandas()

    def to_html(self, path: str | PathLike[str], trace_url: str | None = None) -> None:
        """Write the page to a file.

        Args:
            path: Of the file, which is replaced.
            trace_url: The address of a trace, with `{trace_id}` in it, to link examples to.

        Raises:
            OptionError: `trace_url` is not an http address with `{trace_id}` in it.
        """
        page: str = resolve_name(_PAGE)(self, trace_url)
        Path(path).write_text(page, encoding="utf-8")

    def _repr_html_(self) -> str:
        # In a frame, the page's styles and scripts are its own, and the notebook's are the notebook's.
        page = escape(resolve_name(_PAGE)(self))
        return (
            f'<iframe srcdoc="{page}" title="Failures by upstream prediction" width="100%" '
            'height="800" style="border: 0" sandbox="allow-scripts allow-popups"></iframe>'
        )
