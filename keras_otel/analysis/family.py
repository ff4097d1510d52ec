"""One evaluation of the answers behind one model: a family of tests of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from keras_otel import semconv as names
from keras_otel.analysis.candidates import Candidates, candidates, support_of
from keras_otel.analysis.cells import Cells, Floats, Mask, Predicates
from keras_otel.analysis.cohorts import cohorts, version_cells
from keras_otel.analysis.comparison import Comparison, compared
from keras_otel.analysis.confounding import Confounding, confounding
from keras_otel.analysis.features import Feature
from keras_otel.analysis.findings import Finding, Search
from keras_otel.analysis.result import EvalResult, Example, Predicate, Slice
from keras_otel.analysis.selection import ranked, significant
from keras_otel.analysis.significance import Correction, false_discovery_rates
from keras_otel.analysis.sums import Summing, Sums

DEFAULT_BY: Final = (names.PREDICTION_CLASS, names.MODEL_VERSION, names.CONFIDENCE_BIN)

MOST_LISTED: Final = 500
_MOST_REVERSALS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How rows are sliced.

    Attributes:
        by: Attributes that get a list of their values; class, version and confidence by default.
        adjust_for: Attributes that confounding is always reported for, besides the model's version.
        min_support: Fewest rows of a slice; 30 or 0.5 % of all rows by default.
        max_level: Most predicates of a slice, 1 to 3.
        fdr: How p values are corrected for the slices tested.
        list_all: Whether all slices tested are listed, at most 500 of them.
        better: Whether slices that fail less often than the rest are reported too.
    """

    by: tuple[str, ...] = ()
    adjust_for: tuple[str, ...] = ()
    min_support: int | None = None
    max_level: int = 3
    fdr: Correction = "bh"
    list_all: bool = False
    better: bool = False


class Family:
    """The slices behind one model and one evaluation.

    Args:
        eval_name: The evaluation's name.
        model: The model's.
        cells: The rows.
        settings: How to slice them.
        p_elsewhere: Of slices that were tested besides, when features were screened.
    """

    def __init__(
        self,
        eval_name: str,
        model: str,
        cells: Cells,
        settings: Settings,
        p_elsewhere: Floats,
    ) -> None:
        self.eval_name = eval_name
        self.model = model
        self.cells = cells
        self.settings = settings
        summing = Summing(cells)
        self.everything: Sums = summing.all
        found = candidates(
            cells,
            summing,
            levels=range(1, settings.max_level + 1),
            support=support_of(float(summing.all.rows[0]), settings.min_support),
        )
        self.worse = Direction(found, self.everything, settings, p_elsewhere)
        self.better = (
            Direction(found, self.everything, settings, p_elsewhere, is_better=True)
            if settings.better
            else None
        )

    @property
    def tested(self) -> int:
        """Slices with a p value."""
        return self.worse.tested

    def wanted_examples(self) -> tuple[str, str, list[tuple[Predicate, ...]]]:
        """The slices that example traces are wanted of."""
        return self.eval_name, self.model, [self.worse.named(each) for each in self.worse.listed]

    def warnings(self) -> Iterator[str]:
        """Describe reversals, and what is not listed."""
        where = f"in {self.eval_name} behind {self.model}"
        for index in self.worse.findings:
            name = " and ".join(f"{p.attribute} = {p.value}" for p in self.worse.named(index))
            for adjusted in self.worse.confounding(index).adjustments:
                if adjusted.reverses:
                    yield (
                        f"Simpson's paradox: {name} fails more often than the rest {where}, but "
                        f"less often once {adjusted.attribute} is held fixed"
                    )
            if self.worse.is_reversed(index):
                ratio = self.worse.findings[index].ratio
                yield (
                    f"Simpson's paradox: {name} fails less often than the rest {where}, but "
                    f"{ratio:.2g} times as often once the other findings are held fixed"
                )
        for index in self.worse.single_and_explained():
            for adjusted in self.worse.confounding(index).adjustments:
                if adjusted.reverses:
                    name = " and ".join(
                        f"{p.attribute} = {p.value}" for p in self.worse.named(index)
                    )
                    yield (
                        f"Simpson's paradox: {name} fails more often than the rest {where}, but less "
                        f"often once {adjusted.attribute} is held fixed: it is not a finding"
                    )
        if self.settings.list_all and len(self.worse) > MOST_LISTED:
            yield f"{MOST_LISTED} of {len(self.worse):,} slices tested {where} are listed"

    def result(self, examples: Sequence[tuple[Example, ...]]) -> EvalResult:
        """Give everything that was found, with the examples of each listed slice."""
        by = self.settings.by or DEFAULT_BY
        n, k = float(self.everything.n[0]), float(self.everything.k[0])
        return EvalResult(
            eval=self.eval_name,
            model=self.model,
            rows=self.cells.number(n),
            failed=self.cells.number(k),
            rate=k / n if n else 0.0,
            slices_tested=self.tested,
            cohorts=tuple(cohorts(self.cells, by)),
            slices=tuple(
                self.worse.slice(index, found)
                for index, found in zip(self.worse.listed, examples, strict=True)
            ),
            plot_cohorts=tuple(cohorts(self.cells, DEFAULT_BY)),
            version_cells=tuple(version_cells(self.cells)),
            better=()
            if self.better is None
            else tuple(self.better.slice(index, ()) for index in self.better.listed),
            cells=self.cells,
        )


class Direction:
    """Slices that fail more often than the rest, or those that fail less often.

    Args:
        found: The slices to test.
        everything: The sums of all rows.
        settings: How to slice them.
        p_elsewhere: Of slices that were tested besides.
        is_better: Whether it is those that fail less often: what counts as a failure is then a success,
            for the tests.
    """

    def __init__(
        self,
        found: Candidates,
        everything: Sums,
        settings: Settings,
        p_elsewhere: Floats,
        *,
        is_better: bool = False,
    ) -> None:
        cells = found.cells
        self._cells = cells
        self._settings = settings
        self._found = found
        is_exact = cells.clusters is None and not cells.is_weighted
        self._comparison: Comparison = compared(found.sums, everything, is_exact=is_exact)
        self._tests = self._comparison
        if is_better:
            found = found.flipped()
            self._tests = compared(found.sums, everything.flipped(), is_exact=is_exact)
        p = self._tests.p
        self.tested = int(np.isfinite(p).sum()) + len(p_elsewhere)
        self._q = _corrected(p, p_elsewhere, settings.fdr)
        self._is_significant: Mask = significant(self._comparison, self._q, is_better=is_better)
        self._search = Search(
            found,
            self._is_significant,
            self._tests.inflation,
            self.tested,
            is_better=is_better,
        )
        order = ranked(self._comparison, is_better=is_better)
        described = {finding.index: finding for finding in self._search.findings()}
        self.findings: dict[int, Finding] = {
            index: described[index] for index in order if index in described
        }
        self.listed = list(self.findings)
        if settings.list_all and not is_better:
            others = [index for index in order if index not in described]
            others.sort(key=lambda index: not self._is_significant[index])
            self.listed = [*self.listed, *others][:MOST_LISTED]
        self._confounding: dict[int, Confounding] = {}

    def __len__(self) -> int:
        return len(self._found)

    def is_reversed(self, index: int) -> bool:
        """True for a finding that fails more often only once the other findings are held fixed."""
        return index in self.findings and bool(self._comparison.ratio[index] < 1)

    def single_and_explained(self) -> list[int]:
        """The significant slices of one predicate that are no findings, the largest first."""
        single = self._found.level() == 1
        here = np.flatnonzero(self._is_significant & single)
        explained = [int(index) for index in here if int(index) not in self.findings]
        explained.sort(key=lambda index: -self._comparison.excess_lower[index])
        return explained[:_MOST_REVERSALS]

    def confounding(self, index: int) -> Confounding:
        """What holding other attributes fixed does to a slice's risk ratio."""
        if index not in self._confounding:
            self._confounding[index] = confounding(
                self._cells,
                self._found.predicates(index),
                (names.MODEL_VERSION, *self._settings.adjust_for),
                float(self._comparison.ratio[index]),
            )
        return self._confounding[index]

    def named(self, index: int) -> tuple[Predicate, ...]:
        """The predicates of a slice, by name."""
        return named(self._cells, self._found.predicates(index))

    def slice(self, index: int, examples: tuple[Example, ...]) -> Slice:
        """Give everything known of a slice."""
        sums, of = self._found.sums, self._comparison
        p, q = float(self._tests.p[index]), float(self._q[index])
        inside = self._cells.where(self._found.predicates(index))
        finding = self.findings.get(index)
        is_significant = bool(self._is_significant[index])
        explained_by = (
            [self.named(other) for other in self._search.explaining(inside)]
            if is_significant and finding is None
            else []
        )
        confounded = self.confounding(index)
        return Slice(
            predicates=self.named(index),
            n=self._cells.number(sums.n[index]),
            failed=self._cells.number(sums.k[index]),
            rate=float(of.rate[index]),
            ci=_ends(of.rate_ci, index),
            rate_rest=float(of.rate_rest[index]),
            risk_difference=float(of.difference[index]),
            risk_ratio=float(of.ratio[index]),
            risk_ratio_ci=_ends(of.ratio_ci, index),
            excess_failures=float(of.excess[index]),
            excess_failures_lower=float(of.excess_lower[index]),
            share_of_failures=float(of.share[index]),
            p=p if math.isfinite(p) else None,
            q=q if math.isfinite(q) else None,
            significant=is_significant or finding is not None,
            errors=int(self._cells.errors[inside].sum()),
            traces=int(self._cells.traces[inside].sum()),
            confounded_by=confounded.by,
            adjustments=confounded.adjustments,
            explained_by=tuple(explained_by),
            example_trace_ids=tuple(example.trace_id for example in examples),
            examples=examples,
            adjusted_risk_ratio=None if finding is None else _finite(finding.ratio),
            adjusted_p=None if finding is None else finding.p,
        )


def named(cells: Cells, predicates: Predicates) -> tuple[Predicate, ...]:
    """Name predicates as they are reported."""
    return tuple(_predicate(cells.features[place], low, high) for place, low, high in predicates)


def _predicate(feature: Feature, low: int, high: int) -> Predicate:
    lower, upper = feature.ends(low, high)
    is_joined = low < high
    return Predicate(
        attribute=feature.name,
        value=feature.interval(low, high) if is_joined else feature.values[low],
        values=feature.values[low : high + 1] if is_joined else (),
        lower=lower,
        upper=upper,
    )


def _corrected(p: Floats, p_elsewhere: Floats, correction: Correction) -> Floats:
    q = np.full_like(p, np.nan)
    is_tested = np.isfinite(p)
    together = np.concatenate([p[is_tested], p_elsewhere])
    q[is_tested] = false_discovery_rates(together, correction)[: int(is_tested.sum())]
    return q


def _ends(interval: tuple[Floats, Floats], index: int) -> tuple[float, float]:
    lower, upper = interval
    return float(lower[index]), float(upper[index])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
