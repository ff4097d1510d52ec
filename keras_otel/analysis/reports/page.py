"""Write a result as one self-contained page."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any, Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from keras_otel.analysis.reports.change_lines import CHANGES, NO_CHANGE
from keras_otel.analysis.reports.contents import BETTER, Section, contents
from keras_otel.analysis.reports.embedded_cells import embedded_cells
from keras_otel.analysis.reports.numbers import percent
from keras_otel.analysis.reports.slice_lines import SliceLine
from keras_otel.analysis.reports.trace_links import require_template, trace_link
from keras_otel.analysis.result import SliceResult

_MOST_CARDS: Final = 12
_MOST_BYTES: Final = 1_900_000
_DATA_PLACEHOLDER: Final = "cells-go-here"
_SCRIPTS: Final = (
    "sort.js",
    "explorer/statistics.js",
    "explorer/numbers.js",
    "explorer/cells.js",
    "explorer/plots.js",
    "explorer/explorer.js",
)


def render_html(result: SliceResult, trace_url: str | None = None) -> str:
    """Write the page, which needs no network, runs only its own script, and follows the system's colour scheme.

    With scripts its plots are interactive, computed from the embedded cells; without, it shows plots that
    are drawn here.

    Args:
        result: What to show.
        trace_url: The address of a trace, with `{trace_id}` in it, such as
            `http://localhost:16686/trace/{trace_id}`.

    Raises:
        OptionError: `trace_url` is not an http address with `{trace_id}` in it.
    """
    from keras_otel.analysis.reports.plots.gallery import plots  # matplotlib takes half a second

    require_template(trace_url)
    report = contents(result)
    script = "\n".join(_read_file(name) for name in _SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    cards = {number: _cards(section) for number, section in enumerate(report.sections, 1)}
    page = environment.from_string(_read_file("page.html.jinja")).render(
        report=report,
        cards=cards,
        better=BETTER,
        since=CHANGES,
        no_change=NO_CHANGE,
        link=lambda trace_id: trace_link(trace_id, trace_url),
        at=_bar_position,
        percent=percent,
        plots={
            number: plots(section.family, f"plot-{number}")
            for number, section in enumerate(report.sections, 1)
        },
        css=Markup(_read_file("page.css")),  # noqa: S704 -- the package's own file
        script=Markup(script),  # noqa: S704 -- the package's own file
        script_hash=f"sha256-{digest}",
        data=_DATA_PLACEHOLDER,
    )
    left = max(_MOST_BYTES - len(page.encode()), 0) // max(len(report.sections), 1)
    families = [
        _embedded_section(section, cards[number], number, left)
        for number, section in enumerate(report.sections, 1)
    ]
    # Escaped, so that no value can close the element of the data.
    data = json.dumps(families, separators=(",", ":")).replace("<", "\\u003c")
    head, _, tail = page.rpartition(_DATA_PLACEHOLDER)
    return f"{head}{data}{tail}"


def _cards(section: Section) -> dict[str, Sequence[SliceLine]]:
    findings = [line for line in section.slices if line.is_finding]
    return {"findings": findings[:_MOST_CARDS], "better": section.better[:_MOST_CARDS]}


def _embedded_section(
    section: Section, cards: dict[str, Sequence[SliceLine]], number: int, budget: int
) -> dict[str, Any] | None:
    """Encode the cells of a section, with the ids of the cards whose rows can be selected."""
    slices_by_id = [
        (f"section-{number}-{kind}-{rank}", line.slice)
        for kind, name in (("finding", "findings"), ("better", "better"))
        for rank, line in enumerate(cards[name], 1)
    ]
    cells = embedded_cells(section.family, [slice_ for _, slice_ in slices_by_id], budget)
    return None if cells is None else {**cells, "cards": [card_id for card_id, _ in slices_by_id]}


def _bar_position(value: float, highest: float) -> str:
    """Return the place of a rate on a bar, in CSS."""
    return f"{100 * min(max(value / highest, 0.0), 1.0):.2f}%"


def _read_file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
