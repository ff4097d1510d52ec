"""A result on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from keras_otel.analysis.reports.table import bar, render_table
from keras_otel.analysis.reports.wording import shown
from tests.analysis.reports.results import HOSTILE, RESULTS, normal, with_value


def printed(result, width=100, encoding="utf-8"):
    raw = io.BytesIO()
    written = io.TextIOWrapper(raw, encoding=encoding)
    render_table(result, Console(file=written, width=width, force_terminal=False))
    written.flush()
    return raw.getvalue().decode(encoding)


def test_says_what_was_found():
    """Totals, what was left out, cohorts, and the slice in words and numbers."""
    text = printed(normal())

    assert "784 of 5,565 rows failed (14 %)." in text
    assert "5,725 inference spans: 5,672 used, 12 delivered twice, 1 failed inference" in text
    assert "Warning: silent retrain: version v2" in text
    assert "1. v2 and class refund: 31 % fail, 8.6 % elsewhere, 306 excess failures" in text
    assert "31 % (29 % to 33 %)" in text
    assert "confounded by version" in text


@pytest.mark.parametrize("name", sorted(RESULTS))
@pytest.mark.parametrize("width", [24, 40, 80, 200])
def test_no_line_is_wider_than_the_console(name, width):
    """Long lines wrap and long names fold, however narrow the console is."""
    assert max(cell_len(line) for line in printed(RESULTS[name](), width).splitlines()) <= width


def test_values_are_not_markup():
    """Square brackets in a value are printed as they are."""
    assert "class [bold]x[/bold]" in printed(with_value("[bold]x[/bold]"), 200)
    assert shown(HOSTILE) in printed(with_value(HOSTILE), 400)


def test_values_cannot_control_the_terminal():
    """An escape sequence in a value is shown, not obeyed."""
    assert "\x1b" not in printed(with_value("\x1b[2Jx"))


def test_a_console_without_unicode_gets_plain_bars():
    """Where only ASCII can be written, the report still can."""
    text = printed(normal(), encoding="ascii")

    assert "###" in text


def test_bar_shows_rate_and_interval():
    """Full up to the lower end, half up to the rate, light up to the upper end."""
    console = Console(file=io.StringIO(), width=80)

    assert bar((0.1, 0.2, 0.4), 0.4, console).plain == "█████▓▓▓▓▓░░░░░░░░░░"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("no evaluation", "No row was evaluated."),
        ("no row", "Nothing was tested: no row was evaluated."),
        ("all failed", "Nothing was tested: every row failed, so no slice can stand out."),
        ("none failed", "Nothing was tested: no row failed."),
        ("nothing found", "Nothing was found:"),
        ("nothing tested", "Nothing was tested: no slice has enough rows"),
        ("one row", "1 of 1 row failed (100 %). 0 slices were tested, 0 found."),
    ],
)
def test_says_why_there_is_nothing(name, line):
    """An empty result says whether something was tested, and why not."""
    assert line in printed(RESULTS[name](), 200)
