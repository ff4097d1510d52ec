"""Where a trace can be looked at."""

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
        """The id's first characters: the link holds the rest."""
        return self.trace_id if len(self.trace_id) <= _SHORT else f"{self.trace_id[:_SHORT]}…"


def trace_link(trace_id: str, trace_url: str | None) -> TraceLink:
    """The link to a trace, its id quoted for a URL."""
    url = trace_url.replace(PLACE, quote(trace_id, safe="")) if trace_url else None
    return TraceLink(trace_id=trace_id, url=url)


def require_template(trace_url: str | None) -> None:
    """Refuse what is no address of traces.

    Raises:
        OptionError: `trace_url` is not an http address with `{trace_id}` in it.
    """
    if trace_url is None:
        return
    # A control character would end the link on a terminal, a blank one in Markdown.
    is_one_word = trace_url.isprintable() and " " not in trace_url
    is_http = urlsplit(trace_url).scheme in ("http", "https") if is_one_word else False
    if not is_http or PLACE not in trace_url:
        raise OptionError(
            f"option 'trace_url' is {trace_url!r}: write an http address with {PLACE} in it, such as "
            f"http://localhost:16686/trace/{PLACE}"
        )
