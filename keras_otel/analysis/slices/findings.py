"""Which slices to report: those that stand out, each by failures that the others do not explain.

Slices that hold a cause, a part of it, or much of it by chance all fail more often than the rest. The
best description is taken first, then the best of what it leaves unexplained, and so on; what a
later finding explains is given up again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from keras_otel.analysis.aggregation.cells import Floats, Mask
from keras_otel.analysis.slices.candidate_cache import KnownSlices, ratio
from keras_otel.analysis.slices.regression import Regression
from keras_otel.analysis.slices.regression_terms import effect
from keras_otel.analysis.slices.shortlist import ALPHA, Shortlist

MOST: Final = 20
"""Findings of a family: nobody reads more."""

_STEPS: Final = 2 * MOST
_KEPT_REGRESSIONS: Final = 8
_PLAIN: Final = 6.0  # standard errors
_NOTABLE_SHARE: Final = 0.2
"""Of the largest share of a slice's failures: findings with less do not explain it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A slice to report.

    Attributes:
        index: Of the candidate.
        ratio: Its failures, divided by those expected by all other findings.
        p: Of its failures, the other findings given.
    """

    index: int
    ratio: float
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CausalOrder:
    """What comes of what, where it is known.

    Attributes:
        first: Places of features such as the model's version.
        later: Places of features that come of them, such as the confidence: what they explain of
            the first is how these work, and does not explain it away.
    """

    first: frozenset[int] = frozenset()
    later: frozenset[int] = frozenset()


class Search:
    """Looks for the findings among candidates.

    Args:
        slices: The candidates.
        order: Which features come of which.
    """

    def __init__(self, slices: KnownSlices, order: CausalOrder) -> None:
        self._slices = slices
        self._order = order
        self._shortlist = Shortlist(slices)
        self._picked: list[int] = []
        self._regressions: dict[tuple[int, ...], Regression] = {}
        self._excess: dict[int, Floats] | None = None

    def findings(self) -> list[Finding]:
        """Find them, in the order in which they were found."""
        if not self._slices.is_significant.any():
            return []
        for _ in range(_STEPS):
            index = self._next() if len(self._picked) < MOST else None
            if index is None:
                break
            self._picked.append(index)
            self._shortlist.close(index)
            self._give_up()
        return [*self._described(), *self._first_causes()]

    def explaining(self, inside: Mask) -> list[int]:
        """The findings that a slice's failures come from, the one with most of them first.

        Args:
            inside: [C], the cells of the slice.
        """
        if self._excess is None:
            full = self._regression()
            self._excess = {
                index: full.expected - full.without(number)
                for number, index in enumerate(self._picked)
            }
        shares = {index: float(excess[inside].sum()) for index, excess in self._excess.items()}
        most = max(shares.values(), default=0.0)
        chosen = [index for index in shares if shares[index] >= _NOTABLE_SHARE * most]
        return sorted(chosen, key=lambda index: -shares[index])

    def _regression(self, kept: Sequence[int] | None = None) -> Regression:
        """The regression on some of the slices; on those picked by default."""
        key = tuple(self._picked if kept is None else kept)
        if key not in self._regressions:
            before = next(reversed(self._regressions.values()), None)
            effects = [self._slices.effect(index) for index in key]
            self._regressions[key] = Regression(self._slices.cells, effects, before)
            if len(self._regressions) > _KEPT_REGRESSIONS:
                self._regressions.pop(next(iter(self._regressions)))
        return self._regressions[key]

    def _next(self) -> int | None:
        """The slice that says most of what is unexplained."""
        regression, picked = self._regression(), self._picked
        if picked:
            index = self._shortlist.first_again(regression, picked, self._holds)
            if index is not None:
                return index
        self._shortlist.look_at_all(regression, is_first=not picked)
        return self._shortlist.first(regression, picked, self._holds)

    def _holds(self, index: int) -> bool:
        regression = self._regression([*self._picked, index])
        return self._slices.matters(regression, len(self._picked), index)

    def _give_up(self) -> None:
        """Drop findings, the weakest first, that the others explain."""
        while len(self._picked) > 1:
            full = self._regression()
            weakest, weakest_p = None, 0.0
            for number, index in enumerate(self._picked):
                p = 0.0 if self._is_plain(full, number, index) else self._p_given_others(index)
                p *= float(self._slices.choices[index])
                if not self._slices.matters(full, number, index):
                    p = 1.0 + p
                if not p <= self._shortlist.threshold and p > weakest_p:
                    weakest, weakest_p = index, p
            if weakest is None:
                return
            self._picked.remove(weakest)

    def _is_plain(self, full: Regression, number: int, index: int) -> bool:
        """True where a finding is so far from explained that it needs no exact test."""
        return full.z(number) > _PLAIN * math.sqrt(float(self._slices.inflation[index]))

    def _p_given_others(self, index: int) -> float:
        others = [other for other in self._picked if other != index]
        scores = self._regression(others).scores([self._slices.mask(index)])
        p = float(scores.p[0])
        return p if np.isfinite(p) else 1.0

    def _described(self) -> list[Finding]:
        full = self._regression()
        return [
            Finding(
                index=index,
                ratio=ratio(*self._slices.observed_and_expected(full, number, index)),
                p=self._p_given_others(index),
            )
            for number, index in enumerate(self._picked)
        ]

    def _first_causes(self) -> list[Finding]:
        """The values of first features that only what comes of them seemed to explain."""
        slices, later = self._slices, self._order.later
        kept = {
            tuple(term for term in slices.predicates(index) if term.place not in later)
            for index in self._picked
        }
        others = [effect(slices.cells, predicates) for predicates in sorted(kept) if predicates]
        values = slices.values_of(self._order.first)
        found = []
        for index in values:
            if index in self._picked:
                continue
            scores = Regression(slices.cells, others).scores([slices.mask(index)])
            full = Regression(slices.cells, [*others, slices.effect(index)])
            # They are significant by themselves; it is only these few that are tried again.
            is_apart = bool(scores.p[0] <= ALPHA / len(values))
            if is_apart and slices.matters(full, len(others), index):
                given = slices.observed_and_expected(full, len(others), index)
                found.append(Finding(index=index, ratio=ratio(*given), p=float(scores.p[0])))
        return found
