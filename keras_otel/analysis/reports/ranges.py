"""Describe ranges of ordered attributes in words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_NUMBER: Final = r"[+-]?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|inf)"
_RANGE: Final = re.compile(rf"([\[(])\s*({_NUMBER})\s*,\s*({_NUMBER})\s*([\])])", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The scale of an attribute whose values are ranges.

    Attributes:
        minimum: The smallest possible value: a range from there is described without its lower end.
        maximum: The largest possible value.
        format_end: Formats an end of a range, with its unit.
    """

    minimum: float = -math.inf
    maximum: float = math.inf
    format_end: Callable[[str], str] = str


def range_text(value: str, scale: Scale | None = None, *, in_sentence: bool = False) -> str | None:
    """Describe a range such as `[0,0.9)` in words, "below 0.9"; None if the value is no range of numbers.

    Args:
        value: The range as an interval.
        scale: The scale of the attribute; with None the description says that the upper end is exclusive:
            "25 up to 45".
        in_sentence: Whether it follows the attribute's name: "from 25 up to 45".
    """
    ends = range_ends(value, scale)
    if ends is None:
        return None
    opening, closing, (low, high) = value[0], value[-1], ends
    if low is None and high is None:
        return "of any value"
    if low is None:
        return f"{'below' if closing == ')' else 'up to'} {high}"
    if high is None:
        return f"{'at least' if opening == '[' else 'above'} {low}"
    if scale is not None:
        return f"{low} to {high}"
    prefix = ("from " if opening == "[" else "above ") if in_sentence or opening == "(" else ""
    return f"{prefix}{low} {'up to' if closing == ')' else 'to'} {high}"


def range_ends(value: str, scale: Scale | None = None) -> tuple[str | None, str | None] | None:
    """Format both ends of a range, None for an open one; None if the value is no range."""
    match = _RANGE.fullmatch(value)
    if match is None:
        return None
    known = scale or Scale()
    lower, upper = match[2], match[3]
    return (
        known.format_end(lower) if float(lower) > known.minimum else None,
        known.format_end(upper) if float(upper) < known.maximum else None,
    )
