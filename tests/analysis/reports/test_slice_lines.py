"""A slice in words and numbers."""

from __future__ import annotations

import io

from rich.console import Console

from keras_otel import semconv as names
from keras_otel.analysis.reports import render_html, render_markdown, render_table
from keras_otel.analysis.reports.slice_lines import slice_line
from tests.analysis.reports.results import COUNTS, a_slice, everything, family, result


def refund(**changes):
    return a_slice([(names.PREDICTION_CLASS, "refund")], (100, 12), everything(COUNTS), **changes)


def test_one_failure_too_many():
    """A single failure is no plural, and fewer than expected is no negative number."""
    assert slice_line(refund(excess_failures=1.2)).sentence.endswith("1 failure too many")
    assert slice_line(refund(excess_failures=-1.2)).sentence.endswith(
        "1 failure fewer than expected"
    )


def test_untested_slices_have_no_q():
    """What could not be tested is not available, rather than 0 or 1."""
    figures = {f.title: f.text for f in slice_line(refund(p=None, q=None)).figures}

    assert figures["q"] == "n/a"


def test_what_is_not_significant_is_no_finding():
    """With every slice shown, those that chance explains are marked and not told as findings."""
    everything_shown = result(family(slices=[refund(significant=False)]))
    written = io.StringIO()
    render_table(everything_shown, Console(file=written, width=200))
    sentence = slice_line(refund()).sentence

    for text in (
        written.getvalue(),
        render_markdown(everything_shown),
        render_html(everything_shown),
    ):
        assert "not significant" in text
        assert "Nothing was found" in text
    assert sentence not in render_html(everything_shown)
    assert "1. class" not in render_markdown(everything_shown)
