"""A plot with its caption, and the selection of what it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keras_otel.analysis.reports.numbers import count
from keras_otel.analysis.slices.rate_decomposition import Cell

Cells = Mapping[tuple[str, str], Cell]
"""Rows and failures by version and value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A plot with its caption."""

    title: str
    detail: str
    svg: str


def largest(cells: Cells, place: int) -> list[str]:
    """Return the versions (0) or values (1), those with most rows first."""
    sizes: dict[str, float] = {}
    for key, (n, _) in cells.items():
        sizes[key[place]] = sizes.get(key[place], 0) + n
    return sorted(sizes, key=lambda label: (-sizes[label], label))


def not_shown(total: int, shown: int, singular: str, plural: str = "") -> str:
    """Write how many are not shown; empty if all are."""
    return (
        f" {count(total - shown, singular, plural)} with fewer rows not shown."
        if total > shown
        else ""
    )
