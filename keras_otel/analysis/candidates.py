"""Every slice of up to three predicates that has enough rows to be tested."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

from keras_otel.analysis.cells import Cells, Codes, Floats, Predicates, totals
from keras_otel.analysis.sums import Summing, Sums

MIN_ROWS: Final = 30
MIN_ROWS_SHARE: Final = 0.005
MIN_EXPECTED_FAILURES: Final = 5.0

_SEED: Final = 20_261_125
_DENSE: Final = 4
"""Groups up to so many times the cells are counted in an array of all that could be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Slices to test, no two of them with the same rows.

    Attributes:
        predicates: Of each slice, S of them; the shorter ones first.
        sums: [S], over its rows.
    """

    predicates: tuple[Predicates, ...]
    sums: Sums

    def __len__(self) -> int:
        return len(self.predicates)


def candidates(
    cells: Cells, summing: Summing, *, max_level: int = 3, min_support: int | None = None
) -> Candidates:
    """Find the slices to test.

    A slice needs max(30, 0.5 % of all) rows and five expected failures, whatever it has observed:
    leaving slices out by what they observed would make chance findings of the rest. Of several slices
    with the very same rows, as where one version always runs on one backend, the one with the
    fewest predicates is kept, and of those the first by feature.

    Args:
        cells: The rows.
        summing: Adds them up.
        max_level: Most predicates of a slice.
        min_support: Fewest rows, instead of the usual.
    """
    everything = summing.all
    rows, n = float(everything.rows[0]), float(everything.n[0])
    if not rows or not n:
        return Candidates(predicates=(), sums=Sums.joined([]))
    support = max(MIN_ROWS, MIN_ROWS_SHARE * rows) if min_support is None else min_support
    rate = float(everything.k[0]) / n
    differing = [n for n, feature in enumerate(cells.features) if len(feature.values) > 1]
    marks = np.random.default_rng(_SEED).random(len(cells.rows)) * (cells.rows > 0)
    seen: set[tuple[float, int]] = set()
    predicates: list[Predicates] = []
    sums: list[Sums] = []
    for level in range(1, max_level + 1):
        for places in combinations(differing, level):
            group = _Groups(cells, places)
            counts = totals(group.of_cell, cells.rows, group.count)
            is_tested = (counts >= support) & (counts * rate >= MIN_EXPECTED_FAILURES)
            is_tested &= counts < rows
            chosen = np.flatnonzero(is_tested)
            if not chosen.size:
                continue
            mark = totals(group.of_cell, marks, group.count)
            fresh = list(_fresh(chosen, counts, mark, seen))
            if fresh:
                predicates += [group.predicates(index) for index in fresh]
                sums.append(summing.by(group.of_cell, group.count).take(fresh))
    return Candidates(predicates=tuple(predicates), sums=Sums.joined(sums))


def _fresh(
    chosen: npt.NDArray[np.intp], counts: Floats, marks: Floats, seen: set[tuple[float, int]]
) -> Iterator[int]:
    """Those whose rows are not those of a slice seen before.

    Each cell has a random mark; two slices with as many rows and the same sum of marks have the same
    cells. Sums differ in their last digits by the order of their parts, which rounding takes away.
    """
    for index in chosen:
        rounded = round(float(marks[index]) * 1e6)
        keys = [(float(counts[index]), rounded + step) for step in (-1, 0, 1)]
        if any(key in seen for key in keys):
            continue
        seen.add(keys[1])
        yield int(index)


class _Groups:
    """The cells by their values of some features."""

    def __init__(self, cells: Cells, places: tuple[int, ...]) -> None:
        self._places = places
        self._sizes = [len(cells.features[place].values) for place in places]
        keys = np.zeros(len(cells.rows), dtype=np.int64)
        for place, size in zip(places, self._sizes, strict=True):
            keys = keys * size + cells.codes[:, place]
        self.count = int(np.prod(self._sizes))
        self._keys: Codes | None = None
        if self.count > _DENSE * len(keys):
            self._keys, inverse = np.unique(keys, return_inverse=True)
            keys, self.count = inverse.astype(np.int64), len(self._keys)
        self.of_cell = keys

    def predicates(self, index: int) -> Predicates:
        """What the cells of a group have in common."""
        key = index if self._keys is None else int(self._keys[index])
        codes = []
        for size in reversed(self._sizes):
            key, code = divmod(key, size)
            codes.append(code)
        return tuple(zip(self._places, reversed(codes), strict=True))
