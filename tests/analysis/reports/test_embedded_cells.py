"""The cells as they travel in the page."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from keras_otel import semconv
from keras_otel.analysis import slice_failures
from keras_otel.analysis.reports import render_html
from keras_otel.analysis.reports.embedded_cells import ALPHABET, embedded_cells
from keras_otel.analysis.result import Predicate
from tests.analysis.reports.results import answers, family, sliced

PLENTY = 10_000_000


def unpacked(found):
    """A data frame of what travels: a column for each feature, and the sums."""
    columns = {}
    for feature, column in zip(found["features"], found["codes"], strict=True):
        codes = [ALPHABET.index(each) for each in column] if isinstance(column, str) else column
        columns[feature["name"]] = [feature["values"][code] for code in codes]
    return pd.DataFrame({**columns, "n": found["n"], "k": found["k"]})


def test_all_rows_travel():
    """Unpacked, the cells hold the rows and failures of every combination, once."""
    found = unpacked(embedded_cells(sliced().evals[0], (), PLENTY))
    features = [name for name in found if name not in ("n", "k")]

    expected = (
        answers().fillna({"tier": "__missing__"}).groupby(features).wrong.agg(["size", "sum"])
    )
    assert not found.duplicated(features).any()
    got = found.set_index(features).sort_index()
    assert got.n.tolist() == expected["size"].sort_index().tolist()
    assert got.k.tolist() == expected["sum"].sort_index().tolist()


def test_what_does_not_fit_is_left_out_by_name():
    """The least used attribute goes first: those of findings and the usual ones stay."""
    result = sliced().evals[0]
    whole = len(json.dumps(embedded_cells(result, result.slices, PLENTY)))
    for budget in (whole // 2, whole // 4, whole // 10):
        found = embedded_cells(result, result.slices, budget)
        frame = unpacked(found)

        assert len(json.dumps(found)) < 1.3 * budget + 2000
        assert frame.n.sum() == result.rows
        assert frame.k.sum() == result.failed
        assert found["leftOut"][-1] == "letter"
        assert len(found["features"]) + len(found["leftOut"]) == 6
    assert embedded_cells(result, result.slices, 10) is None


def test_a_finding_that_is_not_carried_cannot_be_selected():
    """Its button is left out with the attribute; the others are the places of their values."""
    result = sliced().evals[0]
    place = [feature["name"] for feature in embedded_cells(result, (), PLENTY)["features"]]
    letter = Predicate(attribute="letter", value="a")
    low = Predicate(
        attribute=semconv.CONFIDENCE_BIN, value="[0,0.6)", values=("[0,0.5)", "[0.5,0.6)")
    )
    refund = Predicate(attribute=semconv.PREDICTION_CLASS, value="refund")
    unknown = Predicate(attribute="x", value="y")
    one = result.slices[0]
    findings = [replace(one, predicates=each) for each in ((letter,), (low, refund), (unknown,))]
    carried_cells = embedded_cells(result, findings, PLENTY)
    found = carried_cells["findings"]

    assert place[0] == semconv.PREDICTION_CLASS
    places = [each["name"] for each in carried_cells["features"]]
    assert found[0] is not None
    assert found[1] == [
        (places.index(semconv.CONFIDENCE_BIN), [0, 1]),
        (places.index(semconv.PREDICTION_CLASS), [0]),
    ]
    assert found[2] is None


def test_ranges_are_in_order_and_others_by_their_rows():
    """Values travel in the order that they are shown in, what is not set last."""
    features = {
        each["name"]: each for each in embedded_cells(sliced().evals[0], (), PLENTY)["features"]
    }

    confidence = features[semconv.CONFIDENCE_BIN]
    assert confidence["labels"][:2] == ["below 0.5", "0.5 to 0.6"]
    assert confidence["ends"][0] == (None, "0.5")
    assert features[semconv.PREDICTION_CLASS]["values"][0] == "refund"
    assert features["tier"]["values"][-1] == "__missing__"


@pytest.mark.parametrize("columns", [{}, {"rows": 0, "failed": 0}])
def test_nothing_to_carry(columns):
    """Without cells there is no explorer."""
    assert embedded_cells(family(**columns), (), PLENTY) is None


def test_the_page_stays_small():
    """A wide table whose cells are nearly its rows gives a page under 2 MB that names what it lacks."""
    random = np.random.default_rng(2)
    count = 40_000
    frame = pd.DataFrame(
        {f"column {place:02}": random.integers(0, 40, count).astype(str) for place in range(12)}
    ).assign(wrong=random.random(count) < 0.2, weight=random.random(count) + 0.5)
    result = slice_failures(frame, failed="wrong", weight="weight", max_predicates=1)

    page = render_html(result)

    assert len(page.encode()) < 2_000_000
    data = page.split('id="cells">')[1].split("</script>")[0]
    (found,) = json.loads(data)
    assert 0 < len(found["features"]) < 12
    assert found["leftOut"][-1] == "column 11"


def test_the_data_closes_nothing():
    """No value ends the element that holds the data."""
    frame = pd.DataFrame({"wrong": [True, False] * 50, "kind": ["</script><b>", "<!--"] * 50})
    page = render_html(slice_failures(frame, failed="wrong"))

    data = page.split('id="cells">')[1].split("</script>")[0]
    assert "<" not in data
    assert set(json.loads(data)[0]["features"][0]["values"]) == {"</script><b>", "<!--"}
