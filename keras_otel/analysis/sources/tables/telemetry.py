"""The records that every source is read into: spans and evaluations, with attribute values as text.

Attribute values are text in the form that the Collector gives them where a backend keeps strings
only, so that one data set reads the same from every source (see `text`). The records are named
tuples, because a million of each are made while reading.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

Attributes = Mapping[str, str]

LATEST_NS: Final = 2**63
"""Times and durations must be smaller: their columns have 64 bits."""

_MOST_REASONS: Final = 4

WRONG_SHAPE: Final = (
    AttributeError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)
"""The errors that a value of a wrong type, size or depth raises when it is read as if it were right."""


class Event(NamedTuple):
    """An event of a span, or a log record."""

    name: str
    time_ns: int | None
    attributes: Attributes


class Link(NamedTuple):
    """A link from one span to another."""

    trace_id: str
    span_id: str
    attributes: Attributes


class Span(NamedTuple):
    """One span.

    Attributes:
        trace_id: 32 hex digits, lower case.
        span_id: 16 hex digits, lower case.
        parent_span_id: 16 hex digits; None for a root.
        name: The span's name.
        scope: Name of the instrumentation scope.
        service: `service.name` of the resource.
        start_ns: Start, nanoseconds since the epoch.
        duration_ns: Nanoseconds.
        status: `unset`, `ok` or `error`.
        tracestate: As in W3C trace context; None where there is none.
        attributes: The attributes of the span.
        resource: The attributes of the resource.
        events: Its events.
        links: Its links to other spans.
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    scope: str | None
    service: str | None
    start_ns: int
    duration_ns: int
    status: str
    tracestate: str | None
    attributes: Attributes
    resource: Attributes
    events: Sequence[Event] = ()
    links: Sequence[Link] = ()


class Evaluation(NamedTuple):
    """One verdict on an answer, as it was given: whether it failed is decided later.

    Attributes:
        trace_id: 32 hex digits, lower case.
        span_id: The evaluated span; None where the whole trace was evaluated.
        name: Name of the evaluation.
        score: Its score; None where it has none or where it is no number.
        label: Its label.
        passed: Its pass/fail verdict; None where it carries none.
        error: The error of the evaluator itself; None where it ran.
        time_ns: When it was made, nanoseconds since the epoch.
        explanation: The evaluator's reason.
        upstream: The `keras.upstream.*` attributes that it carries.
    """

    trace_id: str
    span_id: str | None
    name: str
    score: float | None = None
    label: str | None = None
    passed: bool | None = None
    error: str | None = None
    time_ns: int | None = None
    explanation: str | None = None
    upstream: Attributes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadProblem:
    """Something that could not be read; the rest of the source was used.

    Attributes:
        source: The file or address.
        message: One clear clause, such as `the last line is cut off`.
        count: How often it occurred.
    """

    source: str
    message: str
    count: int = 1

    def __str__(self) -> str:
        """Return one line for a report."""
        times = f" ({self.count:,} times)" if self.count > 1 else ""
        return f"{self.source}: {self.message}{times}"


def unread_prefix(problems: Iterable[ReadProblem]) -> str:
    """Return the beginning of an error line: what could not be read, the most frequent first.

    It ends with `; so `, and is empty where everything was read.
    """
    counts: Counter[str] = Counter()
    sources: dict[str, list[str]] = {}
    for problem in problems:
        counts[problem.message] += problem.count
        sources.setdefault(problem.message, []).append(problem.source)
    clauses = []
    for message, count in counts.most_common(_MOST_REASONS):
        first, *others = dict.fromkeys(sources[message])
        more = f" and {len(others)} more" if others else ""
        clauses.append(str(ReadProblem(source=f"{first}{more}", message=message, count=count)))
    left_out = len(counts) - len(clauses)
    more = f", and {left_out} other reasons" if left_out else ""
    return f"{'; '.join(clauses)}{more}; so " if clauses else ""
