"""A result as one self-contained page."""

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
from keras_otel.analysis.reports.embedded_cells import carried
from keras_otel.analysis.reports.numbers import percent
from keras_otel.analysis.reports.slice_lines import SliceLine
from keras_otel.analysis.reports.trace_links import require_template, trace_link
from keras_otel.analysis.result import SliceResult

_MOST_CARDS: Final = 12
_MOST_BYTES: Final = 1_900_000
_DATA: Final = "cells-go-here"
_SCRIPTS: Final = (
    "sort.js",
    "explorer/statistics.js",
    "explorer/numbers.js",
    "explorer/cells.js",
    "explorer/plots.js",
    "explorer/explorer.js",
)


def render_html(result: SliceResult, trace_url: str | None = None) -> str:
    """Write the page: no network, its own script only, its colours those of the reader's system.

    With scripts its plots are an explorer: the cells travel with it. Without, they are drawn here.

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
    script = "\n".join(_part(name) for name in _SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    cards = {number: _cards(section) for number, section in enumerate(report.sections, 1)}
    page = environment.from_string(_part("page.html.jinja")).render(
        report=report,
        cards=cards,
        better=BETTER,
        since=CHANGES,
        no_change=NO_CHANGE,
        link=lambda trace_id: trace_link(trace_id, trace_url),
        at=_at,
        percent=percent,
        plots={
            number: plots(section.family, f"plot-{number}")
            for number, section in enumerate(report.sections, 1)
        },
        css=Markup(_part("page.css")),  # noqa: S704 -- the package's own file
        script=Markup(script),  # noqa: S704 -- the package's own file
        script_hash=f"sha256-{digest}",
        data=_DATA,
    )
    left = max(_MOST_BYTES - len(page.encode()), 0) // max(len(report.sections), 1)
    families = [
        _carried(section, cards[number], number, left)
        for number, section in enumerate(report.sections, 1)
    ]
    # No text of a value closes the element that holds the data.
    data = json.dumps(families, separators=(",", ":")).replace("<", "\\u003c")
    head, _, tail = page.rpartition(_DATA)
    return f"{head}{data}{tail}"


def _cards(section: Section) -> dict[str, Sequence[SliceLine]]:
    findings = [line for line in section.slices if line.is_finding]
    return {"findings": findings[:_MOST_CARDS], "better": section.better[:_MOST_CARDS]}


def _carried(
    section: Section, cards: dict[str, Sequence[SliceLine]], number: int, budget: int
) -> dict[str, Any] | None:
    """The cells of a section, with the cards whose rows can be selected."""
    ids = [
        (f"section-{number}-{kind}-{rank}", line.found)
        for kind, name in (("finding", "findings"), ("better", "better"))
        for rank, line in enumerate(cards[name], 1)
    ]
    cells = carried(section.family, [found for _, found in ids], budget)
    return None if cells is None else {**cells, "cards": [each for each, _ in ids]}


def _at(value: float, highest: float) -> str:
    """Where a rate is on a bar."""
    return f"{100 * min(max(value / highest, 0.0), 1.0):.2f}%"


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
