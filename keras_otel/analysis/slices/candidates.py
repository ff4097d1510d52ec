"""Every slice of up to three predicates that has enough rows to be tested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from keras_otel.analysis.aggregation.arrays import Floats
from keras_otel.analysis.aggregation.cells import Cells, Predicates
from keras_otel.analysis.slices.lattice import Grid, grids
from keras_otel.analysis.slices.sums import Summing, Sums

MIN_ROWS: Final = 30
MIN_ROWS_SHARE: Final = 0.005
MIN_EXPECTED_FAILURES: Final = 5.0

_SEED: Final = 20_261_125
_EXACT_BITS: Final = 53
"""Whole numbers of so many bits are added without rounding."""

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """S slices to test, no two of them with the same rows, those with fewer predicates first.

    Attributes:
        cells: The rows they are made of, grouped.
        levels: Numbers of predicates.
        chosen: For each grid in the order of `grids`, the indices of its slices that are candidates.
        axes: Each grid without its cells.
        sums: [S], over the rows of each slice.
    """

    cells: Cells
    levels: tuple[int, ...]
    chosen: tuple[Indices, ...]
    axes: tuple[Grid, ...]
    sums: Sums

    def __len__(self) -> int:
        return len(self.sums)

    def predicates(self, index: int) -> Predicates:
        """Return the predicates of a slice."""
        for grid, chosen in zip(self.axes, self.chosen, strict=True):
            if index < len(chosen):
                return grid.terms(int(chosen[index]))
            index -= len(chosen)
        raise IndexError(index)

    def predicate_counts(self) -> npt.NDArray[np.int64]:
        """Return the number of predicates of each slice, [S]."""
        counts = [len(chosen) for chosen in self.chosen]
        return np.repeat(np.array([len(grid.axes) for grid in self.axes], np.int64), counts)

    def endpoint_counts(self) -> npt.NDArray[np.int64]:
        """Count the values and ends of ranges that describe each slice, [S]."""
        parts = [
            grid.endpoint_counts()[chosen]
            for grid, chosen in zip(self.axes, self.chosen, strict=True)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def flipped(self) -> Candidates:
        """Return the same slices with failures and successes swapped."""
        return replace(self, cells=self.cells.flipped(), sums=self.sums.flipped())

    def totals(self, *values: Floats) -> tuple[Floats, ...]:
        """Add values of the cells, [C] each, up over each slice, [S] each."""
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
        summing: Adds up those rows.
        levels: Numbers of predicates of a slice.
        support: Minimum number of rows.
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
    is_first = _are_first(np.concatenate(sums_of_marks or [np.zeros(0)]))
    stops = np.cumsum([len(part) for part in places])
    chosen_by_grid = [
        part[is_first[stop - len(part) : stop]] for part, stop in zip(places, stops, strict=True)
    ]
    without_sums = Candidates(
        cells=cells,
        levels=tuple(levels),
        chosen=tuple(chosen_by_grid),
        axes=tuple(without_cells),
        sums=Sums.concatenated([]),
    )
    return replace(without_sums, sums=_sums(without_sums, summing))


def support_of(rows: float, min_support: int | None) -> float:
    """Return the minimum number of rows of a slice: the one given, else 30, or 0.5 % of all if that is more."""
    return max(MIN_ROWS, MIN_ROWS_SHARE * rows) if min_support is None else min_support


def _marks(cells: Cells) -> Floats:
    """Draw a random whole number for each cell: two slices with the same sum of them have the same rows.

    The numbers are so small that sums over all cells are exact.
    """
    bits = _EXACT_BITS - max(1, len(cells.rows)).bit_length()
    marks = np.random.default_rng(_SEED).integers(1, 2**bits, len(cells.rows))
    return marks.astype(np.float64) * (cells.rows > 0)


def _are_first(marks: Floats) -> npt.NDArray[np.bool_]:
    """Return whether each sum is the first with its value: its slice has the rows of no slice before it."""
    _, first = np.unique(marks, return_index=True)
    is_first = np.zeros(len(marks), dtype=np.bool_)
    is_first[first] = True
    return is_first


def _sums(slices: Candidates, summing: Summing) -> Sums:
    """Add up the rows of each slice."""
    cells = slices.cells
    if cells.clusters is None and not cells.is_weighted:
        return Sums.of_rows(*slices.totals(cells.rows, cells.failed))
    every_grid = grids(cells, slices.levels)
    return Sums.concatenated(
        [
            _sums_of_grid(grid, chosen, summing)
            for grid, chosen in zip(every_grid, slices.chosen, strict=True)
            if len(chosen)
        ]
    )


def _sums_of_grid(grid: Grid, chosen: Indices, summing: Summing) -> Sums:
    """Add up the chosen slices of a grid.

    Slices that share cells are added up in different passes: each pass assigns a cell to one slice.
    """
    parts: list[tuple[Indices, Sums]] = []
    for slices, count in grid.layers():
        in_pass = np.intersect1d(chosen, slices)
        if len(in_pass):
            parts.append((in_pass, summing.by(slices, count + 1).select(in_pass)))
    order = np.argsort(np.concatenate([in_pass for in_pass, _ in parts]))
    return Sums.concatenated([sums for _, sums in parts]).select(order)
