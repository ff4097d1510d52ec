"""Format numbers: the same in every output, with units, never rounded to 0 % or 100 %."""

from __future__ import annotations

import math
from typing import Final

MISSING: Final = "n/a"


def percent(share: float | None) -> str:
    """Format a share as a percentage: whole from 10 to 90 %, else with one decimal.

    Only exactly 0 and 1 are "0 %" and "100 %": 0.9996 is "> 99.9 %".
    """
    if share is None or not math.isfinite(share):
        return MISSING
    if share in (0, 1):
        return f"{share:.0%}".replace("%", " %")
    value = 100 * share
    if abs(value) < 0.1:
        return "< 0.1 %" if value > 0 else "> -0.1 %"
    if 99.9 < value < 100:
        return "> 99.9 %"
    return f"{_number(value)} %"


def percent_range(interval: tuple[float, float] | None) -> str:
    """Format an interval of shares, such as "6.1 % to 12 %"."""
    if interval is None or not all(math.isfinite(end) for end in interval):
        return MISSING
    low, high = interval
    return f"{percent(low)} to {percent(high)}"


def points(difference: float | None) -> str:
    """Format a difference of shares in percentage points: its sign and one decimal, so that parts add up."""
    if difference is None or not math.isfinite(difference):
        return MISSING
    if 0 < abs(difference) < 0.0005:
        return "< +0.1 points" if difference > 0 else "> -0.1 points"
    return f"{100 * difference:{'+' if difference else ''}.1f} points"


def count(number: float | None, singular: str = "", plural: str = "") -> str:
    """Format a whole number with its noun.

    Args:
        number: The number; sums of weights are rounded.
        singular: The noun for exactly one.
        plural: The noun for any other number; `singular` with an "s" by default.
    """
    if number is None or not math.isfinite(number):
        return MISSING
    whole = round(number)
    noun = singular if whole == 1 else plural or f"{singular}s"
    return f"{whole:,} {noun}" if singular else f"{whole:,}"


def ratio(value: float | None) -> str:
    """Format a risk ratio, such as "3.9"."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "infinite"
    return f"{value:,.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.95 else f"{value:.2f}"


def ratio_range(interval: tuple[float, float] | None) -> str:
    """Format an interval of risk ratios."""
    return MISSING if interval is None else f"{ratio(interval[0])} to {ratio(interval[1])}"


def probability(value: float | None) -> str:
    """Format a p or q value; very small ones as a bound."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value < 0.0001:
        return "< 0.0001"
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def duration(seconds: float | None) -> str:
    """Format a duration in s, ms or µs."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs" if seconds else "0 s"


def _number(value: float) -> str:
    """Format with one decimal below 10 and above 90, none between, and no trailing zero."""
    is_whole = 9.95 <= abs(value) < 90.05
    return f"{value:.0f}" if is_whole else f"{value:.1f}".removesuffix(".0")
