"""Split the lines of files evenly over processes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from keras_otel.analysis.sources.formats.json_files import Range

_MOST: Final = 8
_SMALLEST: Final = 16 * 1024 * 1024


def shares_of(ranges: Sequence[Range], count: int | None = None) -> list[list[Range]]:
    """Ranges in shares of about equal size, one for each process.

    Args:
        ranges: Whole files.
        count: How many processes; by default one for each processor, eight at most.
    """
    count = count or min(_MOST, _usable_processors())
    total = sum(each.end for each in ranges)
    size = max(_SMALLEST, -(-total // count))
    shares: list[list[Range]] = [[]]
    room = size
    for whole in ranges:
        start = whole.start
        while start < whole.end:
            if room == 0:
                shares.append([])
                room = size
            end = min(whole.end, start + room)
            shares[-1].append(
                Range(
                    path=whole.path,
                    source=whole.source,
                    start=start,
                    end=end,
                    is_last=end == whole.end,
                )
            )
            room -= end - start
            start = end
    return shares


def _usable_processors() -> int:
    """The processors that this process may run on; all of them where no one can say."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
