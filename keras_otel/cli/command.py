"""The record that describes a command."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of `keras-otel`.

    Attributes:
        name: Its name on the command line, after `keras-otel`.
        help: One sentence on what it does.
        add_options: Adds its options and examples to its parser.
        run: Runs it with the parsed arguments and returns the exit code.
    """

    name: str
    help: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
