"""A result on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from keras_otel.analysis.reports.contents import CohortTable, Section, contents
from keras_otel.analysis.reports.slice_lines import SliceLine
from keras_otel.analysis.result import SliceResult

Ends = tuple[float, float, float]

_WIDE: Final = 76  # columns that the cohort table needs with its bar
_BAR: Final = 20
_TRACES: Final = 3
_BLOCKS: Final = "█▓░"
_ASCII_BLOCKS: Final = "#=-"


def render_table(result: SliceResult, console: Console) -> None:
    """Print totals, what was left out, cohorts, and the ranked slices.

    A bar is full up to the lower end of the rate's interval, half full up to the rate, and light
    up to the upper end; all bars of an evaluation have the same scale.

    Args:
        result: What to print.
        console: Where to; no markup is read from names or values.
    """
    report = contents(result)
    _print(console, Text(report.title, style="bold"))
    _print(console, Text(report.summary))
    _print(
        console, Text("; ".join(f"{name.lower()}: {value}" for name, value in report.totals[3:]))
    )
    for line in report.readings:
        _print(console, Text(line, style="dim"), indent=2)
    for warning in report.warnings:
        _print(console, Text.assemble(("Warning: ", "bold yellow"), warning))
    for section in report.sections:
        _print_section(console, section)


def _print_section(console: Console, section: Section) -> None:
    ends = [line.ends for line in section.slices]
    ends += [line.ends for cohorts in section.cohorts for line in cohorts.lines]
    scale = max((upper for _, _, upper in ends), default=1.0) or 1.0
    console.print()
    _print(console, Text(section.title, style="bold underline"))
    _print(console, Text(section.summary))
    for cohorts in section.cohorts:
        console.print()
        _print(console, Text(cohorts.heading, style="bold"))
        console.print(_cohort_table(cohorts, console, scale))
    if section.silence:
        console.print()
        _print(console, Text(section.silence, style="bold"))
    for rank, line in enumerate(section.slices, 1):
        console.print()
        for text, indent in _slice_texts(rank, line, console, scale):
            _print(console, text, indent)


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
            cells += [line.interval, bar(line.ends, scale, console)]
        table.add_row(*cells)
    return table


def _slice_texts(
    rank: int, line: SliceLine, console: Console, scale: float
) -> Iterator[tuple[Text, int]]:
    yield Text.assemble((f"{rank}. ", "bold"), (line.sentence, "bold")), 0
    figures = {figure.title: figure for figure in line.figures}
    rate, excess, risk = (
        figures[title] for title in ("Failure rate", "Failures too many", "Risk ratio")
    )
    told = f"{rate.text} ({rate.detail})"
    yield Text.assemble(bar(line.ends, scale, console), f" {told}"), 3
    yield (
        Text(
            f"{figures['Failed'].text} of {figures['Rows'].text} rows failed; "
            f"failures too many: {excess.text} ({excess.detail}); "
            f"risk ratio: {risk.text} ({risk.detail}); "
            f"share of failures: {figures['Share of failures'].text}; q: {figures['q'].text}"
        ),
        3,
    )
    for note in line.notes:
        yield Text(note, style="yellow"), 3
    if line.trace_ids:
        yield Text(f"examples: {' '.join(line.trace_ids[:_TRACES])}", style="dim"), 3


def bar(ends: Ends, scale: float, console: Console) -> Text:
    """A rate and its interval as a bar of `_BAR` characters at full scale.

    Args:
        ends: Lower end, rate, upper end.
        scale: The rate of a full bar.
        console: Whether it can print blocks.
    """
    blocks = _ASCII_BLOCKS if console.options.ascii_only else _BLOCKS
    places = [round(_BAR * min(end / scale, 1.0)) for end in ends]
    lengths = [places[0], places[1] - places[0], places[2] - places[1]]
    text = "".join(block * length for block, length in zip(blocks, lengths, strict=True))
    return Text(text.ljust(_BAR), style="red")
