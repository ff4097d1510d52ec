"""The options of `keras-otel slice`."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Final

FORMATS: Final = ("table", "json", "md", "html", "csv")


_EXAMPLES: Final = """examples:
  keras-otel slice traces.jsonl
      from a file of the Collector, with the evaluations in it
  keras-otel slice traces/ --evals scores.csv --fail 'faithfulness: score<0.5' --cluster session.id
      evaluations elsewhere, a score that fails below a half, answers of a session not independent
  keras-otel slice http://localhost:16686 --since 24h -o failures.html \\
      --trace-url 'http://localhost:16686/trace/{trace_id}'
      from Jaeger, as a page whose examples are links
  keras-otel slice --rows answers.parquet --failed is_wrong --by class,version --format csv
      one row for each answer, the findings as a spreadsheet
"""

_HEADER: Final = re.compile(
    r"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+):\s*(?P<value>[\x21-\x7e\xa0-\xff][\t\x20-\x7e\xa0-\xff]*?)\s*"
)


def add_options(command: argparse.ArgumentParser) -> None:
    """Add them to the command's parser."""
    command.epilog = _EXAMPLES
    command.formatter_class = argparse.RawDescriptionHelpFormatter
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
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        help="longest wait for one answer of a server (default: 60, for ClickHouse 300)",
    )
    group.add_argument(
        "--header",
        metavar="'NAME: VALUE'",
        action="append",
        default=[],
        type=_header,
        help="sent with each question to Jaeger and Phoenix, such as 'Authorization: Bearer TOKEN'",
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
    group.add_argument(
        "--count", metavar="COLUMN", help="how many rows a row stands for, as in a table of counts"
    )
    group.add_argument(
        "--weight",
        metavar="COLUMN",
        help="a row's sampling weight: 1 divided by the probability that it was kept",
    )


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
        help="attributes to list and to slice by, of any span of the trace or a resource (default: those that "
        "may say something); of --rows, the columns",
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
        help="attribute, or column, whose rows depend on one another, such as session.id; auto for the first "
        "usual one that repeats",
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
        "--all",
        action="store_true",
        help="list every slice that was tested, the significant ones first, with what explains them",
    )
    group.add_argument(
        "--better",
        action="store_true",
        help="report slices that fail less often than the rest as well",
    )


def _add_output(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("output")
    group.add_argument(
        "--format",
        choices=FORMATS,
        help="default: that of the output file's name, else table",
    )
    group.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="write there instead of printing"
    )
    group.add_argument(
        "--compare-to",
        metavar="FILE",
        type=Path,
        help="an earlier report in JSON: which findings are new, gone, or have another rate",
    )
    group.add_argument(
        "--fail-on",
        choices=("found", "new"),
        help="exit with 1 if there is a finding, or with --compare-to one that is new or grown, for CI",
    )
    group.add_argument(
        "--trace-url",
        metavar="URL",
        help="link example traces, on a terminal, in Markdown and in the page: "
        "http://localhost:16686/trace/{trace_id}",
    )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _share(text: str) -> float:
    share = _number(text)
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: write a number over 0 and up to 1")
    return share


def _seconds(text: str) -> float:
    seconds = _number(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write a number of seconds over 0")
    return seconds


def _header(text: str) -> tuple[str, str]:
    """A header's name and value; the value is a secret, so no message repeats it."""
    match = _HEADER.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(
            "write 'NAME: VALUE', such as 'Authorization: Bearer TOKEN'"
        )
    return match["name"], match["value"]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number over 0")
    return int(text)
