"""From rows to what is told of them: cells, slices, tests, selection."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from keras_otel import semconv as names
from keras_otel.analysis.candidates import Candidates, candidates
from keras_otel.analysis.cells import Cells, Predicates, cells_by_family
from keras_otel.analysis.cohorts import cohorts, version_cells
from keras_otel.analysis.comparison import Comparison, compared
from keras_otel.analysis.confounding import Confounding, confounding
from keras_otel.analysis.examples import example_traces
from keras_otel.analysis.features import features_of
from keras_otel.analysis.result import EvalResult, Example, Predicate, Slice, SliceResult, Totals
from keras_otel.analysis.selection import Redundancy, ranked, significant
from keras_otel.analysis.significance import Correction, false_discovery_rates
from keras_otel.analysis.sums import Summing, Sums
from keras_otel.analysis.tables import Rows

DEFAULT_BY: Final = (names.PREDICTION_CLASS, names.MODEL_VERSION, names.CONFIDENCE_BIN)
_MOST_LISTED: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How rows are sliced.

    Attributes:
        by: Attributes that get a list of their values; class, version and confidence by default.
        adjust_for: Attributes held fixed to look for confounding, besides the model's version.
        min_support: Fewest rows of a slice; 30 or 0.5 % of all rows by default.
        max_level: Most predicates of a slice, 1 to 3.
        fdr: How p values are corrected for the slices tested.
        list_all: Whether slices that are not significant are told as well, at most 200 of them.
    """

    by: tuple[str, ...] = ()
    adjust_for: tuple[str, ...] = ()
    min_support: int | None = None
    max_level: int = 3
    fdr: Correction = "bh"
    list_all: bool = False


def slice_rows(rows: Rows, settings: Settings) -> SliceResult:
    """Find the slices in which failures concentrate.

    Args:
        rows: One for each trace, model and evaluation.
        settings: How to slice them.
    """
    asked = (*settings.by, *settings.adjust_for)
    chosen = features_of(rows.table, rows.features, asked)
    warnings = [*rows.warnings, *chosen.left_out]
    families = []
    for eval_name, model, cells in cells_by_family(
        rows.table,
        chosen.features,
        is_clustered=rows.is_clustered,
        is_weighted=rows.is_weighted,
    ):
        family = _Family(eval_name, model, cells, settings)
        warnings += family.warnings()
        families.append(family)
    by_name = {feature.name: feature for feature in chosen.features}
    examples = example_traces(
        rows.table,
        [family.wanted_examples() for family in families],
        lambda name: by_name[name].of(rows.table),
    )
    return SliceResult(
        totals=_totals(rows, families),
        evals=tuple(family.result(found) for family, found in zip(families, examples, strict=True)),
        warnings=tuple(dict.fromkeys(warnings)),
        accounting=rows.accounting,
    )


class _Family:
    """One evaluation of the answers behind one model: a family of tests of its own."""

    def __init__(self, eval_name: str, model: str, cells: Cells, settings: Settings) -> None:
        self.eval_name = eval_name
        self.model = model
        self.cells = cells
        self.settings = settings
        summing = Summing(cells)
        self.everything = summing.all
        is_exact = cells.clusters is None and not cells.is_weighted
        self._found: Candidates = candidates(
            cells, summing, max_level=settings.max_level, min_support=settings.min_support
        )
        self._comparison: Comparison = compared(
            self._found.sums, self.everything, is_exact=is_exact
        )
        self._q = _corrected(self._comparison.p, settings)
        self._is_significant = significant(self._comparison, self._q)
        order = ranked(self._comparison, self._found.predicates)
        told = [index for index in order if self._is_significant[index]]
        self._kept = Redundancy(cells, is_exact=is_exact).kept(self._found, told)
        self._listed = self._kept
        if settings.list_all:
            others = [index for index in order if not self._is_significant[index]]
            self._listed = [*self._kept, *others][:_MOST_LISTED]
        self._confounding = {index: self._confounding_of(index) for index in self._listed}

    @property
    def tested(self) -> int:
        """Slices with a p value."""
        return int(np.isfinite(self._comparison.p).sum())

    def wanted_examples(self) -> tuple[str, str, list[tuple[Predicate, ...]]]:
        """The slices that example traces are wanted of."""
        return self.eval_name, self.model, [self._named(index) for index in self._listed]

    def warnings(self) -> Iterator[str]:
        """Reversals, in words."""
        for index in self._kept:
            for name in self._confounding[index].reversed_by:
                said = " and ".join(f"{p.attribute} = {p.value}" for p in self._named(index))
                yield (
                    f"Simpson's paradox: {said} fails more often than the rest in "
                    f"{self.eval_name} behind {self.model}, but less often once {name} is held fixed"
                )

    def result(self, examples: Sequence[tuple[Example, ...]]) -> EvalResult:
        """What is told, with the examples found for each listed slice."""
        by = self.settings.by or DEFAULT_BY
        return EvalResult(
            eval=self.eval_name,
            model=self.model,
            rows=self.cells.number(self.everything.n[0]),
            failed=self.cells.number(self.everything.k[0]),
            rate=_rate(self.everything),
            slices_tested=self.tested,
            cohorts=tuple(cohorts(self.cells, by)),
            slices=tuple(
                self._slice(index, few) for index, few in zip(self._listed, examples, strict=True)
            ),
            plot_cohorts=tuple(cohorts(self.cells, DEFAULT_BY)),
            version_cells=tuple(version_cells(self.cells)),
            cells=self.cells,
        )

    def _confounding_of(self, index: int) -> Confounding:
        stratifiers = dict.fromkeys((names.MODEL_VERSION, *self.settings.adjust_for))
        ratio = float(self._comparison.ratio[index])
        return confounding(self.cells, self._found.predicates[index], tuple(stratifiers), ratio)

    def _named(self, index: int) -> tuple[Predicate, ...]:
        return _named(self.cells, self._found.predicates[index])

    def _slice(self, index: int, examples: tuple[Example, ...]) -> Slice:
        sums, of = self._found.sums, self._comparison
        p, q = float(of.p[index]), float(self._q[index])
        return Slice(
            predicates=self._named(index),
            n=self.cells.number(sums.n[index]),
            failed=self.cells.number(sums.k[index]),
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
            significant=bool(self._is_significant[index]),
            errors=int(sums.errors[index]),
            traces=int(sums.traces[index]),
            confounded_by=self._confounding[index].by,
            example_trace_ids=tuple(example.trace_id for example in examples),
            examples=examples,
        )


def _corrected(p: np.ndarray, settings: Settings) -> np.ndarray:
    q = np.full_like(p, np.nan)
    is_tested = np.isfinite(p)
    q[is_tested] = false_discovery_rates(p[is_tested], settings.fdr)
    return q


def _named(cells: Cells, predicates: Predicates) -> tuple[Predicate, ...]:
    features = cells.features
    return tuple(
        Predicate(attribute=features[place].name, value=features[place].values[code])
        for place, code in predicates
    )


def _ends(interval: tuple[np.ndarray, np.ndarray], index: int) -> tuple[float, float]:
    lower, upper = interval
    return float(lower[index]), float(upper[index])


def _rate(sums: Sums) -> float:
    return float(sums.k[0] / sums.n[0]) if sums.n[0] else 0.0


def _totals(rows: Rows, families: Sequence[_Family]) -> Totals:
    everything = Sums.joined([family.everything for family in families])
    n, k = float(everything.n.sum()), float(everything.k.sum())
    counted = None if rows.accounting is None else rows.accounting.rows
    row_count = int(everything.rows.sum())
    return Totals(
        rows=n if rows.is_weighted else int(n),
        failed=k if rows.is_weighted else int(k),
        rate=k / n if n else 0.0,
        evaluated_traces=row_count if counted is None else counted.evaluated_traces,
        traces=int(everything.traces.sum()) if counted is None else counted.traces,
        errors=int(everything.errors.sum()),
        weighted=rows.is_weighted,
    )
