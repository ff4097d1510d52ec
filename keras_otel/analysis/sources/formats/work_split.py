"""Split the lines of files evenly over processes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from keras_otel.analysis.sources.formats.json_files import Range

_MOST_PROCESSES: Final = 8
_SMALLEST_SHARE: Final = 16 * 1024 * 1024


def shares_of(ranges: Sequence[Range], count: int | None = None) -> list[list[Range]]:
    """Split ranges into shares of about equal size, one for each process.

    Args:
        ranges: Whole files.
        count: Number of processes; by default one for each processor, eight at most.
    """
    count = count or min(_MOST_PROCESSES, _usable_processors())
    total = sum(whole.end for whole in ranges)
    size = max(_SMALLEST_SHARE, -(-total // count))
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
    """Count the processors that this process may use; all of them where the system does not say."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
