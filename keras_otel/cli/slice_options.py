"""Options of `keras-otel slice`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

FORMATS: Final = ("table", "json", "md", "html", "csv")
_PREDICATES: Final = (1, 2, 3)

_EXAMPLES: Final = """examples:
  keras-otel slice traces.jsonl
      traces and evaluations from a file that the Collector wrote
  keras-otel slice traces/ --evals scores.csv --fail 'faithfulness: score<0.5' --cluster session.id
      evaluations from a file, failed if the score is below 0.5; answers of a session are not independent
  keras-otel slice http://localhost:16686 --since 24h -o failures.html \\
      --trace-url 'http://localhost:16686/trace/{trace_id}'
      the last 24 hours from Jaeger, as a page with links to example traces
  keras-otel slice --rows answers.parquet --failed is_wrong --by class,version --format csv
      a file with one row for each answer; slices for a spreadsheet
"""

_HEADER: Final = re.compile(
    r"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+):\s*(?P<value>[\x21-\x7e\xa0-\xff][\t\x20-\x7e\xa0-\xff]*?)\s*"
)


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `keras-otel slice` to its parser."""
    command.epilog = _EXAMPLES
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    _add_sources(command)
    _add_rows(command)
    _add_questions(command)
    _add_statistics(command)
    _add_output(command)


def _add_sources(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("input")
    group.add_argument(
        "sources",
        metavar="SOURCE",
        nargs="*",
        help="OTLP as JSON lines or protobuf (files or folders, also compressed), a Jaeger JSON "
        "download, Parquet, http://host:16686 (Jaeger's query API), clickhouse://user@host/database, or "
        "phoenix+http://host:6006; several are read together",
    )
    group.add_argument(
        "--evals",
        metavar="SOURCE",
        action="append",
        default=[],
        help="evaluations that are stored elsewhere: a SOURCE as above, or CSV, JSON lines or Parquet with "
        "the columns trace_id, span_id?, name, score?, label?, passed?, error?, explanation?",
    )
    group.add_argument(
        "--engine",
        metavar="URL",
        help="engine that joins and groups rows: spark://local or spark://host:7077 (default: DuckDB in "
        "this process; for a clickhouse:// source, ClickHouse)",
    )
    group.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        help="longest time for one request to a server (default: 60, for ClickHouse 300)",
    )
    group.add_argument(
        "--header",
        metavar="'NAME: VALUE'",
        action="append",
        default=[],
        type=_header,
        help="HTTP header to send with each request to Jaeger and Phoenix, such as 'Authorization: Bearer "
        "TOKEN'",
    )
    group.add_argument(
        "--since",
        metavar="TIME",
        help="only predictions since that time: 2026-11-25, or 36h for 36 hours ago",
    )
    group.add_argument("--until", metavar="TIME", help="only predictions before that time")


def _add_rows(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("ready rows as input")
    group.add_argument(
        "--rows", metavar="FILE", type=Path, help="Parquet or CSV with one row for each answer"
    )
    group.add_argument("--failed", metavar="COLUMN", help="true or 1 if the answer failed")
    group.add_argument(
        "--count",
        metavar="COLUMN",
        help="how many rows each row stands for, as in a table of counts",
    )
    group.add_argument(
        "--weight",
        metavar="COLUMN",
        help="sampling weight of each row: 1 divided by the probability that it was kept",
    )


def _add_questions(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("selection")
    group.add_argument(
        "--model",
        metavar="NAME",
        action="append",
        default=[],
        help="only this upstream model; may be repeated",
    )
    group.add_argument(
        "--eval",
        metavar="NAME",
        action="append",
        default=[],
        help="only this evaluation; may be repeated",
    )
    group.add_argument(
        "--by",
        metavar="ATTR[,ATTR...]",
        type=_names,
        action="extend",
        default=[],
        help="attributes to list and to slice by: of any span of the trace or its resource, by default all "
        "that may be informative; with --rows, columns",
    )
    group.add_argument(
        "--fail",
        metavar="RULE",
        action="append",
        default=[],
        help="rule that marks an evaluation as failed when it carries no pass/fail verdict: "
        "'faithfulness: score<0.5' or 'verdict: label=no'",
    )


def _add_statistics(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("statistics")
    group.add_argument(
        "--cluster",
        metavar="ATTR",
        help="attribute or column that groups rows which depend on one another, such as session.id; auto "
        "for the first usual one whose values repeat",
    )
    group.add_argument(
        "--adjust-for",
        metavar="ATTR[,ATTR...]",
        type=_names,
        action="extend",
        default=[],
        help="report slices whose risk ratio changes when stratified by ATTR (the model's version is always "
        "included)",
    )
    group.add_argument(
        "--sample-rate",
        metavar="SHARE",
        type=_share,
        help="share of traces that was kept, if their tracestate has no sampling probability",
    )
    group.add_argument(
        "--min-support",
        metavar="N",
        type=_positive,
        help="minimum number of rows in a slice (default: 30, or 0.5 %% of all rows if that is more)",
    )
    group.add_argument(
        "--max-predicates",
        metavar="N",
        type=int,
        choices=_PREDICATES,
        default=max(_PREDICATES),
        help="maximum number of predicates in a slice, 1 to 3 (default: 3)",
    )
    group.add_argument(
        "--max-level",
        metavar="N",
        type=int,
        choices=_PREDICATES,
        action=_FormerMaxPredicates,
        default=argparse.SUPPRESS,
        help=argparse.SUPPRESS,
    )
    group.add_argument(
        "--fdr",
        choices=("bh", "by"),
        default="bh",
        help="correction for multiple tests: Benjamini-Hochberg, or Benjamini-Yekutieli, which is "
        "stricter (default: bh)",
    )
    group.add_argument(
        "--all",
        action="store_true",
        help="list every slice that was tested, at most 500: the significant ones first, with the findings "
        "that explain them",
    )
    group.add_argument(
        "--better",
        action="store_true",
        help="also report slices that fail less often than the rest, in a separate list",
    )


def _add_output(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("output")
    group.add_argument(
        "--format",
        choices=FORMATS,
        help="default: the format that the output file's name ends in, else table",
    )
    group.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="write to this file instead of printing"
    )
    group.add_argument(
        "--compare-to",
        metavar="FILE",
        type=Path,
        help="report which findings are new, gone, grown or shrunk since this earlier report in JSON",
    )
    group.add_argument(
        "--fail-on",
        choices=("found", "new"),
        help="for CI: exit with 1 if there is a finding, or, with --compare-to, one that is new or grown",
    )
    group.add_argument(
        "--trace-url",
        metavar="URL",
        help="address of a trace, to link examples to on a terminal, in Markdown and in the page: "
        "http://localhost:16686/trace/{trace_id}",
    )


class _FormerMaxPredicates(argparse.Action):
    """Accept the former name of `--max-predicates`, with a line on standard error."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002 - argparse passes all four by position
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Set `max_predicates`."""
        print(
            f"keras-otel slice: {option_string} is deprecated: use --max-predicates",
            file=sys.stderr,
        )
        namespace.max_predicates = values


def _names(text: str) -> list[str]:
    """Split a list of names at its commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _share(text: str) -> float:
    """Parse a share of traces."""
    share = _number(text)
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no share: write a number above 0 and up to 1"
        )
    return share


def _seconds(text: str) -> float:
    """Parse a positive, finite number of seconds."""
    seconds = _number(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write a number of seconds above 0")
    return seconds


def _header(text: str) -> tuple[str, str]:
    """Split a header into name and value; the value may be a secret, so no message repeats it."""
    match = _HEADER.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(
            "write 'NAME: VALUE', such as 'Authorization: Bearer TOKEN'"
        )
    return match["name"], match["value"]


def _number(text: str) -> float:
    """Parse a number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None


def _positive(text: str) -> int:
    """Parse a positive whole number."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)
