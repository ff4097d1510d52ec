"""The command line: `keras-otel COMMAND`.

Exit codes: 0 fine, 1 a gate regressed, 2 usage or input error or something is wrong,
3 inconclusive. No command imports Keras or a backend into this process.
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

EXIT_WRONG = 2
_EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, where argparse writes the whole usage before it."""
        self.exit(EXIT_WRONG, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = _Parser(prog="keras-otel", description="OpenTelemetry for Keras models.")
    top.add_argument(
        "--version", action="version", version=__version__, help="print the version and exit"
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        own = commands.add_parser(command.name, help=command.help, description=command.help)
        command.add_options(own)
        own.set_defaults(run=command.run)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The words after `keras-otel`; those of the process by default.

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
        # The reader (`head`, a pager) has gone; the interpreter must not try to flush again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_WRONG
    return code
