"""`keras-otel doctor`: what is patched, where spans go, and how to fix problems."""

from __future__ import annotations

import argparse
import json
import os
from typing import Final

from keras_otel._secrets import redacted
from keras_otel.cli.command import Command
from keras_otel.diagnostics.examine import TITLE, examine, report, terminal_width
from keras_otel.diagnostics.variable_values import importable_environment
from keras_otel.errors import OptionError
from keras_otel.options import resolve

__all__ = ["DOCTOR", "report"]  # `report` under its former path

_EXAMPLES: Final = """examples:
  keras-otel doctor
      check the environment that this shell gives to a program
  keras-otel doctor --endpoint http://collector:4318
      check another target than the environment's
  KERAS_BACKEND=jax keras-otel doctor --json
      check another backend, and print JSON for a program
  keras-otel doctor --no-probe --endpoint file:traces.jsonl
      skip the trial inference, and check a file
"""


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `keras-otel doctor`."""
    command.epilog = _EXAMPLES
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.add_argument(
        "--endpoint",
        metavar="URL",
        type=_parse_endpoint,
        help="check this target instead of the environment's: http://host:4318, "
        "grpc://host:4317 or file:traces.jsonl",
    )
    command.add_argument(
        "--no-probe", action="store_true", help="skip the trial inference with the installed Keras"
    )
    command.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_parse_seconds,
        default=60.0,
        help="maximum duration of the trial (default: 60)",
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(parsed: argparse.Namespace) -> int:
    """Examine the environment, print the findings, and return 0, or 2 if there are problems."""
    environ = dict(os.environ)
    _make_opentelemetry_importable()
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


def _make_opentelemetry_importable() -> None:
    """Remove from this process's environment what OpenTelemetry raises for as it is imported."""
    importable = importable_environment(os.environ)
    for name in os.environ.keys() - importable.keys():
        del os.environ[name]
    os.environ.update(importable)


def _parse_endpoint(text: str) -> str:
    try:
        resolve({"export": text}, {})
    except OptionError as error:
        message = redacted(str(error)).removeprefix("option 'export' ")
        raise argparse.ArgumentTypeError(message) from error
    return text


def _parse_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"write a positive number of seconds, not {text!r}")
    return seconds


DOCTOR: Final = Command(
    name="doctor",
    help="Check what is patched and where spans go, and say how to fix each problem.",
    add_options=add_options,
    run=run,
)
