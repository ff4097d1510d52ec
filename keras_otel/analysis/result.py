"""The result of slicing: plain records, from which every output is made."""

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

# By name, since both modules import this one.
_ARROW_TABLE: Final = "keras_otel.analysis.slices.result_tables:arrow_table"
_PAGE: Final = "keras_otel.analysis.reports.page:render_html"

Kind = Literal["slices", "cohorts"]
"""Which table of a result: its slices or its cohorts."""

Interval = tuple[float, float]
"""Lower and upper end of a 95 % confidence interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Totals over all families; `rate` is 0 without rows, and counts are sums of weights if `weighted`."""

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
        attribute: Name of the attribute.
        value: The value, or the range as an interval such as `[0,0.9)`.
        values: The neighbouring values that a range joins, in order; empty for a single value.
        lower: The lower end of a range, inclusive; None if it is open or the value is no range.
        upper: The upper end, exclusive; None if it is open or the value is no range.
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
        trace_id: Trace id of the row.
        explanation: The evaluator's explanation; None if it gave none.
    """

    trace_id: str
    explanation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """A slice's risk ratio with another attribute held fixed.

    Attributes:
        attribute: The attribute that was held fixed.
        risk_ratio: The Mantel-Haenszel risk ratio over its values.
        reverses: Whether the direction reverses (Simpson's paradox).
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
        p: P value; None if the slice could not be tested.
        q: `p` corrected for the number of slices tested; None if `p` is None.
        errors: Rows whose evaluator failed; they are in none of the numbers above.
        traces: All rows, evaluated or not.
        confounded_by: Attributes that change the risk ratio by more than a tenth once held fixed.
        adjustments: The risk ratio with each of these held fixed, the largest change first.
        explained_by: The findings that explain this slice; empty for a finding.
        examples: Some failed rows.
        adjusted_risk_ratio: For a finding: its failures, divided by those that all other findings expect of
            its rows.
        adjusted_p: For a finding: P value of its failures, given the other findings.
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
        """Whether it is significant and not explained by other slices."""
        return self.significant and not self.explained_by


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionCell:
    """The rows of one model version with one value of one attribute, for plots."""

    version: str
    attribute: str
    value: str
    n: float
    failed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalResult:
    """One evaluation by one upstream model.

    Attributes:
        cohorts: The cohorts of each requested attribute.
        slices: The slices, the one with the largest lower end of excess failures first.
        plot_cohorts: The cohorts by class, version and confidence, whatever was requested.
        version_cells: Rows by version and class, confidence or latency; empty if there is no version.
        better: Slices that fail less often than the rest, if they were requested.
        cells: The sums from which every slice, rate and test is computed.
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
    """A finding that differs from an earlier report.

    Attributes:
        predicates: Its predicates now; those of the earlier report if it is gone.
        change: What has changed; `grown` and `shrunk` refer to its failure rate.
        before: Its rate in the earlier report; None if it is new.
        after: Its rate now; None if it is gone.
    """

    eval: str
    model: str
    predicates: tuple[Predicate, ...]
    change: ChangeKind
    before: Measured | None
    after: Measured | None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SliceResult:
    """The result of slicing.

    A notebook shows it as the page that `keras-otel slice -o report.html` writes.

    Attributes:
        accounting: Counts of what was read; None for ready rows.
        changes: Which findings are new, grown, shrunk or gone since an earlier report; None if there is none.
    """

    totals: Totals
    evals: tuple[EvalResult, ...]
    warnings: tuple[str, ...] = ()
    accounting: Accounting | None = None
    changes: tuple[Change, ...] | None = None

    def __repr__(self) -> str:
        findings = sum(slice_.is_finding for family in self.evals for slice_ in family.slices)
        tested = sum(family.slices_tested for family in self.evals)
        return (
            f"<SliceResult: {self.totals.failed:,.0f} of {self.totals.rows:,.0f} rows failed; "
            f"evaluations: {len(self.evals)}, slices tested: {tested:,}, findings: {findings}, "
            f"warnings: {len(self.warnings)}>"
        )

    def to_arrow(self, kind: Kind = "slices") -> pa.Table:
        """Return the slices, including `better`, or the cohorts as an Arrow table.

        Args:
            kind: `slices` or `cohorts`.

        Raises:
            OptionError: `kind` is neither.
        """
        table: pa.Table = resolve_name(_ARROW_TABLE)(self, kind)
        return table

    def to_pandas(self, kind: Kind = "slices") -> pd.DataFrame:
        """Return the same as a pandas data frame; pandas has to be installed."""
        return self.to_arrow(kind).to_pandas()

    def to_html(self, path: str | PathLike[str], trace_url: str | None = None) -> None:
        """Write the page to a file.

        Args:
            path: Path of the file, which is overwritten.
            trace_url: The address of a trace, with `{trace_id}` in it, to link examples to.

        Raises:
            OptionError: `trace_url` is not an http address with `{trace_id}` in it.
        """
        page: str = resolve_name(_PAGE)(self, trace_url)
        Path(path).write_text(page, encoding="utf-8")

    def _repr_html_(self) -> str:
        # In a frame, styles and scripts of the page and of the notebook do not affect each other.
        page = escape(resolve_name(_PAGE)(self))
        return (
            f'<iframe srcdoc="{page}" title="Failures by upstream prediction" width="100%" '
            'height="800" style="border: 0" sandbox="allow-scripts allow-popups"></iframe>'
        )
