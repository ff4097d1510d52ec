"""Draw failure rates with their intervals, one line for each value."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from keras_otel.analysis.reports import wording
from keras_otel.analysis.reports.numbers import count, percent
from keras_otel.analysis.reports.plots.inline_svg import COLOURS, draw_svg
from keras_otel.analysis.reports.plots.labels import percent_axis, shortened
from keras_otel.analysis.result import Cohort

_LINE_IN = 0.3
_MARGIN_IN = 0.85


def rates_plot(name: str, description: str, cohorts: Sequence[Cohort], overall: float) -> str:
    """Draw each cohort's rate, its interval and its rows; a dashed line marks the overall rate."""

    def draw(figure: Figure) -> None:
        ax = figure.subplots()
        lines = list(range(len(cohorts)))
        rates = [100 * cohort.rate for cohort in cohorts]
        intervals = [[100 * end for end in cohort.ci] for cohort in cohorts]
        ax.axvline(100 * overall, color=COLOURS["muted"], linestyle="--", linewidth=1)
        ax.hlines(
            lines, *zip(*intervals, strict=True), color=COLOURS["accent"], linewidth=5, alpha=0.4
        )
        ax.plot(rates, lines, "o", color=COLOURS["accent"], markersize=7)
        ax.set_yticks(
            lines, [shortened(wording.value_text(cohort.by, cohort.value)) for cohort in cohorts]
        )
        ax.set_ylim(len(cohorts) - 0.5, -0.5)
        percent_axis(ax, max(100 * overall, *(high for _, high in intervals)))
        ax.set_xlabel(f"Failure rate (%); dashed: all rows, {percent(overall)}")
        right = ax.secondary_yaxis("right")
        right.set_yticks(lines, [_sizes(cohort) for cohort in cohorts])
        right.tick_params(length=0, labelcolor=COLOURS["muted"], labelsize=10)
        right.spines["right"].set_visible(False)

    return draw_svg(name, description, _MARGIN_IN + _LINE_IN * len(cohorts), draw)


def _sizes(cohort: Cohort) -> str:
    return f"{count(cohort.failed)} of {count(cohort.n)}"
