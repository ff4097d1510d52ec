"""Axes and labels of all plots."""

from __future__ import annotations

from typing import Final

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

LONGEST: Final = 18


def shortened(text: str, longest: int = LONGEST) -> str:
    """Shorten a label to one line of at most `longest` characters; tables show all of it."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…"


def percent_axis(ax: Axes, highest: float) -> None:
    """Draw a horizontal axis from 0 to slightly above `highest`, in percent, at most to 100."""
    ax.set_xlim(0, min(max(highest * 1.08, 1), 102))
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    ax.grid(axis="x", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(axis="both", length=0)
