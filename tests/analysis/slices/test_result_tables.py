"""Results as data frames and Arrow tables."""

from __future__ import annotations

import html
import re

import pandas as pd
import pytest

from keras_otel.analysis import slice_failures
from keras_otel.analysis.reports import render_html
from keras_otel.analysis.result import Predicate
from keras_otel.errors import OptionError
from tests.analysis.reports.results import COUNTS, RESULTS, by, everything, normal
from tests.analysis.reports.results import a_slice as slice_of
from tests.analysis.reports.results import family as family_of
from tests.analysis.reports.results import result as result_of

CLASS = Predicate(attribute="keras.prediction.class", value="refund")


def test_slices_as_a_data_frame():
    """A line for each slice, its numbers those of the records."""
    result = normal()
    found = result.evals[0].slices[0]

    frame = result.to_pandas()

    assert len(frame) == 2
    line = frame.iloc[0]
    assert line["slice"] == "keras.model.version=v2 & keras.prediction.class=refund"
    assert (line.n, line.failed, line.rate, line.q) == (found.n, found.failed, found.rate, found.q)
    assert (line.ci_lower, line.ci_upper) == found.ci
    assert (line.risk_ratio_lower, line.risk_ratio_upper) == found.risk_ratio_ci
    assert line.excess_failures_lower == found.excess_failures_lower
    assert list(frame.finding) == [True, True]
    assert list(frame.iloc[1].confounded_by) == ["keras.model.version"]


def test_what_is_no_finding_says_so():
    """Explained slices and those that fail less often are lines, and no findings."""
    refund, cancel = by(1, COUNTS)["refund"], by(1, COUNTS)["cancel"]
    total = everything(COUNTS)
    explained = slice_of([(CLASS.attribute, "refund")], refund, total, explained_by=((CLASS,),))
    rare = slice_of([(CLASS.attribute, "cancel")], cancel, total, p=None, q=None)

    frame = result_of(family_of(slices=[explained], better=(rare,))).to_pandas("slices")

    assert list(frame.finding) == [False, False]
    assert list(frame.better) == [False, True]
    assert list(frame.iloc[0].explained_by) == ["keras.prediction.class=refund"]
    assert frame.p.isna().tolist() == [False, True]


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_every_result_gives_the_same_columns(name):
    """Also where nothing was found, columns and types are there."""
    result = RESULTS[name]()

    for kind in ("slices", "cohorts"):
        table = result.to_arrow(kind)
        assert table.schema == normal().to_arrow(kind).schema
    assert table.num_rows == sum(len(family.cohorts) for family in result.evals)
    assert result.to_pandas("cohorts").value.tolist() == [
        cohort.value for family in result.evals for cohort in family.cohorts
    ]


def test_another_kind_is_refused():
    """One line says which there are."""
    with pytest.raises(OptionError, match=r"'rows' is no table.*'slices' and 'cohorts'"):
        normal().to_pandas("rows")


def test_repr_is_short():
    """What an interpreter prints is one line, with the counts that matter."""
    assert repr(normal()) == (
        "<SliceResult: 784 of 5,565 rows failed; evaluations: 1, slices tested: 41, findings: 2, "
        "warnings: 1>"
    )


def test_a_notebook_gets_the_page():
    """The frame holds the page, whose scripts run and whose origin is its own."""
    result = slice_failures(
        pd.DataFrame({"bad": [1, 0] * 100, "kind": ["<b>", "x"] * 100}), failed="bad"
    )

    shown = result._repr_html_()

    source = re.fullmatch(r'<iframe srcdoc="([^"]*)"[^>]*></iframe>', shown)[1]
    assert html.unescape(source) == render_html(result)
    assert 'sandbox="allow-scripts allow-popups"' in shown


def test_writes_the_page(tmp_path):
    """The file is that of the command line."""
    normal().to_html(tmp_path / "page.html", "http://h.test/{trace_id}")

    written = (tmp_path / "page.html").read_text("utf-8")
    assert written == render_html(normal(), "http://h.test/{trace_id}")
