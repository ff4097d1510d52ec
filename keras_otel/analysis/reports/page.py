"""A result as one self-contained page."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from keras_otel.analysis.reports.contents import BETTER, contents
from keras_otel.analysis.reports.quantities import percent
from keras_otel.analysis.reports.trace_links import require_template, trace_link
from keras_otel.analysis.result import SliceResult

_MOST_CARDS: Final = 12


def render_html(result: SliceResult, trace_url: str | None = None) -> str:
    """Write the page: no network, scripts only for sorting, its colours those of the reader's system.

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
    script = _part("sort.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_part("page.html.jinja")).render(
        report=report,
        better=BETTER,
        most_cards=_MOST_CARDS,
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
    )


def _at(value: float, highest: float) -> str:
    """Where a rate is on a bar."""
    return f"{100 * min(max(value / highest, 0.0), 1.0):.2f}%"


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
