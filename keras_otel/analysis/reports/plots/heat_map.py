"""Draw the failure rates of each class under each version as a heat map."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from keras_otel.analysis.reports.numbers import count, percent
from keras_otel.analysis.reports.plots.inline_svg import COLOURS, WIDTH_IN, draw_svg
from keras_otel.analysis.reports.plots.labels import shortened
from keras_otel.analysis.slices.rate_decomposition import Cell

_CELL_IN = 0.45
_STRONGEST = 0.75  # of the accent's opacity: ink stays readable on it


def heat_map_plot(
    name: str,
    description: str,
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Sequence[Sequence[Cell]],
) -> str:
    """Draw a cell for each row and column; the higher the rate, the stronger its colour.

    Args:
        name: Unique in the page.
        description: What the plot shows.
        rows: Labels of the rows.
        columns: Labels of the columns.
        cells: Rows and failures, by row and column; an empty cell is an outline.
    """
    rates = [failed / n for line in cells for n, failed in line if n]
    highest = max(rates, default=0.0) or 1.0

    def draw(figure: Figure) -> None:
        ax = figure.subplots()
        for y, line in enumerate(cells):
            for x, (n, failed) in enumerate(line):
                _cell(ax, (x, y), failed / n / highest if n else None)
                if n:
                    _label(ax, (x, y), (n, failed))
        longest = max(6, int(WIDTH_IN * 7 / max(len(columns), 1)))
        ax.set_xticks(range(len(columns)), [shortened(column, longest) for column in columns])
        ax.set_yticks(range(len(rows)), [shortened(row) for row in rows])
        ax.set_xlim(-0.5, len(columns) - 0.5)
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.xaxis.tick_top()
        ax.tick_params(axis="both", length=0, labelcolor=COLOURS["ink"])
        for spine in ax.spines.values():
            spine.set_visible(False)

    return draw_svg(name, description, 0.4 + _CELL_IN * len(rows), draw)


def _cell(ax: Axes, at: tuple[int, int], strength: float | None) -> None:
    corner = (at[0] - 0.47, at[1] - 0.45)
    if strength is None:
        border = Rectangle(corner, 0.94, 0.9, fill=False, edgecolor=COLOURS["grid"], linewidth=0.8)
        ax.add_patch(border)
        return
    alpha = 0.06 + (_STRONGEST - 0.06) * strength
    ax.add_patch(
        Rectangle(corner, 0.94, 0.9, facecolor=COLOURS["accent"], edgecolor="none", alpha=alpha)
    )


def _label(ax: Axes, at: tuple[int, int], cell: Cell) -> None:
    n, failed = cell
    ax.text(at[0], at[1] - 0.02, percent(failed / n), ha="center", va="bottom", fontsize=11)
    ax.text(at[0], at[1] + 0.06, f"of {count(n)}", ha="center", va="top", fontsize=9)
