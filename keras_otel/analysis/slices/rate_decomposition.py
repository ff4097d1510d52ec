"""Decompose the difference of two failure rates into mix and rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Cell = tuple[float, float]
"""Rows and failures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The contribution of one value to the difference of two rates.

    Attributes:
        value: The value, such as a class.
        mix: Contribution of its frequency.
        rate: Contribution of its failure rate.
    """

    value: str
    mix: float
    rate: float


def mix_and_rate(first: Mapping[str, Cell], second: Mapping[str, Cell]) -> list[Part]:
    """Decompose the rate of `first` minus the rate of `second`; the parts add up to it.

    The difference of a value's shares is weighted by the mean of its two rates, less the mean of the two
    overall rates, so that a more frequent value adds to the mix only if it fails more than average; the
    difference of its rates is weighted by the mean of its two shares. A value that one side lacks gets
    the other side's rate there, and so contributes to the mix only.

    Args:
        first: Rows and failures by value; not all empty.
        second: The same for the side it is compared with.

    Source:
        E. M. Kitagawa, "Components of a difference between two rates", Journal of the American
        Statistical Association 50 (1955), 1168-1194.
    """
    total_first, total_second = _total(first), _total(second)
    mean_rate = (total_first[1] / total_first[0] + total_second[1] / total_second[0]) / 2
    parts = []
    for value in dict.fromkeys([*first, *second]):
        n_first, k_first = first.get(value, (0, 0))
        n_second, k_second = second.get(value, (0, 0))
        if not n_first and not n_second:
            continue
        rate_first = k_first / n_first if n_first else k_second / n_second
        rate_second = k_second / n_second if n_second else rate_first
        share_first, share_second = n_first / total_first[0], n_second / total_second[0]
        mix = (share_first - share_second) * ((rate_first + rate_second) / 2 - mean_rate)
        rate = (rate_first - rate_second) * (share_first + share_second) / 2
        parts.append(Part(value=value, mix=mix, rate=rate))
    return parts


def _total(cells: Mapping[str, Cell]) -> Cell:
    return sum(n for n, _ in cells.values()), sum(k for _, k in cells.values())
