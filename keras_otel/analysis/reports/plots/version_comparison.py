"""Compare the version that fails most with the others, by the mix of classes and by their rates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from keras_otel import semconv
from keras_otel.analysis.reports import wording
from keras_otel.analysis.reports.numbers import points
from keras_otel.analysis.reports.plots.decomposition import decomposition_plot
from keras_otel.analysis.reports.plots.plot import Cells, Plot, largest, not_shown
from keras_otel.analysis.slices.rate_decomposition import Cell, Part, mix_and_rate

_MOST_PARTS: Final = 12
_FEWEST_ROWS: Final = 30  # of a version, to compare it with the others


def version_comparison(cells: Cells, prefix: str) -> Iterator[Plot]:
    """Draw how the version that fails most differs from all others; none for a single version.

    Args:
        cells: Rows and failures by version and class.
        prefix: Unique in the page.
    """
    versions = [version for version in largest(cells, 0) if _rows(cells, version) >= _FEWEST_ROWS]
    if len(versions) < 2:
        return
    worst = max(
        versions, key=lambda version: (_failures(cells, version) / _rows(cells, version), version)
    )
    parts = mix_and_rate(
        {value: cell for (version, value), cell in cells.items() if version == worst},
        _by_value({key: cell for key, cell in cells.items() if key[0] != worst}),
    )
    if not any(part.mix or part.rate for part in parts):
        return
    mix, rate = sum(part.mix for part in parts), sum(part.rate for part in parts)
    parts.sort(key=lambda part: (-max(abs(part.mix), abs(part.rate)), part.value))
    name = wording.predicate_text(semconv.MODEL_VERSION, worst)
    yield Plot(
        title=f"Why {name} differs from the other versions",
        detail=f"Its failure rate differs by {points(mix + rate)}: {points(mix)} by the mix of "
        f"classes, {points(rate)} by the rates within them."
        + not_shown(len(parts), min(len(parts), _MOST_PARTS), "class", "classes"),
        svg=decomposition_plot(
            f"{prefix}-mix",
            f"What each class adds to the difference between {name} and the other versions",
            [
                Part(
                    value=wording.value_text(semconv.PREDICTION_CLASS, part.value),
                    mix=part.mix,
                    rate=part.rate,
                )
                for part in parts[:_MOST_PARTS]
            ],
        ),
    )


def _rows(cells: Cells, version: str) -> float:
    return sum(n for key, (n, _) in cells.items() if key[0] == version)


def _failures(cells: Cells, version: str) -> float:
    return sum(k for key, (_, k) in cells.items() if key[0] == version)


def _by_value(cells: Cells) -> dict[str, Cell]:
    """Add up rows and failures by value over all versions."""
    sums: dict[str, Cell] = {}
    for (_, value), (n, k) in cells.items():
        before = sums.get(value, (0, 0))
        sums[value] = (before[0] + n, before[1] + k)
    return sums
