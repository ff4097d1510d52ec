"""Points in time on the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from keras_otel.cli.times import point_in_time
from keras_otel.errors import OptionError

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-25", datetime(2026, 11, 25, tzinfo=UTC)),
        ("2026-11-25T14:30:00", datetime(2026, 11, 25, 14, 30, tzinfo=UTC)),
        ("2026-11-25T14:30:00+02:00", datetime(2026, 11, 25, 12, 30, tzinfo=UTC)),
        ("2026-11-25T14:30:00.000001Z", datetime(2026, 11, 25, 14, 30, 0, 1, tzinfo=UTC)),
        ("36h", NOW - timedelta(hours=36)),
        ("1.5d", NOW - timedelta(hours=36)),
        (" 2w ", NOW - timedelta(weeks=2)),
        ("90m", NOW - timedelta(minutes=90)),
        ("45s", NOW - timedelta(seconds=45)),
    ],
)
def test_points(text, expected):
    """Dates, times with and without an offset, and spans before now are read to the nanosecond."""
    seconds, rest = divmod(point_in_time(text, NOW), 1_000_000_000)

    assert datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=rest // 1000) == expected


@pytest.mark.parametrize("text", ["yesterday", "", "36", "2026-13-01", "1h30m", "h"])
def test_no_points(text):
    """Anything else is refused with an example of each way."""
    with pytest.raises(OptionError, match="36h for 36 hours ago"):
        point_in_time(text, NOW)
