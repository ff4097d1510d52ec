"""Parse points in time on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from keras_otel.errors import OptionError

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGO: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_NS: Final = 1_000_000_000


def point_in_time(text: str, now: datetime) -> int:
    """Parse `2026-11-25`, `2026-11-25T14:00:00+01:00`, or `36h` for 36 hours before `now`.

    Args:
        text: The point in time; UTC without an offset.
        now: The present, with an offset.

    Returns:
        Nanoseconds since the epoch.

    Raises:
        OptionError: The text is none of these.
    """
    if match := _AGO.fullmatch(text.strip()):
        seconds = float(match[1]) * _UNITS[match[2]]
        return round((now.timestamp() - seconds) * _NS)
    try:
        point = datetime.fromisoformat(text.strip())
    except ValueError:
        raise OptionError(
            f"{text!r} is no point in time: write 2026-11-25, 2026-11-25T14:00:00+01:00, or 36h for "
            "36 hours ago (s, m, h, d, w)"
        ) from None
    if point.tzinfo is None:
        point = point.replace(tzinfo=UTC)
    return int(point.timestamp()) * _NS + point.microsecond * 1000
