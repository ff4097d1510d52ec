"""Every slice of up to three predicates that has enough rows to be tested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from keras_otel.analysis.aggregation.cells import Cells, Floats, Predicates
from keras_otel.analysis.slices.lattice import Grid, grids
from keras_otel.analysis.slices.sums import Summing, Sums

MIN_ROWS: Final = 30
MIN_ROWS_SHARE: Final = 0.005
MIN_EXPECTED_FAILURES: Final = 5.0

_SEED: Final = 20_261_125
_EXACT_BITS: Final = 53
"""Whole numbers of so many bits are added without rounding."""

Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """S slices to test, no two of them with the same rows, those with fewer predicates first.

    Attributes:
        cells: What they are made of.
        levels: Numbers of predicates.
        chosen: For each grid in the order of `grids`, the places of its slices that are candidates.
        axes: For each grid, itself without its cells.
        sums: [S], over the rows of each slice.
    """

    cells: Cells
    levels: tuple[int, ...]
    chosen: tuple[Places, ...]
    axes: tuple[Grid, ...]
    sums: Sums

    def __len__(self) -> int:
        return len(self.sums)

    def predicates(self, index: int) -> Predicates:
        """What the rows of a slice have in common."""
        for grid, chosen in zip(self.axes, self.chosen, strict=True):
            if index < len(chosen):
                return grid.terms(int(chosen[index]))
            index -= len(chosen)
        raise IndexError(index)

    def level(self) -> npt.NDArray[np.int64]:
        """The number of predicates of each slice, [S]."""
        counts = [len(chosen) for chosen in self.chosen]
        return np.repeat(np.array([len(grid.axes) for grid in self.axes], np.int64), counts)

    def ends(self) -> npt.NDArray[np.int64]:
        """How many ends of ranges, and values, it takes to describe each slice, [S]."""
        parts = [grid.ends()[chosen] for grid, chosen in zip(self.axes, self.chosen, strict=True)]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def flipped(self) -> Candidates:
        """The same slices where successes count as failures."""
        return replace(self, cells=self.cells.flipped(), sums=self.sums.flipped())

    def totals(self, *values: Floats) -> tuple[Floats, ...]:
        """The sums of values of the cells, [C] each, over each slice, [S] each."""
        parts: list[list[Floats]] = [[] for _ in values]
        every = grids(self.cells, self.levels)
        for grid, chosen in zip(every, self.chosen, strict=True):
            if len(chosen):
                for part, value in zip(parts, values, strict=True):
                    part.append(grid.sums(value)[chosen])
        return tuple(np.concatenate(part) if part else np.zeros(0) for part in parts)


def candidates(
    cells: Cells, summing: Summing, *, levels: Sequence[int] = (1, 2, 3), support: float
) -> Candidates:
    """Find the slices to test.

    A slice needs enough rows and five expected failures, whatever it has observed: leaving slices out
    by what they observed would make chance findings of the rest. Of several slices with the very
    same rows, as where one version always runs on one backend, the one with the fewest predicates is
    kept, and of those the first by feature.

    Args:
        cells: The rows.
        summing: Adds them up.
        levels: Numbers of predicates of a slice.
        support: Fewest rows.
    """
    rows, n = float(summing.all.rows[0]), float(summing.all.n[0])
    rate = float(summing.all.k[0]) / n if n else 0.0
    marks = _marks(cells)
    places, counts, sums_of_marks, without_cells = [], [], [], []
    for grid in grids(cells, levels):
        count = grid.sums(cells.rows)
        is_tested = (count >= support) & (count * rate >= MIN_EXPECTED_FAILURES) & (count < rows)
        chosen = np.flatnonzero(is_tested)
        places.append(chosen)
        counts.append(count[chosen])
        sums_of_marks.append(grid.sums(marks)[chosen] if len(chosen) else np.zeros(0))
        without_cells.append(Grid(grid.axes, np.zeros(0, dtype=np.int64)))
    fresh = _fresh(np.concatenate(sums_of_marks or [np.zeros(0)]))
    ends = np.cumsum([len(part) for part in places])
    chosen_of = [part[fresh[end - len(part) : end]] for part, end in zip(places, ends, strict=True)]
    found = Candidates(
        cells=cells,
        levels=tuple(levels),
        chosen=tuple(chosen_of),
        axes=tuple(without_cells),
        sums=Sums.joined([]),
    )
    return replace(found, sums=_sums(found, summing))


def support_of(rows: float, min_support: int | None) -> float:
    """The fewest rows of a slice: 30, or 0.5 % of all, unless it is given."""
    return max(MIN_ROWS, MIN_ROWS_SHARE * rows) if min_support is None else min_support


def _marks(cells: Cells) -> Floats:
    """Random whole numbers, one a cell: two slices with the same sum of them have the same rows."""
    bits = _EXACT_BITS - max(1, len(cells.rows)).bit_length()
    marks = np.random.default_rng(_SEED).integers(1, 2**bits, len(cells.rows))
    return marks.astype(np.float64) * (cells.rows > 0)


def _fresh(marks: Floats) -> npt.NDArray[np.bool_]:
    """Those whose rows are not those of a slice before them."""
    _, first = np.unique(marks, return_index=True)
    fresh = np.zeros(len(marks), dtype=np.bool_)
    fresh[first] = True
    return fresh


def _sums(found: Candidates, summing: Summing) -> Sums:
    cells = found.cells
    if cells.clusters is None and not cells.is_weighted:
        return Sums.of_rows(*found.totals(cells.rows, cells.failed))
    every = grids(cells, found.levels)
    return Sums.joined(
        [
            _sums_of_grid(grid, chosen, summing)
            for grid, chosen in zip(every, found.chosen, strict=True)
            if len(chosen)
        ]
    )


def _sums_of_grid(grid: Grid, chosen: Places, summing: Summing) -> Sums:
    """Collect the chosen slices' sums: slices that share cells are added up one set after another."""
    parts: list[tuple[Places, Sums]] = []
    for slices, count in grid.layers():
        here = np.intersect1d(chosen, slices)
        if len(here):
            parts.append((here, summing.by(slices, count + 1).take(here)))
    everywhere = np.concatenate([here for here, _ in parts])
    return Sums.joined([sums for _, sums in parts]).take(np.argsort(everywhere))
