"""Compute the sums over all slices of some features at once.

The cells of a set of features form a grid with an axis for each feature. A slice has one value on each axis,
or a range of neighbouring values if they have an order; the sum over a range is the difference of two
cumulative sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from keras_otel.analysis.aggregation.arrays import Codes, Floats
from keras_otel.analysis.aggregation.cells import Cells, Term, totals
from keras_otel.analysis.aggregation.features import Feature

Ranges = Literal["all", "open", "none"]
"""Ranges of an ordered feature that are slices: all, those open at one end, or none."""

RANGES: Final[dict[int, Ranges]] = {1: "all", 2: "all", 3: "open"}
"""By the number of predicates: all ranges of three features would be too many."""
CLUSTERED_RANGES: Final[dict[int, Ranges]] = {1: "all", 2: "open", 3: "none"}
"""The same with clusters: sums of squares over clusters are no differences of cumulative sums, so that each range
costs a sort."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A feature in a grid.

    Attributes:
        place: Place of the feature.
        size: Number of its values.
        low: [R], first value of each interval.
        high: [R], last value of each interval.
        endpoints: [R], number of ends that describe it: 2 for a range with both ends, else 1.
    """

    place: int
    size: int
    low: Codes
    high: Codes
    endpoints: Codes

    @property
    def has_ranges(self) -> bool:
        """Whether some interval joins several values."""
        return len(self.low) > self.size

    def layers(self) -> Iterator[Codes]:
        """Divide the intervals into sets of disjoint ones.

        Yields:
            [size], the interval of each value, or -1 if it is in none.
        """
        layers: list[Codes] = []
        for interval, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            for layer in layers:
                if (layer[low : high + 1] < 0).all():
                    break
            else:
                layer = np.full(self.size, -1, dtype=np.int64)
                layers.append(layer)
            layer[low : high + 1] = interval
        yield from layers


def make_axis(feature: Feature, place: int, ranges: Ranges) -> Axis:
    """List the intervals of a feature: each value, then the ranges that join several, open ones first.

    Args:
        feature: With `bounds` if it has an order.
        place: Place of the feature.
        ranges: Which ranges are listed.
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
    return Axis(place=place, size=size, low=low, high=high, endpoints=np.where(is_between, 2, 1))


class Grid:
    """The cells by their values of one to three features.

    Args:
        axes: The features.
        groups: [C], the place of each cell in the grid, the last axis varying fastest.
    """

    def __init__(self, axes: tuple[Axis, ...], groups: Codes) -> None:
        self.axes = axes
        self.groups = groups
        self._shape = tuple(axis.size for axis in axes)
        self._count = int(np.prod(self._shape))

    def sums(self, values: Floats) -> Floats:
        """Add `values`, [C], up over each slice of the grid, flat."""
        grid = totals(self.groups, values, self._count).reshape(self._shape)
        for number, axis in enumerate(self.axes):
            if not axis.has_ranges:
                continue
            cumulative = np.zeros((*grid.shape[:number], axis.size + 1, *grid.shape[number + 1 :]))
            np.cumsum(
                grid, axis=number, out=cumulative[(slice(None),) * number + (slice(1, None),)]
            )
            upper = np.take(cumulative, axis.high + 1, axis=number)
            grid = upper - np.take(cumulative, axis.low, axis=number)
        return grid.ravel()

    def layers(self) -> Iterator[tuple[Codes, int]]:
        """Divide the slices into sets of disjoint ones.

        Yields:
            [C], the slice of each cell, or `count` if it is in none; and `count`, the number of slices.
        """
        counts = tuple(len(axis.low) for axis in self.axes)
        count = int(np.prod(counts))
        places = np.unravel_index(self.groups, self._shape)
        for chosen in product(*(list(axis.layers()) for axis in self.axes)):
            slices = np.zeros(len(self.groups), dtype=np.int64)
            is_inside = np.ones(len(self.groups), dtype=np.bool_)
            for layer, codes, size in zip(chosen, places, counts, strict=True):
                intervals = layer[codes]
                is_inside &= intervals >= 0
                slices = slices * size + intervals
            yield np.where(is_inside, slices, count), count

    def endpoint_counts(self) -> Codes:
        """Count the ends that describe each slice of the grid, flat."""
        counts: Codes = np.zeros(1, dtype=np.int64)
        for axis in self.axes:
            counts = np.add.outer(counts, axis.endpoints).ravel()
        return counts

    def terms(self, index: int) -> tuple[Term, ...]:
        """Return the predicates of a slice of the grid."""
        places = np.unravel_index(index, tuple(len(axis.low) for axis in self.axes))
        return tuple(
            Term(axis.place, int(axis.low[interval]), int(axis.high[interval]))
            for axis, interval in zip(self.axes, places, strict=True)
        )


def grids(cells: Cells, levels: Sequence[int]) -> Iterator[Grid]:
    """Yield the grid of each combination of so many features, of those that have more than one value."""
    ranges = RANGES if cells.clusters is None else CLUSTERED_RANGES
    features = cells.features
    differing = [place for place, feature in enumerate(features) if len(feature.values) > 1]
    codes = {place: np.ascontiguousarray(cells.codes[:, place]) for place in differing}
    for level in levels:
        axes = {place: make_axis(features[place], place, ranges[level]) for place in differing}
        leading: tuple[int, ...] = ()
        leading_groups: Codes = np.zeros(0, dtype=np.int64)
        for places in combinations(differing, level):
            if places[:-1] != leading or not leading:
                leading = places[:-1]
                leading_groups = _groups(codes, leading, axes, len(cells.rows))
            last = places[-1]
            groups = leading_groups * axes[last].size + codes[last] if leading else codes[last]
            yield Grid(tuple(axes[place] for place in places), groups)


def _groups(
    codes: dict[int, Codes], places: Sequence[int], axes: dict[int, Axis], count: int
) -> Codes:
    """Return the place of each cell in the grid of these features."""
    groups: npt.NDArray[np.int64] = np.zeros(count, dtype=np.int64)
    for place in places:
        groups = groups * axes[place].size + codes[place]
    return groups
