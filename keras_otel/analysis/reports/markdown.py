"""Write a result as Markdown, for comments on pull requests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import quote as percent_encoded

from keras_otel.analysis.reports.change_lines import CHANGES, NO_CHANGE
from keras_otel.analysis.reports.contents import BETTER, CohortTable, Section, contents
from keras_otel.analysis.reports.slice_lines import SliceLine
from keras_otel.analysis.reports.trace_links import require_template, trace_link
from keras_otel.analysis.result import SliceResult

_MOST: Final = 20
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|~$&])")


def render_markdown(result: SliceResult, trace_url: str | None = None) -> str:
    """Write totals, warnings, findings and tables, with the first 20 items of each list.

    Values of attributes are in code spans, where nothing is read as a mention, a link, a formula or
    HTML.

    Args:
        result: What to write.
        trace_url: The address of a trace, with `{trace_id}` in it, to link examples to.

    Raises:
        OptionError: `trace_url` is not an http address with `{trace_id}` in it.
    """
    require_template(trace_url)
    report = contents(result, quote=code)
    lines = [f"## {report.title}", "", report.summary, ""]
    lines += [f"* {name}: {value}" for name, value in report.totals[3:]]
    lines += [f"* {line}" for line in report.accounting_lines]
    for warning in report.warnings:
        lines += ["", f"> **Warning:** {_prose(warning)}"]
    if report.changes is not None:
        changes = [f"* **{line.word}**: {line.text}" for line in report.changes]
        lines += ["", f"### {CHANGES}", "", *(changes or [NO_CHANGE])]
    for section in report.sections:
        lines += ["", *_section(section, trace_url)]
    lines += [
        "",
        "<details><summary>How to read this</summary>",
        "",
        *report.method,
        "",
        "</details>",
    ]
    return "\n".join(lines) + "\n"


def code(text: str) -> str:
    """Write a code span with exactly this text, on one line."""
    line = " ".join(text.split())
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def _prose(text: str) -> str:
    """Escape a text outside code spans."""
    escaped = _SPECIAL.sub(r"\\\1", " ".join(text.split()))
    return escaped.replace("@", "@<!-- -->")  # not a mention of an account


def _section(section: Section, trace_url: str | None) -> Iterator[str]:
    yield f"### {section.title}"
    yield ""
    yield section.summary
    if section.no_findings_reason:
        yield ""
        yield f"**{section.no_findings_reason}**"
    if section.slices:
        yield ""
        for rank, line in enumerate(section.slices[:_MOST], 1):
            if line.is_finding:
                yield f"{rank}. {line.sentence}"
                yield from _examples(line, trace_url, indent=len(f"{rank}. "))
        yield ""
        yield from _slice_table(section.slices)
    if section.better:
        yield ""
        yield f"#### {BETTER}"
        yield ""
        yield from _slice_table(section.better)
    for cohorts in section.cohorts:
        yield ""
        yield from _cohort_table(cohorts)


def _examples(line: SliceLine, trace_url: str | None, indent: int) -> Iterator[str]:
    for example in line.examples:
        link = trace_link(example.trace_id, trace_url)
        trace = code(example.trace_id)
        if link.url:
            trace = f"[{trace}](<{re.sub('[<>]', lambda bad: percent_encoded(bad[0]), link.url)}>)"
        explanation = f": {_prose(example.explanation)}" if example.explanation else ""
        if example.explanation or link.url:
            yield f"{' ' * indent}* {trace}{explanation}"


def _slice_table(slices: Sequence[SliceLine]) -> Iterator[str]:
    titles = [figure.title for figure in slices[0].figures]
    yield _row(["", "Slice", *titles])
    yield _row(["--:", ":--", *("--:" for _ in titles)])
    for rank, line in enumerate(slices[:_MOST], 1):
        name = "; ".join([line.name, *line.notes])
        yield _row([str(rank), name, *(_figure(f.text, f.detail) for f in line.figures)])
    yield from _more(len(slices), "slice")


def _cohort_table(cohorts: CohortTable) -> Iterator[str]:
    yield _row([cohorts.heading, "Rows", "Failed", "Failure rate", "95 % interval"])
    yield _row([":--", "--:", "--:", "--:", "--:"])
    for line in cohorts.lines[:_MOST]:
        yield _row([line.value, line.rows, line.failed, line.rate, line.interval_text])
    yield from _more(len(cohorts.lines), "value")


def _figure(text: str, detail: str) -> str:
    return f"{text} ({detail})" if detail else text


def _row(cells: Sequence[str]) -> str:
    # A vertical bar ends a cell even inside a code span.
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _more(total: int, noun: str) -> Iterator[str]:
    if total > _MOST:
        rest = total - _MOST
        yield ""
        yield f"{rest:,} more {noun}{'s'[: rest > 1]} not shown."
