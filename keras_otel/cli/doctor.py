"""`keras-otel doctor`: what is patched, where spans go, and what is wrong."""

from __future__ import annotations

import argparse
import json
import os
from typing import Final

from keras_otel._secrets import redacted
from keras_otel.cli.command import Command
from keras_otel.diagnostics.examine import TITLE, examine, report, terminal_width
from keras_otel.diagnostics.propagators import VARIABLE, without_unknown
from keras_otel.diagnostics.variable_values import unreadable_limits
from keras_otel.errors import OptionError
from keras_otel.options import resolve

__all__ = ["DOCTOR", "report"]


def add_options(command: argparse.ArgumentParser) -> None:
    """The options of `keras-otel doctor`."""
    command.add_argument(
        "--endpoint",
        metavar="URL",
        type=_endpoint,
        help="ask this target instead of the environment's: http://host:4318, "
        "grpc://host:4317 or file:traces.jsonl",
    )
    command.add_argument(
        "--no-probe", action="store_true", help="leave the trial with the installed Keras out"
    )
    command.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=60.0,
        help="longest time for the trial (default: 60)",
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(parsed: argparse.Namespace) -> int:
    """Look, print, and return 0 if nothing is wrong, else 2."""
    environ = dict(os.environ)
    # What cannot be read is said of `environ`; here it would only keep OpenTelemetry from loading.
    loadable = without_unknown(environ)
    if loadable is not None:
        os.environ[VARIABLE] = loadable
    for limit in unreadable_limits(environ):
        del os.environ[limit]
    findings = examine(
        environ,
        endpoint=parsed.endpoint,
        trial_timeout_s=None if parsed.no_probe else parsed.timeout,
    )
    if parsed.json:
        print(json.dumps(findings.as_json(), indent=2))
    else:
        print(findings.as_text(TITLE, terminal_width()))
    return 2 if findings.problems else 0


def _endpoint(text: str) -> str:
    try:
        resolve({"export": text}, {})
    except OptionError as error:
        said = redacted(str(error)).removeprefix("option 'export' ")
        raise argparse.ArgumentTypeError(said) from error
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"write a number of seconds over 0, not {text!r}")
    return seconds


DOCTOR: Final = Command(
    name="doctor",
    help="Say what is patched, where spans go, and how to mend what is wrong.",
    add_options=add_options,
    run=run,
)
