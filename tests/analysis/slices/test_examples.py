"""The failed rows that are shown beside a slice."""

from __future__ import annotations

import ibis
import pytest

from keras_otel.analysis.result import Example, Predicate
from keras_otel.analysis.slices.examples import ExampleRequest, example_traces

ROWS = [
    # trace, eval, model, class, latency, failed, explanation
    ("t5", "ok", "m", "a", 1, True, "late"),
    ("t1", "ok", "m", "a", 2, True, "wrong"),
    ("t2", "ok", "m", "b", 3, True, None),
    ("t3", "ok", "m", "b", 9, False, "fine"),
    ("t4", "ok", "m", None, 9, True, ""),
    ("t0", "other", "m", "a", 1, True, "of another evaluation"),
    ("t9", "ok", "n", "a", 1, True, "behind another model"),
    (None, "ok", "m", "a", 1, True, "without a trace"),
    ("t6", "ok", "m", "a", 1, None, "not evaluated"),
    ("t7", "ok", "m", "a", 1, True, "one too many"),
    ("t8", "ok", "m", "a", 1, True, "one too many"),
]
NAMES = ("trace_id", "eval", "model", "class", "latency", "failed", "explanation")


def table(*names):
    """The rows with these columns."""
    rows = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
    return ibis.memtable(
        [{name: row[name] for name in names} for row in rows], schema=schema_of(names)
    )


def schema_of(names):
    types = {"latency": "int64", "failed": "boolean"}
    return ibis.schema({name: types.get(name, "string") for name in names})


def found(rows, *slices):
    """The examples of slices behind one model."""
    values = {
        "class": ibis.coalesce(rows["class"], "__missing__"),
        "latency": ibis.cases((rows.latency < 2, "low"), (rows.latency < 4, "mid"), else_="high"),
    }
    request = ExampleRequest(eval_name="ok", model="m", slices=slices)
    ((*examples,),) = example_traces(rows, [request], values.__getitem__)
    return examples


def of(attribute, value, *values):
    return Predicate(attribute=attribute, value=value, values=values)


@pytest.mark.parametrize(
    ("predicates", "trace_ids"),
    [
        ((of("class", "a"),), ["t1", "t5", "t7"]),
        ((of("class", "a"), of("latency", "mid")), ["t1"]),
        ((of("class", "__missing__"),), ["t4"]),
        ((of("latency", "[0,4)", "low", "mid"),), ["t1", "t2", "t5"]),
        ((of("latency", "[2,inf)", "mid", "high"),), ["t1", "t2", "t4"]),
        ((of("class", "nowhere"),), []),
        ((), ["t1", "t2", "t4"]),
    ],
)
def test_the_first_failed_rows(predicates, trace_ids):
    """Single values, ranges and what is missing: in order of the trace ids, three at most."""
    (examples,) = found(table(*NAMES), predicates)

    assert [example.trace_id for example in examples] == trace_ids


def test_explanations():
    """Where the rows have explanations the examples do; an empty one is none."""
    explained, missing = found(table(*NAMES), (of("class", "a"),), (of("class", "__missing__"),))
    ((plain, *_),) = found(table(*NAMES[:-1]), (of("class", "a"),))

    assert explained[:2] == (
        Example(trace_id="t1", explanation="wrong"),
        Example(trace_id="t5", explanation="late"),
    )
    assert missing == (Example(trace_id="t4"),)
    assert plain == Example(trace_id="t1")


def test_no_slices():
    """Without slices nothing is asked, and there is a place for each family."""
    requests = [ExampleRequest(eval_name=name, model="m", slices=()) for name in ("ok", "x")]
    assert example_traces(table(*NAMES), requests, str) == [[], []]
