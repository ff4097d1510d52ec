"""`keras-otel dashboards`: configuration of Grafana, Prometheus and Jaeger for our telemetry."""

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

_EXAMPLES: Final = """examples:
  keras-otel dashboards export monitoring/
      for Grafana and Jaeger on this machine
  keras-otel dashboards export monitoring/ --service chat \\
      --grafana https://grafana.example.com --jaeger https://jaeger.example.com
      with links between these servers, and in Jaeger to other traces of a service
"""


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `keras-otel dashboards`."""
    command.epilog = _EXAMPLES
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.add_argument(
        "action", metavar="export", choices=("export",), help="write the files into a folder"
    )
    command.add_argument(
        "folder",
        metavar="DIR",
        type=Path,
        help="folder for grafana/, prometheus/ and jaeger/; existing files are overwritten",
    )
    command.add_argument(
        "--grafana",
        metavar="URL",
        type=_parse_url,
        default=_DEFAULT.grafana,
        help=f"URL of Grafana, for links from Jaeger (default: {_DEFAULT.grafana})",
    )
    command.add_argument(
        "--jaeger",
        metavar="URL",
        type=_parse_url,
        default=_DEFAULT.jaeger,
        help=f"URL of Jaeger, for links from Grafana (default: {_DEFAULT.jaeger})",
    )
    command.add_argument(
        "--service",
        metavar="NAME",
        default=_DEFAULT.service,
        help="service whose other traces Jaeger's links search for (default: no such links)",
    )


def run(parsed: argparse.Namespace) -> int:
    """Write the files, print their paths, and return 0, or 2 if they cannot be written."""
    places = Places(grafana=parsed.grafana, jaeger=parsed.jaeger, service=parsed.service)
    try:
        written = export(parsed.folder, places)
    except KerasOtelError as error:
        print(f"keras-otel dashboards: {error}", file=sys.stderr)
        return 2
    for path in written:
        print(path)
    return 0


def _parse_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise argparse.ArgumentTypeError(f"write a URL such as http://localhost:3000, not {text!r}")
    return text.rstrip("/")


DASHBOARDS: Final = Command(
    name="dashboards",
    help="Write a Grafana dashboard, Prometheus rules and Jaeger links for what keras_otel emits.",
    add_options=add_options,
    run=run,
)
