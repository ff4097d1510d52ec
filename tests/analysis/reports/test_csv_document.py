"""A result as CSV for a spreadsheet or a data frame."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest

from keras_otel.analysis.reports import render_csv
from tests.analysis.reports.results import (
    RESULTS,
    a_slice,
    family,
    normal,
    result,
    with_value,
)


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_is_read_back(name):
    """Pandas reads a line for each slice, and numbers as numbers."""
    expected = RESULTS[name]().to_pandas()

    frame = pd.read_csv(io.StringIO(render_csv(RESULTS[name]())))

    assert list(frame.columns) == [column for column in expected if column != "predicates"]
    assert len(frame) == len(expected)
    for column in ("n", "failed", "rate", "ci_upper", "risk_ratio", "excess_failures_lower", "q"):
        assert frame[column].tolist() == pytest.approx(expected[column].tolist(), rel=1e-11)


def test_says_yes_and_no():
    """Findings are marked, lists are joined, and what is not there is empty."""
    (line, _) = csv.DictReader(io.StringIO(render_csv(normal())))

    assert line["slice"] == "keras.model.version=v2 & keras.prediction.class=refund"
    assert (line["finding"], line["better"], line["confounded_by"]) == ("yes", "no", "")
    assert line["example_trace_ids"].startswith("00000000000005550000000000000001; 0000")


def test_an_infinite_ratio_is_a_number():
    """Where nothing failed outside, a data frame still reads a number."""
    found = a_slice([("a", "b")], (100, 10), (200, 10), p=None, q=None)
    frame = pd.read_csv(io.StringIO(render_csv(result(family(slices=[found])))))

    assert frame.risk_ratio[0] == float("inf")
    assert frame.q.isna()[0]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "=1,"])
def test_no_value_is_a_formula(start):
    """A spreadsheet reads what a user chose as text, in every column."""
    for line in csv.DictReader(io.StringIO(render_csv(with_value(f"{start}cmd|' /C calc'!A0")))):
        for text in line.values():
            assert text[:1] not in tuple("=+@")
            assert not text.startswith("-c")
        assert line["eval"].startswith(f"'{start}cmd")


@pytest.mark.parametrize("control", ["\n", "\r", "\t", "\x1b", "\x00"])
def test_a_line_stays_a_line(control):
    """Quotes and commas are kept, control characters are shown."""
    written = render_csv(with_value(f'a,"b"{control}c'))
    (line,) = csv.DictReader(io.StringIO(written))

    assert line["model"] == 'a,"b"\N{REPLACEMENT CHARACTER}c'
    assert len(written.splitlines()) == 2
