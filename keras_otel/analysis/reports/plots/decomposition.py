"""Draw mix and rate as bars, two for each part."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from keras_otel.analysis.reports.plots.inline_svg import COLOURS, draw_svg
from keras_otel.analysis.reports.plots.labels import shortened
from keras_otel.analysis.slices.rate_decomposition import Part

_BAR_IN = 0.3


def decomposition_plot(name: str, description: str, parts: Sequence[Part]) -> str:
    """Draw two bars for each part: what it adds by mix and by rate, in percentage points."""

    def draw(figure: Figure) -> None:
        ax = figure.subplots()
        for shift, (label, colour, hatch) in zip(
            (-0.2, 0.2), (("Mix", "series-1", ""), ("Rate", "series-2", "///")), strict=True
        ):
            ax.barh(
                [line + shift for line in range(len(parts))],
                [100 * (part.mix if label == "Mix" else part.rate) for part in parts],
                height=0.36,
                color=COLOURS[colour],
                edgecolor=COLOURS["panel"],
                hatch=hatch,
                linewidth=0,
                label=label,
            )
        ax.axvline(0, color=COLOURS["muted"], linewidth=1)
        ax.set_yticks(range(len(parts)), [shortened(part.value) for part in parts])
        ax.set_ylim(len(parts) - 0.5, -0.5)
        ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        ax.grid(axis="x", linewidth=0.6)
        ax.set_axisbelow(True)
        ax.tick_params(axis="both", length=0)
        ax.set_xlabel("Difference (percentage points)")
        figure.legend(loc="outside upper left", ncols=2, fontsize=10)

    return draw_svg(name, description, 1.2 + _BAR_IN * 1.4 * len(parts), draw)
