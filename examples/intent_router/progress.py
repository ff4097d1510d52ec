"""How far the users are: a bar on a terminal, else a line now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

_LINES = 4


@contextmanager
def counting(total: int) -> Iterator[Callable[[int], None]]:
    """Yield what is to be told how many are done."""
    console = Console()
    if not console.is_terminal:
        yield lambda done: _line(done, total)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("questions", total=total)
        yield lambda done: bar.update(task, completed=done)


def _line(done: int, total: int) -> None:
    if done % max(total // _LINES, 1) == 0:
        print(f"   {done} of {total}", flush=True)
