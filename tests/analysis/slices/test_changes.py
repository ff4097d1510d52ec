"""What has changed since an earlier report."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console

from keras_otel.analysis import slice_failures
from keras_otel.analysis.reports import (
    render_html,
    render_json,
    render_markdown,
    render_table,
)
from keras_otel.analysis.slices.changes import changes_since, comparison_warnings, read_report
from keras_otel.errors import SourceError


def rows(rates, each=400):
    """Rows of classes, failing at these percentages."""
    return pd.DataFrame(
        [
            {"class": name, "failed": int(n % 100 < percent)}
            for name, percent in rates.items()
            for n in range(each)
        ]
    )


@pytest.fixture
def since(tmp_path):
    """Compare two data sets: (the changes as (word, class), the later result)."""

    def compare(before, after, **options):
        path = tmp_path / "old.json"
        asked = {"failed": "failed", "by": ["class"], **options}
        path.write_text(render_json(slice_failures(rows(before), **asked)))
        result = slice_failures(rows(after), **asked)
        changes = changes_since(result, read_report(path))
        result = replace(result, changes=changes)
        return [(each.change, each.predicates[0].value) for each in changes], result

    return compare


USUAL = {"a": 10, "b": 10, "c": 10, "d": 10}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, []),
        ({"a": 40}, {"a": 40}, []),
        ({"a": 40}, {"a": 44}, []),
        ({"a": 40}, {"a": 60}, [("grown", "a")]),
        ({"a": 60}, {"a": 40}, [("shrunk", "a")]),
        ({}, {"a": 40}, [("new", "a")]),
        ({"a": 40}, {}, [("gone", "a")]),
        ({"a": 30}, {"b": 50}, [("new", "b"), ("gone", "a")]),
        (
            {"a": 30, "b": 30},
            {"b": 60, "c": 30},
            [("new", "c"), ("grown", "b"), ("gone", "a")],
        ),
    ],
)
def test_changes(since, before, after, expected):
    """New and gone by what they are called, grown and shrunk where the intervals do not overlap."""
    changes, result = since({**USUAL, **before}, {**USUAL, **after})

    assert changes == expected
    for change in result.changes:
        assert (change.before is None, change.after is None) == (
            change.change == "new",
            change.change == "gone",
        )


def document(*predicates, significant=True, explained_by=(), ci=(0.2, 0.3)):
    """A report with one slice."""
    found = {
        "predicates": list(predicates),
        "n": 100,
        "failed": 25,
        "rate": 0.25,
        "ci": list(ci),
        "significant": significant,
        "explained_by": explained_by,
    }
    family = {"eval": "failed", "model": "rows", "slices": [found]}
    return {"schema_version": 1, "evals": [family]}


def told(value, **more):
    """A predicate of the JSON document."""
    return {"attribute": "age", "value": value, **more}


@pytest.mark.parametrize(
    ("earlier", "is_same"),
    [
        (told("[20,40)", lower=20, upper=40), True),
        (told("[20,30)"), True),
        (told("(-inf,10)", lower=None, upper=10), False),
        (told("[0,25)", lower=0, upper=25), False),
        (told("[0,26)", lower=0, upper=26), True),
        (told("[26,26]"), True),
        (told("35"), False),
        (told("34"), True),
        (told("young"), False),
        ({"attribute": "class", "value": "a"}, False),
    ],
)
def test_ranges_that_overlap(tmp_path, earlier, is_same):
    """They are one story; a number is a range of itself, and a range that ends where another starts is none."""
    data = pd.DataFrame(
        [{"age": n % 60, "failed": int(25 <= n % 60 < 35 and n % 3 == 0)} for n in range(6000)]
    )
    result = slice_failures(data, failed="failed", by=["age"])
    family = result.evals[0]
    found = replace(
        next(each for each in family.slices if each.is_finding),
        predicates=(
            replace(
                family.slices[0].predicates[0],
                value="[25,35)",
                values=(),
                lower=25.0,
                upper=35.0,
            ),
        ),
        ci=(0.2, 0.3),
    )
    result = replace(result, evals=(replace(family, slices=(found,)),))
    path = tmp_path / "old.json"
    path.write_text(json.dumps(document(earlier)))

    changes = [each.change for each in changes_since(result, read_report(path))]

    assert changes == ([] if is_same else ["new", "gone"])


@pytest.mark.parametrize("more", [{"significant": False}, {"explained_by": [[told("1")]]}])
def test_what_was_no_finding(tmp_path, more):
    """What was listed and was none is not gone."""
    path = tmp_path / "old.json"
    path.write_text(json.dumps(document(told("1"), **more)))

    assert read_report(path).findings == ()


def test_families_of_one_report_only(tmp_path):
    """They are named; what was found in them before is not gone."""
    other = document(told("1"))
    other["evals"][0]["eval"] = "tone"
    path = tmp_path / "old.json"
    path.write_text(json.dumps(other))
    earlier = read_report(path)
    result = slice_failures(rows({**USUAL, "a": 40}), failed="failed")

    assert [each.change for each in changes_since(result, earlier)] == ["new"]
    assert [warning.partition(" is ")[0] for warning in comparison_warnings(result, earlier)] == [
        "tone by upstream model rows",
        "failed by upstream model rows",
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is no JSON: --compare-to takes"),
        (b"\xff\xfe\x00", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[]", "is no report of findings"),
        (b'{"schema_version": 1, "evals": [{"eval": "e"}]}', "is no report of findings"),
        (b'{"schema_version": 1, "evals": 3}', "is no report of findings"),
        (json.dumps(document(told("1"), ci=(None, 1))).encode(), "is no report of findings"),
        (json.dumps(document("age")).encode(), "is no report of findings"),
        (b'{"schema_version": 2, "evals": []}', "has schema_version 2, not 1"),
    ],
)
def test_what_is_no_report(tmp_path, content, why):
    """One line says what is wrong."""
    path = tmp_path / "old.json"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SourceError, match=why) as raised:
        read_report(path)

    assert "\n" not in str(raised.value)


def test_in_every_output(since, capsys):
    """The table, Markdown, the page and the JSON say it; without changes they say that."""
    _, result = since({**USUAL, "a": 30, "b": 30}, {**USUAL, "b": 60, "c": 30})
    _, same = since(USUAL, USUAL)
    render_table(result, Console(width=200))
    table = capsys.readouterr().out

    assert "New: class = c: 30 % of 400 rows (26 % to 35 %)" in table
    assert "Grown: class = b: 60 % of 400 rows (55 % to 65 %), was 30 % of 400 rows" in table
    assert "Gone: class = a: was 30 % of 400 rows" in table
    assert "* **New**: `class` = `c`: 30 % of 400 rows" in render_markdown(result)
    assert "<strong>Gone</strong>: class = a: was 30 %" in render_html(result)
    changes = json.loads(render_json(result))["changes"]
    assert [change["change"] for change in changes] == ["new", "grown", "gone"]
    assert changes[0]["before"] is None
    assert changes[0]["after"]["n"] == 400
    assert "No finding is new, gone, or has another rate." in render_markdown(same)
    assert json.loads(render_json(replace(same, changes=None)))["changes"] is None
    assert "Since the earlier" not in render_markdown(replace(same, changes=None))
