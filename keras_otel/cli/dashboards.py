"""`keras-otel dashboards`: what Grafana, Prometheus and Jaeger need to show what is emitted."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from keras_otel.cli.command import Command
from keras_otel.dashboards import Places, export
from keras_otel.errors import KerasOtelError

_DEFAULT: Final = Places()


def add_options(command: argparse.ArgumentParser) -> None:
    """The options of `keras-otel dashboards`."""
    command.add_argument(
        "action", metavar="export", choices=("export",), help="write the files into a folder"
    )
    command.add_argument(
        "folder",
        metavar="DIR",
        type=Path,
        help="where to: gets grafana/, prometheus/ and jaeger/; files of the same names are written over",
    )
    command.add_argument(
        "--grafana",
        metavar="URL",
        type=_address,
        default=_DEFAULT.grafana,
        help=f"Grafana, for links from Jaeger (default: {_DEFAULT.grafana})",
    )
    command.add_argument(
        "--jaeger",
        metavar="URL",
        type=_address,
        default=_DEFAULT.jaeger,
        help=f"Jaeger, for links from Grafana (default: {_DEFAULT.jaeger})",
    )
    command.add_argument(
        "--service",
        metavar="NAME",
        default=_DEFAULT.service,
        help="service whose other traces Jaeger's links look for (default: no such links)",
    )


def run(parsed: argparse.Namespace) -> int:
    """Write the files, say which, and return 0; 2 where something keeps it from that."""
    places = Places(grafana=parsed.grafana, jaeger=parsed.jaeger, service=parsed.service)
    try:
        written = export(parsed.folder, places)
    except KerasOtelError as error:
        print(f"keras-otel dashboards: {error}", file=sys.stderr)
        return 2
    for file in written:
        print(file)
    return 0


def _address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise argparse.ArgumentTypeError(
            f"write an address such as http://localhost:3000, not {text!r}"
        )
    return text.rstrip("/")


DASHBOARDS: Final = Command(
    name="dashboards",
    help="Write a Grafana dashboard, Prometheus rules and Jaeger links for what keras_otel emits.",
    add_options=add_options,
    run=run,
)
