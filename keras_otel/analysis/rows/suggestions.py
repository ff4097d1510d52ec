"""Suggest names for one that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest_first(name: str, existing: Iterable[str], most: int = 8) -> str:
    """List existing names, those most similar to `name` first."""

    def distance(other: str) -> tuple[float, str]:
        return -difflib.SequenceMatcher(None, name, other).ratio(), other

    ranked = sorted(existing, key=distance)
    more = f" and {len(ranked) - most} more" if len(ranked) > most else ""
    return ", ".join(ranked[:most]) + more if ranked else "none"
