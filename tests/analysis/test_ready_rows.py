"""Ready rows: tables of counts, reasons, and what each column may hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from keras_otel.analysis import slice_failures
from keras_otel.analysis.slices.examples import example_traces
from keras_otel.errors import SourceError
from tests.analysis.frames import frame

# Applicants to Berkeley in 1973 by department: admitted and rejected men, then women (R's UCBAdmissions).
BERKELEY = {
    "A": ((512, 313), (89, 19)),
    "B": ((353, 207), (17, 8)),
    "C": ((120, 205), (202, 391)),
    "D": ((138, 279), (131, 244)),
    "E": ((53, 138), (94, 299)),
    "F": ((22, 351), (24, 317)),
}


def berkeley() -> pd.DataFrame:
    """24 rows that stand for 4 526."""
    return pd.DataFrame(
        [
            {"gender": gender, "dept": dept, "rejected": rejected, "applicants": applicants}
            for dept, by_gender in BERKELEY.items()
            for gender, answers in zip(("male", "female"), by_gender, strict=True)
            for rejected, applicants in enumerate(answers)
        ]
    )


def written_out(counted: pd.DataFrame, count: str) -> pd.DataFrame:
    """Each row as often as it says."""
    return counted.loc[counted.index.repeat(counted[count])].drop(columns=count)


def without_examples(result):
    """All numbers of a result."""
    families = []
    for family in result.evals:
        slices = [replace(s, example_trace_ids=(), examples=()) for s in family.slices]
        families.append(replace(family, slices=tuple(slices)))
    return replace(result, evals=tuple(families))


def test_a_table_of_counts():
    """It gives what its rows give when they are written out, to the last digit."""
    counted = berkeley()
    arguments = {"failed": "rejected", "by": ["gender", "dept"], "list_all": True}

    by_count = slice_failures(counted, count="applicants", **arguments)
    by_row = slice_failures(written_out(counted, "applicants"), **arguments)

    assert by_count.totals.rows == 4526
    assert by_count.evals[0].slices_tested > 10
    assert by_count.evals[0].slices
    assert without_examples(by_count) == without_examples(by_row)


@pytest.mark.parametrize("options", [{}, {"cluster": "cluster"}, {"weight": "weight"}])
def test_counts_with_weights_and_clusters(options):
    """Counts multiply what weights and clusters say of each row; a count of 0 is no row."""
    counted = frame(400, seed=4).assign(times=np.random.default_rng(4).integers(0, 6, 400))
    arguments = {"failed": "failed", "by": ["f0", "f1"], "list_all": True, **options}

    by_count = slice_failures(counted, count="times", **arguments)
    by_row = slice_failures(written_out(counted, "times"), **arguments)

    for one, other in zip(by_count.evals[0].slices, by_row.evals[0].slices, strict=True):
        assert one.predicates == other.predicates
        assert (one.n, one.p, one.q, one.risk_ratio) == pytest.approx(
            (other.n, other.p, other.q, other.risk_ratio)
        )
        assert one.ci == pytest.approx(other.ci)


@pytest.mark.parametrize("bad", [-1, 1.5, None, float("inf"), 1e300])
def test_counts_that_are_none(bad):
    """A count is a whole number from 0 on; the error says how many rows have none."""
    counted = berkeley().astype({"applicants": float})
    counted.loc[3, "applicants"] = bad

    with pytest.raises(SourceError, match="'applicants' has 1 rows whose count is no whole number"):
        slice_failures(counted, failed="rejected", count="applicants")


@pytest.mark.parametrize(
    ("options", "beginning"),
    [
        ({"weight": "count"}, "column count is read as sampling weights"),
        ({}, "column count is read like any other column"),
        ({"count": "count"}, None),
        ({"by": ["gender"]}, None),
    ],
)
def test_a_column_that_looks_like_counts(options, beginning):
    """It is named where it is read as something else."""
    data = berkeley().rename(columns={"applicants": "count"})

    found = [
        w for w in slice_failures(data, failed="rejected", **options).warnings if "--count" in w
    ]

    assert bool(found) is (beginning is not None)
    assert all(warning.startswith(beginning) for warning in found)


def test_reasons(monkeypatch):
    """A column `explanation` is the rows' reason, cut to 500 characters, and no feature."""
    seen = []

    def spied(table, *more):
        seen.append(table)
        return example_traces(table, *more)

    monkeypatch.setattr("keras_otel.analysis.slices.slicing.example_traces", spied)
    data = frame(400, seed=1).assign(explanation="für alle " * 80)

    result = slice_failures(data, failed="failed", list_all=True)

    reasons = seen[0].explanation.to_pyarrow().to_pylist()
    assert set(reasons) == {("für alle " * 80)[:500]}
    attributes = {p.attribute for s in result.evals[0].slices for p in s.predicates}
    assert attributes
    assert "explanation" not in attributes


def sessions(count: int, rows_of_each: int, spread: float, name: str = "session") -> pd.DataFrame:
    """Rows of sessions of one size, whose rates differ by so much; no cause."""
    rng = np.random.default_rng(5)
    rates = 0.3 + spread * rng.choice([-1.0, 1.0], count)
    which = np.repeat(np.arange(count), rows_of_each)
    return pd.DataFrame(
        {
            "class": rng.choice(["a", "b", "c"], count * rows_of_each),
            name: np.char.add("s", which.astype(str)),
            "failed": rng.random(count * rows_of_each) < rates[which],
        }
    )


@pytest.mark.parametrize(
    "name", ["session.id", "Session_ID", "conversation", "user_id", "trace_id"]
)
def test_clusters_in_sight(name):
    """Rows of a session that resemble one another are warned of, with the effect on the variance."""
    data = sessions(40, 15, 0.25, name)

    (warning,) = slice_failures(data, failed="failed", by=["class"]).warnings

    # ICC of 0.0625 / 0.21 among 15 rows: 1 + 14 * 0.3.
    assert 3.5 < float(warning.partition("rates vary ")[2].split()[0]) < 7
    assert warning.endswith(f"give --cluster {name}")


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (sessions(600, 1, 0.25), {}),
        (sessions(100, 6, 0.0), {}),
        (sessions(6, 100, 0.2), {}),
        (sessions(40, 15, 0.25), {"cluster": "session"}),
    ],
    ids=["unique", "independent", "too few to test by", "given"],
)
def test_no_clusters_in_sight(data, options):
    """Nothing is said where nothing would change."""
    assert not slice_failures(data, failed="failed", by=["class"], **options).warnings


def test_the_first_cluster_that_repeats():
    """`auto` takes it as if it were named."""
    data = sessions(40, 15, 0.25).assign(id=range(600))

    arguments = {"failed": "failed", "by": ["class"], "list_all": True}

    by_itself = slice_failures(data, cluster="auto", **arguments)
    by_name = slice_failures(data, cluster="session", **arguments)
    none = slice_failures(data.drop(columns="session"), cluster="auto", **arguments)

    assert by_itself.warnings == ("rows are clustered by session",)
    assert [s.p for s in by_itself.evals[0].slices] == [s.p for s in by_name.evals[0].slices]
    assert "no usual attribute of sessions or users repeats" in none.warnings[0]


def test_the_effect_of_weights_and_counts():
    """The effect is that of the rows written out, and of the weights' residuals."""
    data = sessions(30, 8, 0.25).assign(times=np.tile([1, 2, 0, 3], 60))
    by_count = slice_failures(data, failed="failed", by=["class"], count="times")
    by_row = slice_failures(written_out(data, "times"), failed="failed", by=["class"])

    assert by_count.warnings == by_row.warnings
    assert len(by_count.warnings) == 1


def test_counts_of_numbers_and_of_many_values():
    """Ranges are cut, and rare values put together, by what the rows stand for."""
    rng = np.random.default_rng(2)
    data = pd.DataFrame(
        {
            "age": rng.integers(18, 90, 3000),
            "town": np.char.add("t", (rng.integers(0, 90, 3000)).astype(str)),
            "times": rng.choice([0, 1, 1, 9], 3000),
        }
    )
    data["failed"] = rng.random(3000) < np.where(data["age"] > 60, 0.4, 0.1)
    arguments = {"failed": "failed", "by": ["age", "town"], "list_all": True, "max_predicates": 1}

    by_count = slice_failures(data, count="times", **arguments)
    by_row = slice_failures(written_out(data, "times"), **arguments)

    assert by_count.evals[0].slices[0].predicates[0].lower is not None
    assert without_examples(by_count) == without_examples(by_row)


def test_former_name_of_max_predicates():
    """`max_level` still works, with a DeprecationWarning that names the new argument."""
    data = pd.DataFrame({"a": list("xy") * 100, "b": list("uuvv") * 50, "failed": [0, 1] * 100})
    new = slice_failures(data, failed="failed", max_predicates=1)

    with pytest.warns(DeprecationWarning, match="use max_predicates"):
        former = slice_failures(data, failed="failed", max_level=1)

    assert former == new
