"""Test, select and describe the slices that fail more often than the rest, or those that fail less often."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from keras_otel import semconv
from keras_otel.analysis.aggregation.arrays import Floats, Mask
from keras_otel.analysis.aggregation.cells import Cells, Predicates
from keras_otel.analysis.aggregation.features import Feature
from keras_otel.analysis.result import Example, Predicate, Slice
from keras_otel.analysis.slices.candidate_cache import CandidateCache
from keras_otel.analysis.slices.candidates import Candidates
from keras_otel.analysis.slices.comparison import Comparison, compare
from keras_otel.analysis.slices.confounding import Confounding, confounding
from keras_otel.analysis.slices.findings import CausalOrder, Finding, Search
from keras_otel.analysis.slices.screening import ScreeningTests
from keras_otel.analysis.slices.selection import find_significant, rank
from keras_otel.analysis.slices.settings import Settings
from keras_otel.analysis.slices.significance import Correction, false_discovery_rates
from keras_otel.analysis.slices.sums import Sums

_CAUSES: Final = (semconv.MODEL_VERSION, semconv.BACKEND_NAME, semconv.RUNTIME_NAME)
_CONSEQUENCES: Final = (semconv.CONFIDENCE_BIN, semconv.DURATION_BIN)

MOST_LISTED: Final = 500
_MOST_REVERSALS: Final = 10


class Direction:
    """The slices that fail more often than the rest, or those that fail less often.

    Args:
        candidates: The slices to test.
        total: The sums over all rows.
        settings: How to slice the rows.
        screening_tests: Tests of the features that were screened out.
        is_better: Whether to look for slices that fail less often: the tests then count successes.
    """

    def __init__(
        self,
        candidates: Candidates,
        total: Sums,
        settings: Settings,
        screening_tests: ScreeningTests,
        *,
        is_better: bool = False,
    ) -> None:
        cells = candidates.cells
        self._cells = cells
        self._settings = settings
        self._candidates = candidates
        is_exact = cells.clusters is None and not cells.is_weighted
        self._comparison: Comparison = compare(candidates.sums, total, is_exact=is_exact)
        self._tests = self._comparison
        if is_better:
            candidates = candidates.flipped()
            self._tests = compare(candidates.sums, total.flipped(), is_exact=is_exact)
        p = self._tests.p
        self.tested = int(np.isfinite(p).sum()) + len(screening_tests.p)
        multiplicity = np.array((1.0, *screening_tests.multiplicity))[candidates.predicate_counts()]
        self._q = _corrected(np.minimum(p * multiplicity, 1.0), screening_tests.p, settings.fdr)
        self._is_significant: Mask = find_significant(
            self._comparison, self._q, is_better=is_better
        )
        slices = CandidateCache(
            candidates,
            self._is_significant,
            self._tests.inflation,
            self.tested,
            multiplicity,
            is_better=is_better,
        )
        self._search = Search(slices, _causal_order(cells))
        order = rank(self._comparison, is_better=is_better)
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
        return len(self._candidates)

    def is_reversed(self, index: int) -> bool:
        """Return whether a finding fails more often only with the other findings held fixed."""
        return index in self.findings and bool(self._comparison.ratio[index] < 1)

    def explained_single_predicates(self) -> list[int]:
        """Return the significant slices of one predicate that are no findings, the largest first."""
        single = self._candidates.predicate_counts() == 1
        significant = np.flatnonzero(self._is_significant & single)
        explained = [int(index) for index in significant if int(index) not in self.findings]
        explained.sort(key=lambda index: -self._comparison.excess_lower[index])
        return explained[:_MOST_REVERSALS]

    def confounding(self, index: int) -> Confounding:
        """Return how a slice's risk ratio changes with other attributes held fixed."""
        if index not in self._confounding:
            self._confounding[index] = confounding(
                self._cells,
                self._candidates.predicates(index),
                (semconv.MODEL_VERSION, *self._settings.adjust_for),
                float(self._comparison.ratio[index]),
            )
        return self._confounding[index]

    def predicates(self, index: int) -> tuple[Predicate, ...]:
        """Return the predicates of a slice, with names and values."""
        return name_predicates(self._cells, self._candidates.predicates(index))

    def slice(self, index: int, examples: tuple[Example, ...]) -> Slice:
        """Return the record of a slice."""
        sums, comparison = self._candidates.sums, self._comparison
        p, q = float(self._tests.p[index]), float(self._q[index])
        inside = self._cells.where(self._candidates.predicates(index))
        finding = self.findings.get(index)
        is_significant = bool(self._is_significant[index])
        explained_by = (
            [self.predicates(explaining) for explaining in self._search.findings_explaining(inside)]
            if is_significant and finding is None
            else []
        )
        confounded = self.confounding(index)
        return Slice(
            predicates=self.predicates(index),
            n=self._cells.number(sums.n[index]),
            failed=self._cells.number(sums.k[index]),
            rate=float(comparison.rate[index]),
            ci=_interval_at(comparison.rate_ci, index),
            rate_rest=float(comparison.rate_rest[index]),
            risk_difference=float(comparison.difference[index]),
            risk_ratio=float(comparison.ratio[index]),
            risk_ratio_ci=_interval_at(comparison.ratio_ci, index),
            excess_failures=float(comparison.excess[index]),
            excess_failures_lower=float(comparison.excess_lower[index]),
            share_of_failures=float(comparison.share[index]),
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


def _causal_order(cells: Cells) -> CausalOrder:
    """Return which features are causes and which are consequences.

    A model's confidence and latency are consequences of its version and of where it runs.
    """
    places = {feature.name: place for place, feature in enumerate(cells.features)}
    return CausalOrder(
        causes=frozenset(places[name] for name in _CAUSES if name in places),
        consequences=frozenset(places[name] for name in _CONSEQUENCES if name in places),
    )


def name_predicates(cells: Cells, predicates: Predicates) -> tuple[Predicate, ...]:
    """Convert predicates to records with names and values."""
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
    """Correct p values together with those of the screening; NaN where there is none."""
    q = np.full_like(p, np.nan)
    is_tested = np.isfinite(p)
    together = np.concatenate([p[is_tested], p_elsewhere])
    q[is_tested] = false_discovery_rates(together, correction)[: int(is_tested.sum())]
    return q


def _interval_at(interval: tuple[Floats, Floats], index: int) -> tuple[float, float]:
    """Return the interval of one slice."""
    lower, upper = interval
    return float(lower[index]), float(upper[index])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
