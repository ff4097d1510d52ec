"""Run `keras-otel slice`: in which upstream predictions the failures of LLM answers concentrate."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, TextIO

from keras_otel._secrets import redacted
from keras_otel.cli.command import Command
from keras_otel.cli.slice_options import add_options
from keras_otel.cli.times import point_in_time
from keras_otel.errors import KerasOtelError, OptionError

if TYPE_CHECKING:
    from pathlib import Path

    from keras_otel.analysis.result import SliceResult
    from keras_otel.analysis.slices.changes import EarlierReport
    from keras_otel.analysis.slices.settings import Settings
    from keras_otel.analysis.sources.tables.writer import Window

_SUFFIXES: Final = {
    ".json": "json",
    ".md": "md",
    ".markdown": "md",
    ".html": "html",
    ".htm": "html",
    ".csv": "csv",
}
_REQUIRED_MODULES: Final = ("ibis", "duckdb", "pyarrow", "scipy", "rich", "jinja2", "matplotlib")

_FOR_TRACES_ONLY: Final = (
    "model",
    "eval",
    "fail",
    "since",
    "until",
    "sample_rate",
    "engine",
    "timeout",
    "header",
)


def run(parsed: argparse.Namespace) -> int:
    """Slice, write the report, and return the exit code: 0, 1 for what `--fail-on` names, 2 for errors."""
    try:
        _require_extra()
        kind = _format(parsed)
        if parsed.output is not None and not parsed.output.resolve().parent.is_dir():
            raise OptionError(f"-o {parsed.output}: there is no such folder")
        if parsed.fail_on == "new" and parsed.compare_to is None:
            raise OptionError("--fail-on new needs --compare-to: an earlier report in JSON")
        earlier = None if parsed.compare_to is None else _read_earlier(parsed.compare_to)
        result = _result(parsed)
        if earlier is not None:
            result = _with_changes(result, earlier)
        _write(result, kind, parsed)
    except KerasOtelError as error:
        print(f"keras-otel slice: {redacted(str(error))}", file=sys.stderr)
        return 2
    if parsed.fail_on is None:
        return 0
    return _exit_code(result, parsed.fail_on)


def _exit_code(result: SliceResult, fail_on: str) -> int:
    """Return 1 if there is a finding that `--fail-on` names, and print a line: CI logs may not show the report."""
    if fail_on == "new":
        findings = sum(change.change in ("new", "grown") for change in result.changes or ())
        noun = "new or grown finding"
    else:
        findings = sum(slice_.is_finding for family in result.evals for slice_ in family.slices)
        noun = "finding"
    if not findings:
        return 0
    number = f"is 1 {noun}" if findings == 1 else f"are {findings} {noun}s"
    print(f"keras-otel slice: there {number} (--fail-on {fail_on})", file=sys.stderr)
    return 1


def _require_extra() -> None:
    """Check that the packages of the extra `analysis` are installed."""
    missing = [name for name in _REQUIRED_MODULES if find_spec(name) is None]
    if missing:
        raise OptionError(
            f"{missing[0]} is not installed: pip install 'keras-otel[analysis]' brings what slice needs"
        )


def _format(parsed: argparse.Namespace) -> str:
    """Return the format of the report."""
    by_name = _SUFFIXES.get(parsed.output.suffix.lower()) if parsed.output is not None else None
    kind: str = parsed.format or by_name or "table"
    if parsed.trace_url is not None and kind in ("json", "csv"):
        raise OptionError(f"--trace-url links traces for readers: --format {kind} has no links")
    return kind


def _result(parsed: argparse.Namespace) -> SliceResult:
    from keras_otel.analysis.sources.servers.engines import one_line_errors

    with one_line_errors():
        return _result_of_rows(parsed) if parsed.rows is not None else _result_of_sources(parsed)


def _read_earlier(path: Path) -> EarlierReport:
    from keras_otel.analysis.slices.changes import read_report

    return read_report(path)


def _with_changes(result: SliceResult, earlier: EarlierReport) -> SliceResult:
    """Add the changes since an earlier report."""
    from keras_otel.analysis.slices.changes import changes_since, comparison_warnings

    warnings = (*result.warnings, *comparison_warnings(result, earlier))
    return replace(result, changes=changes_since(result, earlier), warnings=warnings)


def _result_of_rows(parsed: argparse.Namespace) -> SliceResult:
    """Slice ready rows."""
    from keras_otel.analysis.ready_file import read_rows
    from keras_otel.analysis.ready_rows import slice_failures

    if parsed.sources or parsed.evals:
        raise OptionError("--rows replaces SOURCE and --evals: use one or the other")
    if parsed.failed is None:
        raise OptionError(
            "--rows needs --failed COLUMN, which is true or 1 where the answer failed"
        )
    for option in _FOR_TRACES_ONLY:
        if getattr(parsed, option):
            name = option.replace("_", "-")
            raise OptionError(f"--{name} is about traces, and cannot be used with --rows")
    rows = read_rows(parsed.rows)
    result = slice_failures(
        rows.table,
        failed=parsed.failed,
        by=parsed.by,
        weight=parsed.weight,
        count=parsed.count,
        cluster=parsed.cluster,
        adjust_for=parsed.adjust_for,
        min_support=parsed.min_support,
        max_predicates=parsed.max_predicates,
        fdr=parsed.fdr,
        list_all=parsed.all,
        better=parsed.better,
    )
    return replace(result, warnings=(*rows.warnings, *result.warnings))


def _result_of_sources(parsed: argparse.Namespace) -> SliceResult:
    """Slice rows built from traces and evaluations."""
    from keras_otel.analysis.rows.build import build_rows
    from keras_otel.analysis.rows.fail_rules import FailRule
    from keras_otel.analysis.rows.row_table import Question
    from keras_otel.analysis.slices.slicing import slice_rows
    from keras_otel.analysis.sources.reader import open_sources
    from keras_otel.analysis.sources.servers.http_json import Access

    if not parsed.sources:
        raise OptionError(
            "there is no SOURCE: name the traces, such as traces.jsonl or http://localhost:16686"
        )
    for option in ("failed", "weight", "count"):
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
            sources,
            window=_window(parsed),
            progress=progress,
            engine=parsed.engine,
            access=Access(timeout_s=parsed.timeout, headers=dict(parsed.header)),
        ) as telemetry,
    ):
        rows = build_rows(telemetry, question)
        result = slice_rows(rows, _settings(parsed))
    unread = [redacted(str(problem)) for problem in telemetry.problems]
    return replace(result, warnings=(*unread, *result.warnings))


def _settings(parsed: argparse.Namespace) -> Settings:
    from keras_otel.analysis.slices.settings import Settings

    return Settings(
        by=tuple(parsed.by),
        adjust_for=tuple(parsed.adjust_for),
        min_support=parsed.min_support,
        max_predicates=parsed.max_predicates,
        fdr=parsed.fdr,
        list_all=parsed.all,
        better=parsed.better,
    )


def _window(parsed: argparse.Namespace) -> Window:
    """Return the time range of the predictions."""
    from keras_otel.analysis.sources.tables.writer import Window

    now = datetime.now(UTC)
    since, until = (
        None if text is None else point_in_time(text, now) for text in (parsed.since, parsed.until)
    )
    if since is not None and until is not None and since >= until:
        raise OptionError(f"--since {parsed.since} is not before --until {parsed.until}")
    return Window(since_ns=since, until_ns=until)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """Show a progress bar on standard error, if that is a terminal, until everything is read."""
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
    """Write the report to the output file, or print it."""
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
            to.write(reports.render_markdown(result, parsed.trace_url))
        case "html":
            to.write(reports.render_html(result, parsed.trace_url))
        case "csv":
            to.write(reports.render_csv(result))
        case _:
            reports.render_table(result, Console(file=to), parsed.trace_url)


SLICE: Final = Command(
    name="slice",
    help="Report in which upstream predictions the failures of LLM answers concentrate.",
    add_options=add_options,
    run=run,
)
