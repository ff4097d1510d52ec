"""Sums over every slice of some features at once.

The cells behind a set of features form a grid with one axis for each. A slice takes a value on each
axis, or a range of neighbouring values where they have an order; the sum over a range is the difference
of two running sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from keras_otel.analysis.aggregation.cells import Cells, Codes, Floats, Term, totals
from keras_otel.analysis.aggregation.features import Feature

Ranges = Literal["all", "open", "none"]
"""Which ranges of an ordered feature are slices: all, those open at one end, or none."""

RANGES: Final[dict[int, Ranges]] = {1: "all", 2: "all", 3: "open"}
"""By the number of predicates: all ranges of three features would be too many."""
CLUSTERED_RANGES: Final[dict[int, Ranges]] = {1: "all", 2: "open", 3: "none"}
"""Sums of squares over clusters are no differences of running sums: each range costs a sort."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A feature in a grid.

    Attributes:
        place: Of the feature.
        size: Its values.
        low: [R], first value of each interval.
        high: [R], last value.
        ends: [R], how many ends it takes to describe it: 2 for what lies between two values, else 1.
    """

    place: int
    size: int
    low: Codes
    high: Codes
    ends: Codes

    @property
    def has_ranges(self) -> bool:
        """True if some interval joins several values."""
        return len(self.low) > self.size

    def layers(self) -> Iterator[Codes]:
        """Sets of intervals that have no value in common: [size], each value's interval or -1."""
        taken: list[Codes] = []
        for interval, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            for layer in taken:
                if (layer[low : high + 1] < 0).all():
                    break
            else:
                layer = np.full(self.size, -1, dtype=np.int64)
                taken.append(layer)
            layer[low : high + 1] = interval
        yield from taken


def axis(feature: Feature, place: int, ranges: Ranges) -> Axis:
    """List the intervals of a feature: each value, then the ranges that join several, open ones first.

    Args:
        feature: With `bounds` if it has an order.
        place: Of the feature.
        ranges: Which ranges count.
    """
    size, ordered = len(feature.values), len(feature.bounds)
    last = ordered - 1
    joined = [
        (low, high)
        for low in range(ordered)
        for high in range(low + 1, ordered)
        if not (low == 0 and high == last and size == ordered)
        and (ranges == "all" or (ranges == "open" and (low == 0 or high == last)))
    ]
    joined.sort(key=lambda ends: (ends[0] > 0 and ends[1] < last, ends))
    low = np.array([*range(size), *(ends[0] for ends in joined)])
    high = np.array([*range(size), *(ends[1] for ends in joined)])
    is_between = (low > 0) & (high < last)
    return Axis(place=place, size=size, low=low, high=high, ends=np.where(is_between, 2, 1))


class Grid:
    """The cells by their values of one to three features.

    Args:
        axes: The features.
        groups: [C], the place of each cell in the grid, the last axis running fastest.
    """

    def __init__(self, axes: tuple[Axis, ...], groups: Codes) -> None:
        self.axes = axes
        self.groups = groups
        self._shape = tuple(each.size for each in axes)
        self._count = int(np.prod(self._shape))

    def sums(self, values: Floats) -> Floats:
        """The sum of `values`, [C], over each slice of the grid, flat."""
        grid = totals(self.groups, values, self._count).reshape(self._shape)
        for number, each in enumerate(self.axes):
            if not each.has_ranges:
                continue
            running = np.zeros((*grid.shape[:number], each.size + 1, *grid.shape[number + 1 :]))
            np.cumsum(grid, axis=number, out=running[(slice(None),) * number + (slice(1, None),)])
            upper = np.take(running, each.high + 1, axis=number)
            grid = upper - np.take(running, each.low, axis=number)
        return grid.ravel()

    def layers(self) -> Iterator[tuple[Codes, int]]:
        """Sets of slices that have no cell in common.

        Yields:
            [C], each cell's slice, and `count` where it is in none; and `count`, the slices there are.
        """
        counts = tuple(len(each.low) for each in self.axes)
        count = int(np.prod(counts))
        places = np.unravel_index(self.groups, self._shape)
        for chosen in product(*(list(each.layers()) for each in self.axes)):
            slices = np.zeros(len(self.groups), dtype=np.int64)
            is_inside = np.ones(len(self.groups), dtype=np.bool_)
            for layer, codes, size in zip(chosen, places, counts, strict=True):
                intervals = layer[codes]
                is_inside &= intervals >= 0
                slices = slices * size + intervals
            yield np.where(is_inside, slices, count), count

    def ends(self) -> Codes:
        """How many ends it takes to describe each slice of the grid, flat."""
        counts: Codes = np.zeros(1, dtype=np.int64)
        for each in self.axes:
            counts = np.add.outer(counts, each.ends).ravel()
        return counts

    def terms(self, index: int) -> tuple[Term, ...]:
        """The predicates of a slice of the grid."""
        places = np.unravel_index(index, tuple(len(each.low) for each in self.axes))
        return tuple(
            Term(each.place, int(each.low[at]), int(each.high[at]))
            for each, at in zip(self.axes, places, strict=True)
        )


def grids(cells: Cells, levels: Sequence[int]) -> Iterator[Grid]:
    """Make every grid of so many features that have more than one value."""
    ranges = RANGES if cells.clusters is None else CLUSTERED_RANGES
    features = cells.features
    differing = [place for place, feature in enumerate(features) if len(feature.values) > 1]
    codes = {place: np.ascontiguousarray(cells.codes[:, place]) for place in differing}
    for level in levels:
        axes = {place: axis(features[place], place, ranges[level]) for place in differing}
        before: tuple[int, ...] = ()
        partial: Codes = np.zeros(0, dtype=np.int64)
        for places in combinations(differing, level):
            if places[:-1] != before or not before:
                before = places[:-1]
                partial = _groups(codes, before, axes, len(cells.rows))
            last = places[-1]
            groups = partial * axes[last].size + codes[last] if before else codes[last]
            yield Grid(tuple(axes[place] for place in places), groups)


def _groups(
    codes: dict[int, Codes], places: Sequence[int], axes: dict[int, Axis], count: int
) -> Codes:
    groups: npt.NDArray[np.int64] = np.zeros(count, dtype=np.int64)
    for place in places:
        groups = groups * axes[place].size + codes[place]
    return groups
