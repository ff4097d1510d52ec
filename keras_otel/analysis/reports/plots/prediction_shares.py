"""Draw the distribution of rows over fixed ranges, one outline for each group."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from keras_otel.analysis.reports.numbers import count
from keras_otel.analysis.reports.plots.inline_svg import COLOURS, draw_svg
from keras_otel.analysis.reports.plots.labels import shortened

SERIES = ("series-1", "series-2", "series-3", "series-4")
_DASHES = (
    "-",
    (0, (5, 2)),
    (0, (1.5, 1.5)),
    (0, (6, 2, 1.5, 2)),
)  # to tell groups apart without colour


def shares_plot(
    name: str,
    description: str,
    bins: Sequence[str],
    groups: Sequence[tuple[str, Sequence[float]]],
    axis: str,
) -> str:
    """Draw the share of each group's rows in each bin.

    Args:
        name: Unique in the page.
        description: What the plot shows.
        bins: The ranges' labels, in order; all are drawn equally wide.
        groups: Label and rows in each bin, for at most four groups.
        axis: Label of the axis, with the unit.
    """

    def draw(figure: Figure) -> None:
        ax = figure.subplots()
        for (group, rows), colour, dashes in zip(groups, SERIES, _DASHES, strict=False):
            total = sum(rows)
            heights = [100 * n / total if total else 0.0 for n in rows]
            label = f"{shortened(group)} ({count(total, 'row')})"
            ax.stairs(
                heights,
                range(len(bins) + 1),
                color=COLOURS[colour],
                linewidth=2,
                linestyle=dashes,
                label=label,
            )
            ax.stairs(heights, range(len(bins) + 1), color=COLOURS[colour], fill=True, alpha=0.12)
        ax.set_xticks([x + 0.5 for x in range(len(bins))], bins, rotation=40, ha="right")
        ax.set_xlim(0, len(bins))
        ax.set_ylim(bottom=0)
        ax.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        ax.grid(axis="y", linewidth=0.6)
        ax.tick_params(axis="both", length=0, labelsize=10)
        ax.set_xlabel(axis)
        ax.set_ylabel("Share of rows (%)")
        figure.legend(loc="outside upper left", ncols=2, fontsize=10)

    return draw_svg(name, description, 3.2, draw)
