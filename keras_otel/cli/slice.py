"""`keras-otel slice`: which upstream predictions the failures of LLM answers come from."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from keras_otel.cli.command import Command
from keras_otel.cli.times import point_in_time
from keras_otel.errors import KerasOtelError, OptionError

if TYPE_CHECKING:
    from keras_otel.analysis.result import SliceResult
    from keras_otel.analysis.slicing import Settings
    from keras_otel.analysis.sources.intake import Window

_FORMATS: Final = ("table", "json", "md", "html")
_SUFFIXES: Final = {
    ".json": "json",
    ".md": "md",
    ".markdown": "md",
    ".html": "html",
    ".htm": "html",
}
_EXTRA: Final = ("ibis", "duckdb", "pyarrow", "scipy", "rich", "jinja2", "matplotlib")


def add_options(command: argparse.ArgumentParser) -> None:
    """The options of `keras-otel slice`."""
    _add_sources(command)
    _add_rows(command)
    _add_questions(command)
    _add_statistics(command)
    _add_output(command)


def _add_sources(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("where traces and evaluations are")
    group.add_argument(
        "sources",
        metavar="SOURCE",
        nargs="*",
        help="OTLP JSON lines (files or folders, also gzip or zstd), a Jaeger JSON download, "
        "http://host:16686 (Jaeger), clickhouse://user@host/database, phoenix+http://host:6006, "
        "or Parquet",
    )
    group.add_argument(
        "--evals",
        metavar="SOURCE",
        action="append",
        default=[],
        help="evaluations that are elsewhere: a source as above, or CSV, JSON lines or Parquet with "
        "trace_id, span_id?, name, score?, label?, passed?",
    )
    group.add_argument(
        "--engine",
        metavar="URL",
        help="where rows are joined and grouped: spark://local or spark://host:7077 instead of DuckDB in "
        "this process; a clickhouse:// source is joined in ClickHouse",
    )
    group.add_argument(
        "--since", metavar="TIME", help="only predictions from then on: 2026-11-25, or 36h ago"
    )
    group.add_argument("--until", metavar="TIME", help="only predictions before then")


def _add_rows(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("ready rows instead of sources")
    group.add_argument(
        "--rows", metavar="FILE", type=Path, help="Parquet or CSV with one row for each answer"
    )
    group.add_argument("--failed", metavar="COLUMN", help="true or 1 where the answer failed")
    group.add_argument("--weight", metavar="COLUMN", help="how many answers a row stands for")


def _add_questions(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("what is asked")
    group.add_argument(
        "--model", metavar="NAME", action="append", default=[], help="only this upstream model"
    )
    group.add_argument(
        "--eval", metavar="NAME", action="append", default=[], help="only this evaluation"
    )
    group.add_argument(
        "--by",
        metavar="ATTR[,ATTR...]",
        type=_names,
        action="extend",
        default=[],
        help="attributes to list and to slice by, of the inference, the evaluated span or a resource",
    )
    group.add_argument(
        "--fail",
        metavar="RULE",
        action="append",
        default=[],
        help="when an evaluation failed that does not say so itself: 'faithfulness: score<0.5' or "
        "'verdict: label=no'",
    )


def _add_statistics(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("statistics")
    group.add_argument(
        "--cluster",
        metavar="ATTR",
        help="attribute, or column, whose rows depend on one another, such as session.id",
    )
    group.add_argument(
        "--adjust-for",
        metavar="ATTR[,ATTR...]",
        type=_names,
        action="extend",
        default=[],
        help="tell where holding this fixed changes a risk ratio; the model's version always is",
    )
    group.add_argument(
        "--sample-rate",
        metavar="SHARE",
        type=_share,
        help="share of traces that was kept, where their tracestate does not say",
    )
    group.add_argument(
        "--min-support",
        metavar="N",
        type=_positive,
        help="fewest rows of a slice (default: 30, or 0.5 %% of all)",
    )
    group.add_argument(
        "--max-level",
        metavar="N",
        type=int,
        choices=(1, 2, 3),
        default=3,
        help="most predicates of a slice (default: 3)",
    )
    group.add_argument(
        "--fdr",
        choices=("bh", "by"),
        default="bh",
        help="correction for many tests: Benjamini-Hochberg, or Benjamini-Yekutieli, which is "
        "stricter (default: bh)",
    )
    group.add_argument(
        "--all", action="store_true", help="list slices that are not significant too"
    )


def _add_output(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("output")
    group.add_argument(
        "--format",
        choices=_FORMATS,
        help="default: that of the output file's name, else table",
    )
    group.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="write there instead of printing"
    )
    group.add_argument(
        "--trace-url",
        metavar="URL",
        help="link example traces in the page: http://localhost:16686/trace/{trace_id}",
    )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _share(text: str) -> float:
    share = _number(text)
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: write a number over 0 and up to 1")
    return share


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number over 0")
    return int(text)


def run(parsed: argparse.Namespace) -> int:
    """Slice, write the report, and return 0; 2 where something keeps it from that."""
    try:
        _require_extra()
        kind = _format(parsed)
        if parsed.output is not None and not parsed.output.resolve().parent.is_dir():
            raise OptionError(f"-o {parsed.output}: there is no such folder")
        result = _ready_result(parsed) if parsed.rows is not None else _joined_result(parsed)
        _write(result, kind, parsed)
    except KerasOtelError as error:
        print(f"keras-otel slice: {error}", file=sys.stderr)
        return 2
    return 0


def _require_extra() -> None:
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        raise OptionError(
            f"{missing[0]} is not installed: pip install 'keras-otel[analysis]' brings what slice needs"
        )


def _format(parsed: argparse.Namespace) -> str:
    by_name = _SUFFIXES.get(parsed.output.suffix.lower()) if parsed.output is not None else None
    kind: str = parsed.format or by_name or "table"
    if parsed.trace_url is not None and kind != "html":
        raise OptionError("--trace-url links the traces of a page: it needs --format html")
    return kind


def _ready_result(parsed: argparse.Namespace) -> SliceResult:
    from keras_otel.analysis.ready_rows import read_rows, slice_failures

    if parsed.sources or parsed.evals:
        raise OptionError("--rows takes the place of SOURCE and --evals: give one or the other")
    if parsed.failed is None:
        raise OptionError("--rows needs --failed COLUMN: the one that says which answers failed")
    for option in ("model", "eval", "fail", "since", "until", "sample_rate", "engine"):
        if getattr(parsed, option):
            name = option.replace("_", "-")
            raise OptionError(f"--{name} is about traces: rows that are ready have been chosen")
    return slice_failures(
        read_rows(parsed.rows),
        failed=parsed.failed,
        by=parsed.by,
        weight=parsed.weight,
        cluster=parsed.cluster,
        adjust_for=parsed.adjust_for,
        min_support=parsed.min_support,
        max_level=parsed.max_level,
        fdr=parsed.fdr,
        list_all=parsed.all,
    )


def _joined_result(parsed: argparse.Namespace) -> SliceResult:
    from keras_otel.analysis.fail_rules import FailRule
    from keras_otel.analysis.slicing import slice_rows
    from keras_otel.analysis.sources.reading import open_sources
    from keras_otel.analysis.tables import Question, build_rows

    if not parsed.sources:
        raise OptionError(
            "there is no SOURCE: name the traces, such as traces.jsonl or http://localhost:16686"
        )
    for option in ("failed", "weight"):
        if getattr(parsed, option) is not None:
            raise OptionError(f"--{option} names a column of --rows, which is not given")
    question = Question(
        rules=tuple(FailRule.parse(rule) for rule in parsed.fail),
        models=tuple(parsed.model),
        evals=tuple(parsed.eval),
        by=(*parsed.by, *parsed.adjust_for),
        cluster=parsed.cluster,
        sample_rate=parsed.sample_rate,
    )
    sources = [*parsed.sources, *parsed.evals]
    with (
        _progress() as progress,
        open_sources(
            sources, window=_window(parsed), progress=progress, engine=parsed.engine
        ) as telemetry,
    ):
        rows = build_rows(telemetry, question)
        result = slice_rows(rows, _settings(parsed))
    unread = [f"{problem.source}: {problem.what}" for problem in telemetry.problems]
    return replace(result, warnings=(*unread, *result.warnings))


def _settings(parsed: argparse.Namespace) -> Settings:
    from keras_otel.analysis.slicing import Settings

    return Settings(
        by=tuple(parsed.by),
        adjust_for=tuple(parsed.adjust_for),
        min_support=parsed.min_support,
        max_level=parsed.max_level,
        fdr=parsed.fdr,
        list_all=parsed.all,
    )


def _window(parsed: argparse.Namespace) -> Window:
    from keras_otel.analysis.sources.intake import Window

    now = datetime.now(UTC)
    since, until = (
        None if text is None else point_in_time(text, now) for text in (parsed.since, parsed.until)
    )
    if since is not None and until is not None and since >= until:
        raise OptionError(f"--since {parsed.since} is not before --until {parsed.until}")
    return Window(since_ns=since, until_ns=until)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """A bar on standard error, where somebody looks at it; it goes when all is read."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("reading", total=None)

        def advance(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total)

        yield advance


def _write(result: SliceResult, kind: str, parsed: argparse.Namespace) -> None:
    try:
        if parsed.output is None:
            _render(result, kind, parsed, sys.stdout)
            return
        with parsed.output.open("w", encoding="utf-8") as file:
            _render(result, kind, parsed, file)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise OptionError(f"-o {parsed.output}: {error.strerror}") from error


def _render(result: SliceResult, kind: str, parsed: argparse.Namespace, to: TextIO) -> None:
    from rich.console import Console

    from keras_otel.analysis import reports

    match kind:
        case "json":
            to.write(reports.render_json(result, [*parsed.sources, *parsed.evals]))
        case "md":
            to.write(reports.render_markdown(result))
        case "html":
            to.write(reports.render_html(result, parsed.trace_url))
        case _:
            reports.render_table(result, Console(file=to))


SLICE: Final = Command(
    name="slice",
    help="Say which upstream predictions the failures of LLM answers concentrate in.",
    add_options=add_options,
    run=run,
)
