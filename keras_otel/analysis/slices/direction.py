"""Slices that fail more often than the rest, or those that fail less often: tested, chosen, described."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from keras_otel import semconv
from keras_otel.analysis.aggregation.cells import Cells, Floats, Mask, Predicates
from keras_otel.analysis.aggregation.features import Feature
from keras_otel.analysis.result import Example, Predicate, Slice
from keras_otel.analysis.slices.candidate_cache import KnownSlices
from keras_otel.analysis.slices.candidates import Candidates
from keras_otel.analysis.slices.comparison import Comparison, compared
from keras_otel.analysis.slices.confounding import Confounding, confounding
from keras_otel.analysis.slices.findings import CausalOrder, Finding, Search
from keras_otel.analysis.slices.screening import Elsewhere
from keras_otel.analysis.slices.selection import ranked, significant
from keras_otel.analysis.slices.settings import Settings
from keras_otel.analysis.slices.significance import Correction, false_discovery_rates
from keras_otel.analysis.slices.sums import Sums

_FIRST: Final = (semconv.MODEL_VERSION, semconv.BACKEND_NAME, semconv.RUNTIME_NAME)
_LATER: Final = (semconv.CONFIDENCE_BIN, semconv.DURATION_BIN)

MOST_LISTED: Final = 500
_MOST_REVERSALS: Final = 10


class Direction:
    """Slices that fail more often than the rest, or those that fail less often.

    Args:
        found: The slices to test.
        everything: The sums of all rows.
        settings: How to slice them.
        elsewhere: What was tested besides.
        is_better: Whether it is those that fail less often: what counts as a failure is then a success,
            for the tests.
    """

    def __init__(
        self,
        found: Candidates,
        everything: Sums,
        settings: Settings,
        elsewhere: Elsewhere,
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
        self.tested = int(np.isfinite(p).sum()) + len(elsewhere.p)
        choices = np.array((1.0, *elsewhere.choices))[found.level()]
        self._q = _corrected(np.minimum(p * choices, 1.0), elsewhere.p, settings.fdr)
        self._is_significant: Mask = significant(self._comparison, self._q, is_better=is_better)
        slices = KnownSlices(
            found,
            self._is_significant,
            self._tests.inflation,
            self.tested,
            choices,
            is_better=is_better,
        )
        self._search = Search(slices, _causal_order(cells))
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
                (semconv.MODEL_VERSION, *self._settings.adjust_for),
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


def _causal_order(cells: Cells) -> CausalOrder:
    """A model's answer and time come of its version and of where it runs."""
    places = {feature.name: place for place, feature in enumerate(cells.features)}
    return CausalOrder(
        first=frozenset(places[name] for name in _FIRST if name in places),
        later=frozenset(places[name] for name in _LATER if name in places),
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
