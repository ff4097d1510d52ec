"""A plot with its caption, and the choice of what there is room for."""

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
    """The versions (0) or values (1), those with most rows first."""
    sizes: dict[str, float] = {}
    for key, (n, _) in cells.items():
        sizes[key[place]] = sizes.get(key[place], 0) + n
    return sorted(sizes, key=lambda each: (-sizes[each], each))


def not_shown(total: int, shown: int, one: str, many: str = "") -> str:
    """A sentence for what there was no room for; empty if there was room for all."""
    return f" {count(total - shown, one, many)} with fewer rows not shown." if total > shown else ""
