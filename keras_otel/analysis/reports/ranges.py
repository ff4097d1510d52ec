"""Ranges of ordered attributes in words."""

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
    """What is known of an attribute whose values are ranges.

    Attributes:
        least: No value is below: a range from there has no lower end worth telling.
        most: No value is above.
        written: How an end is written, with its unit.
    """

    least: float = -math.inf
    most: float = math.inf
    written: Callable[[str], str] = str


def range_text(value: str, scale: Scale | None = None, *, in_sentence: bool = False) -> str | None:
    """A range such as `[0,0.9)` in words, "below 0.9"; None for what is no range of numbers.

    Args:
        value: The range as an interval.
        scale: Of the attribute; None where nothing is known of it, so that the end's exclusion
            is told: "25 up to 45".
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
    """Both ends of a range as they are written, None for an open one; None for what is no range."""
    found = _RANGE.fullmatch(value)
    if found is None:
        return None
    known = scale or Scale()
    lower, upper = found[2], found[3]
    return (
        known.written(lower) if float(lower) > known.least else None,
        known.written(upper) if float(upper) < known.most else None,
    )
