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
    found = _RANGE.fullmatch(value)
    if found is None:
        return None
    opening, lower, upper, closing = found.groups()
    known = scale or Scale()
    has_lower, has_upper = float(lower) > known.least, float(upper) < known.most
    low, high = (known.written(end) if math.isfinite(float(end)) else end for end in (lower, upper))
    if not has_lower and not has_upper:
        return "of any value"
    if not has_lower:
        return f"{'below' if closing == ')' else 'up to'} {high}"
    if not has_upper:
        return f"{'at least' if opening == '[' else 'above'} {low}"
    if scale is not None:
        return f"{low} to {high}"
    prefix = ("from " if opening == "[" else "above ") if in_sentence or opening == "(" else ""
    return f"{prefix}{low} {'up to' if closing == ')' else 'to'} {high}"
