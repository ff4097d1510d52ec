"""Draw a matplotlib figure as inline SVG with the colours and fonts of the page around it."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final
from xml.etree import ElementTree as ET

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

COLOURS: Final[Mapping[str, str]] = {
    "ink": "#010201",
    "muted": "#010202",
    "grid": "#010203",
    "panel": "#010204",
    "accent": "#010205",
    "series-1": "#010206",
    "series-2": "#010207",
    "series-3": "#010208",
    "series-4": "#010209",
}
"""Placeholder colours, each replaced by the CSS variable of its name."""

WIDTH_IN: Final = 5.0
"""Width of a figure in inches: its text is readable when the page is 390 px wide."""

_SETTINGS: Final[Mapping[str, Any]] = {
    "axes.edgecolor": COLOURS["grid"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 11,
    "grid.color": COLOURS["grid"],
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.color": COLOURS["ink"],
    "text.parse_math": False,
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["ink"],
}
_SVG: Final = "{http://www.w3.org/2000/svg}"
_HREF: Final = "{http://www.w3.org/1999/xlink}href"
_FONT: Final = re.compile(r"(font(?:-family)?:)[^;]*'[^;]*")
_REFERENCE: Final = re.compile(r"url\(#([^)]+)\)")


def draw_svg(name: str, description: str, height_in: float, draw: Callable[[Figure], None]) -> str:
    """Draw a figure and return the SVG element.

    Args:
        name: Unique in the page; every id of the SVG starts with it.
        description: What the plot shows, for readers who do not see it.
        height_in: Height in inches; the width is `WIDTH_IN`.
        draw: Draws, with `COLOURS` only.
    """
    settings: Any = {**_SETTINGS, "svg.hashsalt": name}
    with mpl.rc_context(settings), warnings.catch_warnings():
        # Matplotlib's font only measures the text; the browser's fonts draw it, and have every script.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    return _inline(written.getvalue(), name, description)


def _inline(text: str, name: str, description: str) -> str:
    root = ET.fromstring(text)  # noqa: S314 -- written by matplotlib a line above
    # The first two are its metadata, with addresses, and a style sheet that the page has too.
    del root[:2]
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        for key, value in list(element.attrib.items()):
            del element.attrib[key]
            element.attrib[key.replace(_HREF, "href")] = _themed(key, value, name)
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title"}
    for size in ("width", "height"):
        root.attrib.pop(size)
    title = ET.Element("title", id=f"{name}-title")
    title.text = description
    root.insert(0, title)
    return ET.tostring(root, encoding="unicode")


def _themed(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == _HREF:
        return value.replace("#", f"#{name}-", 1)
    if key == "style":
        value = _FONT.sub("", value)
    for variable, stand_in in COLOURS.items():
        value = value.replace(stand_in, f"var(--{variable})")
    return _REFERENCE.sub(rf"url(#{name}-\1)", value)
