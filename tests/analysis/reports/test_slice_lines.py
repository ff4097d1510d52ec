"""A slice in words and numbers."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from keras_otel import semconv
from keras_otel.analysis.reports import render_html, render_markdown, render_table
from keras_otel.analysis.reports.contents import contents
from keras_otel.analysis.reports.slice_lines import slice_line
from keras_otel.analysis.result import Adjustment, Example, Predicate
from tests.analysis.reports.results import COUNTS, a_slice, everything, family, result

CLASS = Predicate(attribute=semconv.PREDICTION_CLASS, value="refund")
LOW = Predicate(attribute=semconv.CONFIDENCE_BIN, value="[0,0.9)", lower=0, upper=0.9)


def refund(**changes):
    return a_slice([(semconv.PREDICTION_CLASS, "refund")], (100, 12), everything(COUNTS), **changes)


def test_one_excess_failure():
    """A single failure is no plural, and fewer than expected is no negative number."""
    assert slice_line(refund(excess_failures=1.2)).sentence.endswith("1 excess failure")
    assert slice_line(refund(excess_failures=-1.2)).sentence.endswith(
        "1 failure fewer than expected"
    )


@pytest.mark.parametrize(
    ("changes", "notes"),
    [
        ({}, ()),
        ({"significant": False}, ("not significant",)),
        (
            {"explained_by": ((CLASS,), (CLASS, LOW))},
            ("explained by class refund; class refund and confidence below 0.9",),
        ),
        (
            {"adjustments": (Adjustment(attribute="dept", risk_ratio=1.14, reverses=False),)},
            ("risk ratio 1.1 with dept held fixed",),
        ),
        (
            {
                "risk_ratio": 1.6,
                "confounded_by": ("dept", "keras.model.version"),
                "adjustments": (Adjustment(attribute="dept", risk_ratio=0.8, reverses=True),),
            },
            (
                "Simpson's paradox: with dept held fixed it fails less often than the rest, risk ratio 0.80",
                "confounded by version: the risk ratio changes once it is held fixed",
            ),
        ),
        (
            {
                "risk_ratio": 0.6,
                "adjustments": (Adjustment(attribute="dept", risk_ratio=2.0, reverses=True),),
            },
            (
                "Simpson's paradox: with dept held fixed it fails more often than the rest, risk ratio 2.0",
            ),
        ),
    ],
)
def test_notes(changes, notes):
    """What makes a slice less than a finding of its own, and what changes its risk ratio."""
    assert slice_line(refund(**changes)).notes == notes


def test_explained_slices_are_no_findings():
    """A slice that another one explains is listed and counted as no finding."""
    explained = refund(explained_by=((LOW,),))

    report = contents(result(family(slices=[explained])))

    assert not report.sections[0].slices[0].is_finding
    assert report.sections[0].summary.endswith("41 slices were tested, 0 found.")


EXAMPLES = tuple(
    Example(trace_id=f"{number:032x}", explanation=text)
    for number, text in enumerate(["It names\n another *fee*. " + "x" * 300, None, "c", "d"], 1)
)


def test_examples_give_the_reason():
    """Three failed rows stand beside a finding, each with its link and the evaluator's reason, shortened."""
    shown_result = result(family(slices=[refund(examples=EXAMPLES)]))
    written = io.StringIO()
    url = "http://localhost:16686/trace/{trace_id}"
    console = Console(file=written, width=400, force_terminal=True, color_system="truecolor")
    render_table(shown_result, console, url)

    markdown, page = render_markdown(shown_result, url), render_html(shown_result, url)
    for text in (written.getvalue(), page):
        assert "It names another *fee*. xxx" in text
        assert "x" * 300 not in text
    assert "It names another \\*fee\\*. xxx" in markdown
    one, two, four = (url.format(trace_id=f"{number:032x}") for number in (1, 2, 4))
    assert f"(<{one}>): It names" in markdown
    assert f"(<{two}>)\n" in markdown
    assert f"{one}\x1b\\" in written.getvalue()
    for text in (written.getvalue(), page, markdown):
        assert four not in text


def test_only_a_terminal_gets_links():
    """In a file or a pipe an id is its text."""
    written = io.StringIO()
    shown_result = result(family(slices=[refund(examples=EXAMPLES)]))
    render_table(shown_result, Console(file=written, width=400), "http://x.test/{trace_id}")

    assert "http" not in written.getvalue()
    assert EXAMPLES[0].trace_id in written.getvalue()


def test_better_slices_have_their_own_place():
    """Slices that fail less often come after the findings, under a heading."""
    rare = a_slice([(semconv.PREDICTION_CLASS, "cancel")], (1050, 10), everything(COUNTS))
    shown_result = result(family(better=(rare,)))
    written = io.StringIO()
    render_table(shown_result, Console(file=written, width=400))

    for text in (
        written.getvalue(),
        render_markdown(shown_result),
        re.sub(r"<[^>]+>", "", render_html(shown_result)),
    ):
        _, heading, below = text.partition("Slices that fail less often than the rest")
        assert heading
        assert re.search("class `?cancel", below)
    assert "failures fewer than expected" in written.getvalue()


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


def test_what_fails_less_often_has_no_share_of_failures():
    """A negative share would say nothing."""
    assert "share of failures" in slice_line(refund(excess_failures=3.0)).details
    assert "share of failures" not in slice_line(refund(excess_failures=-3.0)).details


@pytest.mark.parametrize(("errors", "is_there"), [(0, False), (7, True)])
def test_evaluator_errors_are_named_where_there_are_some(errors, is_there):
    """Nothing is said of what did not happen."""
    made = result(family())
    report = contents(replace(made, totals=replace(made.totals, errors=errors)))

    assert ("Evaluator errors" in dict(report.totals)) is is_there
