"""What to do in a forked child, where the platform forks at all."""

from __future__ import annotations

import os
from collections.abc import Callable

# Not there on Windows, nor in Python built for WebAssembly: no process is ever forked then.
_register = getattr(os, "register_at_fork", None)


def run_in_child(function: Callable[[], object]) -> None:
    """Call `function` in every child that this process forks from now on.

    Threads do not survive a fork, and a lock that another thread held at that moment is never
    released in the child: whoever has either starts over there.
    """
    if _register is not None:
        _register(after_in_child=function)


def run_around_fork(
    before: Callable[[], object], in_parent: Callable[[], object], in_child: Callable[[], object]
) -> None:
    """Call these before every fork, and after it in the parent and in the child."""
    if _register is not None:
        _register(before=before, after_in_parent=in_parent, after_in_child=in_child)
