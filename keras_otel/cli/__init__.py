"""The command line: `keras-otel COMMAND`.

Exit codes: 0 success, 1 `slice --fail-on` matched, 2 invalid usage, invalid input or a problem.
No command imports Keras or a backend into this process.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from keras_otel.cli.dashboards import DASHBOARDS
from keras_otel.cli.doctor import DOCTOR
from keras_otel.cli.slice import SLICE
from keras_otel.version import __version__

COMMANDS = (SLICE, DASHBOARDS, DOCTOR)

_EXIT_ERROR = 2
_EXIT_INTERRUPTED = 130  # 128 + SIGINT, as in shells

_EXAMPLES = """examples:
  keras-otel doctor
      check what is patched and where spans go, and say how to fix each problem
  keras-otel slice traces.jsonl
      find the upstream predictions that failures of LLM answers concentrate in
  keras-otel dashboards export monitoring/
      write a Grafana dashboard, Prometheus rules and Jaeger links into a folder
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print one line, where argparse prints the whole usage before it."""
        self.exit(_EXIT_ERROR, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    main_parser = _Parser(
        prog="keras-otel",
        description="OpenTelemetry for Keras models.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    main_parser.add_argument(
        "--version", action="version", version=__version__, help="print the version and exit"
    )
    subparsers = main_parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        subparser = subparsers.add_parser(command.name, help=command.help, description=command.help)
        command.add_options(subparser)
        subparser.set_defaults(run=command.run)
    return main_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The arguments after `keras-otel`; those of the process by default.

    Returns:
        The exit code.
    """
    parsed = parser().parse_args(arguments)
    try:
        code: int = parsed.run(parsed)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (`head`, a pager) has exited; the interpreter must not try to flush again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _EXIT_ERROR
    return code
