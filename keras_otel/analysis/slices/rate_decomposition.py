"""How a difference of two failure rates splits into mix and rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Cell = tuple[float, float]
"""Rows and failures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one value adds to the difference, in shares.

    Attributes:
        value: The value, such as a class.
        mix: By being more or less frequent.
        rate: By failing more or less often.
    """

    value: str
    mix: float
    rate: float


def mix_and_rate(one: Mapping[str, Cell], other: Mapping[str, Cell]) -> list[Part]:
    """Split the rate of `one` minus the rate of `other`; the parts add up to it.

    A value's share enters with the mean of its two rates, less the mean of the two overall rates, so
    that a more frequent value adds to the mix only if it fails more than usual; its rate enters with
    the mean of its two shares. A value that one side lacks has the other side's rate there: all it
    adds is mix.

    Args:
        one: Rows and failures by value; not all empty.
        other: The same for the side compared with.

    Source:
        E. M. Kitagawa, "Components of a difference between two rates", Journal of the American
        Statistical Association 50 (1955), 1168-1194.
    """
    total_one, total_other = _total(one), _total(other)
    usual = (total_one[1] / total_one[0] + total_other[1] / total_other[0]) / 2
    parts = []
    for value in dict.fromkeys([*one, *other]):
        n_one, k_one = one.get(value, (0, 0))
        n_other, k_other = other.get(value, (0, 0))
        if not n_one and not n_other:
            continue
        rate_one = k_one / n_one if n_one else k_other / n_other
        rate_other = k_other / n_other if n_other else rate_one
        share_one, share_other = n_one / total_one[0], n_other / total_other[0]
        mix = (share_one - share_other) * ((rate_one + rate_other) / 2 - usual)
        rate = (rate_one - rate_other) * (share_one + share_other) / 2
        parts.append(Part(value=value, mix=mix, rate=rate))
    return parts


def _total(cells: Mapping[str, Cell]) -> Cell:
    return sum(n for n, _ in cells.values()), sum(k for _, k in cells.values())
