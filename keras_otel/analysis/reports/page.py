"""A result as one self-contained page."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Final
from urllib.parse import quote, urlsplit

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from keras_otel.analysis.reports.contents import contents
from keras_otel.analysis.reports.slice_lines import SliceLine
from keras_otel.analysis.result import SliceResult
from keras_otel.errors import OptionError

PLACE: Final = "{trace_id}"
_TRACES: Final = 3
_SHORT: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceLink:
    """An example trace; without `url` it is shown as text."""

    trace_id: str
    url: str | None

    @property
    def short(self) -> str:
        """The id's first characters: the link holds the rest."""
        return self.trace_id if len(self.trace_id) <= _SHORT else f"{self.trace_id[:_SHORT]}…"


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

    if trace_url is not None:
        _require_template(trace_url)
    report = contents(result)
    script = _part("sort.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

    def links(line: SliceLine) -> list[TraceLink]:
        return [trace_link(trace_id, trace_url) for trace_id in line.trace_ids[:_TRACES]]

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_part("page.html.jinja")).render(
        report=report,
        links=links,
        plots={
            number: plots(section.family, f"plot-{number}")
            for number, section in enumerate(report.sections, 1)
        },
        css=Markup(_part("page.css")),  # noqa: S704 -- the package's own file
        script=Markup(script),  # noqa: S704 -- the package's own file
        script_hash=f"sha256-{digest}",
    )


def trace_link(trace_id: str, trace_url: str | None) -> TraceLink:
    """The link to a trace, its id quoted for a URL."""
    url = trace_url.replace(PLACE, quote(trace_id, safe="")) if trace_url else None
    return TraceLink(trace_id=trace_id, url=url)


def _require_template(trace_url: str) -> None:
    if urlsplit(trace_url).scheme not in ("http", "https") or PLACE not in trace_url:
        raise OptionError(
            f"option 'trace_url' is {trace_url!r}: write an http address with {PLACE} in it, such as "
            f"http://localhost:16686/trace/{PLACE}"
        )


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
