"""Link traces to the server that shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from keras_otel.errors import OptionError

PLACE: Final = "{trace_id}"
_SHORT: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceLink:
    """An example trace; without `url` it is shown as text."""

    trace_id: str
    url: str | None

    @property
    def short(self) -> str:
        """First characters of the id: the link has all of it."""
        return self.trace_id if len(self.trace_id) <= _SHORT else f"{self.trace_id[:_SHORT]}…"


def trace_link(trace_id: str, trace_url: str | None) -> TraceLink:
    """Return the link to a trace, its id percent-encoded for the URL."""
    url = trace_url.replace(PLACE, quote(trace_id, safe="")) if trace_url else None
    return TraceLink(trace_id=trace_id, url=url)


def require_template(trace_url: str | None) -> None:
    """Check that a template is an address of traces.

    Raises:
        OptionError: `trace_url` is not an http address with `{trace_id}` in it.
    """
    if trace_url is None:
        return
    # A control character would end the link on a terminal, a space the one in Markdown.
    is_one_word = trace_url.isprintable() and " " not in trace_url
    is_http = urlsplit(trace_url).scheme in ("http", "https") if is_one_word else False
    if not is_http or PLACE not in trace_url:
        raise OptionError(
            f"option 'trace_url' is {trace_url!r}: write an http address with {PLACE} in it, such as "
            f"http://localhost:16686/trace/{PLACE}"
        )
