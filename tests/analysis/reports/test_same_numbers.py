"""All outputs say the same, rounded the same."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from keras_otel.analysis.reports import render_html, render_markdown, render_table
from tests.analysis.reports.results import RESULTS

PERCENTAGE = re.compile(r"(?:[<>] )?(?<![\w.])\d+(?:\.\d+)? %")


def as_text(result):
    written = io.StringIO()
    render_table(result, Console(file=written, width=1000))
    page = render_html(result)
    without_plots = re.sub(r"<svg.*?</svg>|<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)
    return written.getvalue(), render_markdown(result), without_plots.replace("&lt;", "<")


@pytest.mark.parametrize("name", ["normal", "all failed", "one row", "two evaluations"])
def test_every_percentage_of_the_terminal_is_in_the_others(name):
    """What a colleague reads in the comment is what the page and the terminal show."""
    table, markdown, page = (set(PERCENTAGE.findall(text)) for text in as_text(RESULTS[name]()))

    assert table
    assert table <= markdown
    assert table <= page


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_one_is_singular(name):
    """No output says "1 rows"."""
    for text in as_text(RESULTS[name]()):
        assert not re.search(r"(?<![\d,.])1 (?:rows|slices|failures|traces|points)\b", text)
