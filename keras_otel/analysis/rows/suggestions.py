"""Names to suggest for one that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest_first(name: str, there: Iterable[str], most: int = 8) -> str:
    """Names that exist, those most like `name` first."""
    ranked = sorted(
        there, key=lambda each: (-difflib.SequenceMatcher(None, name, each).ratio(), each)
    )
    more = f" and {len(ranked) - most} more" if len(ranked) > most else ""
    return ", ".join(ranked[:most]) + more if ranked else "none"
