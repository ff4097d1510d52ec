"""Which of the slices tested are worth telling: significant, large, and not told by another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from keras_otel.analysis.candidates import Candidates
from keras_otel.analysis.cells import Cells, Mask, Predicates
from keras_otel.analysis.comparison import MIN_SHARE, Comparison, compared
from keras_otel.analysis.sums import Summing

FDR: Final = 0.05
"""Share of false findings among the findings, at most, on average."""
_ALPHA: Final = 0.05


def significant(comparison: Comparison, q: npt.NDArray[np.float64]) -> Mask:
    """Where q is at most 0.05, the risk ratio at least 1.2, and 1 % of the failures are in excess."""
    with np.errstate(invalid="ignore"):
        found: Mask = (q <= FDR) & comparison.is_large & (comparison.share >= MIN_SHARE)
    return found


def ranked(comparison: Comparison, predicates: Sequence[Predicates]) -> list[int]:
    """The slices by the lower end of their excess failures, the largest first."""

    def key(index: int) -> tuple[float, float, int, Predicates]:
        lower, excess = comparison.excess_lower[index], comparison.excess[index]
        return -float(lower), -float(excess), len(predicates[index]), predicates[index]

    return sorted(range(len(predicates)), key=key)


class Redundancy:
    """Tells slices from those that another slice explains.

    Args:
        cells: All rows.
        is_exact: Whether the exact test holds.
    """

    def __init__(self, cells: Cells, *, is_exact: bool) -> None:
        self._cells = cells
        self._is_exact = is_exact

    def kept(self, found: Candidates, chosen: Sequence[int]) -> list[int]:
        """Those of the chosen slices that are left.

        A longer slice stays only if it beats the rest of each shorter one around it by the same test.
        A shorter one goes if it is no longer significant once the longer ones that stay are
        taken out of it and of everything. Last, a slice goes that only overlaps with those ranked
        before it: without their rows it is not significant.

        Args:
            found: The slices.
            chosen: Places of those to choose from, in their ranking.
        """
        predicates = {index: frozenset(found.predicates[index]) for index in chosen}
        masks = {index: self._cells.where(found.predicates[index]) for index in chosen}
        by_length = sorted(chosen, key=lambda index: len(predicates[index]))
        stays: list[int] = []
        for index in by_length:
            around = [other for other in stays if predicates[other] < predicates[index]]
            if all(self._beats(masks[index], masks[other]) for other in around):
                stays.append(index)
        for index in reversed(by_length):
            if index not in stays:
                continue
            inside = [other for other in stays if predicates[index] < predicates[other]]
            if inside:
                taken_out = np.logical_or.reduce([masks[other] for other in inside])
                if not self._beats(masks[index] & ~taken_out, ~taken_out):
                    stays.remove(index)
        return self._apart([index for index in chosen if index in stays], predicates, masks)

    def _apart(
        self,
        ranked_: Sequence[int],
        predicates: Mapping[int, frozenset[tuple[int, int]]],
        masks: Mapping[int, Mask],
    ) -> list[int]:
        """Those that are significant without the rows of others ranked before them."""
        told: list[int] = []
        everything = np.ones(len(self._cells.rows), dtype=np.bool_)
        for index in ranked_:
            around = [other for other in told if predicates[other] < predicates[index]]
            before = [masks[other] for other in told if other not in around]
            if before:
                elsewhere = ~np.logical_or.reduce(before)
                inside = masks[index] & elsewhere
                populations = [everything, *(masks[other] for other in around)]
                # Many are tried here: each may be kept by chance.
                alpha = _ALPHA / len(ranked_)
                if not all(self._beats(inside, all_ & elsewhere, alpha) for all_ in populations):
                    continue
            told.append(index)
        return told

    def _beats(self, inside: Mask, around: Mask, alpha: float = _ALPHA) -> bool:
        """True if a slice has more failures than the rest of what is around it, by test and by size."""
        cells = self._cells.within(around)
        summing = Summing(cells)
        sums = summing.by(inside[around].astype(np.int64), 2).take([1])
        if not sums.rows[0] or sums.rows[0] >= summing.all.rows[0]:
            return False
        comparison = compared(sums, summing.all, is_exact=self._is_exact)
        return bool(comparison.p[0] <= alpha and comparison.is_large[0])
