"""Print a result on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.style import Style
from rich.table import Table
from rich.text import Text

from keras_otel.analysis.reports.change_lines import CHANGES, NO_CHANGE, ChangeLine
from keras_otel.analysis.reports.contents import BETTER, CohortTable, Section, contents
from keras_otel.analysis.reports.slice_lines import SliceLine
from keras_otel.analysis.reports.trace_links import require_template, trace_link
from keras_otel.analysis.result import SliceResult

Interval = tuple[float, float, float]

_WIDE: Final = 76  # columns that the cohort table needs with its bar
_BAR: Final = 20
_BLOCKS: Final = "█▓░"
_ASCII_BLOCKS: Final = "#=-"


def render_table(result: SliceResult, console: Console, trace_url: str | None = None) -> None:
    """Print totals, what was left out, cohorts, and the ranked slices.

    A bar is dark up to the lower end of the rate's interval, medium up to the rate, and light up to the
    upper end; all bars of an evaluation have the same scale.

    Args:
        result: What to print.
        console: Where to print; markup in names or values is not interpreted.
        trace_url: The address of a trace, with `{trace_id}` in it: a terminal gets links (OSC 8).

    Raises:
        OptionError: `trace_url` is not an http address with `{trace_id}` in it.
    """
    require_template(trace_url)
    report = contents(result)
    _print(console, Text(report.title, style="bold"))
    _print(console, Text(report.summary))
    _print(
        console, Text("; ".join(f"{name.lower()}: {value}" for name, value in report.totals[3:]))
    )
    for line in report.accounting_lines:
        _print(console, Text(line, style="dim"), indent=2)
    for warning in report.warnings:
        _print(console, Text.assemble(("Warning: ", "bold yellow"), warning))
    if report.changes is not None:
        _print_changes(console, report.changes)
    for section in report.sections:
        _print_section(console, section, trace_url)


def _print_changes(console: Console, changes: Sequence[ChangeLine]) -> None:
    console.print()
    _print(console, Text(CHANGES, style="bold underline"))
    for line in changes:
        _print(console, Text.assemble((f"{line.word}: ", "bold"), line.text))
    if not changes:
        _print(console, Text(NO_CHANGE))


def _print_section(console: Console, section: Section, trace_url: str | None) -> None:
    scale = section.highest
    console.print()
    _print(console, Text(section.title, style="bold underline"))
    _print(console, Text(section.summary))
    for cohorts in section.cohorts:
        console.print()
        _print(console, Text(cohorts.heading, style="bold"))
        console.print(_cohort_table(cohorts, console, scale))
    if section.no_findings_reason:
        console.print()
        _print(console, Text(section.no_findings_reason, style="bold"))
    _print_slices(console, section.slices, scale, trace_url)
    if section.better:
        console.print()
        _print(console, Text(BETTER, style="bold"))
        _print_slices(console, section.better, scale, trace_url)


def _print_slices(
    console: Console, slices: Sequence[SliceLine], scale: float, trace_url: str | None
) -> None:
    for rank, line in enumerate(slices, 1):
        console.print()
        _print(console, Text(f"{rank}. {line.sentence}", style="bold"))
        details = [
            Text.assemble(bar(line.interval, scale, console), f" {line.rate}"),
            Text(line.details),
            *(Text(note, style="yellow") for note in line.notes),
            *_example_texts(line, trace_url),
        ]
        for text in details:
            _print(console, text, indent=3)


def _print(console: Console, text: Text, indent: int = 0) -> None:
    text.overflow = "fold"
    console.print(Padding(text, (0, 0, 0, indent), expand=False), highlight=False)


def _cohort_table(cohorts: CohortTable, console: Console, scale: float) -> Table:
    is_wide = console.width >= _WIDE
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("", overflow="fold")
    for title in ("rows", "failed", "rate"):
        table.add_column(title, justify="right", no_wrap=True)
    if is_wide:
        table.add_column("95 % interval", justify="right", no_wrap=True)
        table.add_column("", no_wrap=True, min_width=_BAR)
    for line in cohorts.lines:
        cells: list[Text | str] = [Text(line.value), line.rows, line.failed, line.rate]
        if is_wide:
            cells += [line.interval_text, bar(line.interval, scale, console)]
        table.add_row(*cells)
    return table


def _example_texts(line: SliceLine, trace_url: str | None) -> Iterator[Text]:
    links = [
        Text(
            example.trace_id,
            style=Style(dim=True, link=trace_link(example.trace_id, trace_url).url),
        )
        for example in line.examples
    ]
    if not any(example.explanation for example in line.examples):
        if links:
            yield Text.assemble(("examples: ", "dim"), Text(" ").join(links))
        return
    for example, link in zip(line.examples, links, strict=True):
        explanation = f": {example.explanation}" if example.explanation else ""
        yield Text.assemble(("example ", "dim"), link, explanation)


def bar(interval: Interval, scale: float, console: Console) -> Text:
    """Draw a rate and its interval as a bar of `_BAR` characters at full scale.

    Args:
        interval: Lower end, rate, upper end.
        scale: The rate of a full bar.
        console: Where it is printed: whether that can show blocks.
    """
    blocks = _ASCII_BLOCKS if console.options.ascii_only else _BLOCKS
    places = [round(_BAR * min(end / scale, 1.0)) for end in interval]
    lengths = [places[0], places[1] - places[0], places[2] - places[1]]
    text = "".join(block * length for block, length in zip(blocks, lengths, strict=True))
    return Text(text.ljust(_BAR), style="red")
