"""Every name that leaves the process stands once."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import keras_otel
from keras_otel import semconv

PACKAGE = Path(keras_otel.__file__).parent
DOCS = Path(__file__).parents[1] / "docs"
KEYS = set(semconv.ATTRIBUTES) | set(semconv.METRICS)

# A name of ours or of the conventions we follow; `keras.src.…` and `keras.json` are none.
_NAME = re.compile(
    r"(keras(?!\.src\b|\.json\b)|gen_ai|openinference(?!\.instrumentation\b))(\.[a-z0-9_]+)+"
)


def literals(source: str) -> list[str]:
    """The text constants of a module, docstrings excluded."""
    tree = ast.parse(source)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
    ]


def test_a_stray_name_would_be_found():
    """The scan sees a constant in code and not one in a docstring."""
    source = (
        'def f():\n    """keras.model.name"""\n    return {"keras.model.name": "keras.src.x"}\n'
    )

    assert [text for text in literals(source) if _NAME.fullmatch(text)] == ["keras.model.name"]


@pytest.mark.parametrize(
    "module",
    sorted(path for path in PACKAGE.rglob("*.py") if path.name != "semconv.py"),
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_names_stand_in_semconv_only(module):
    """No other module writes an attribute, metric or event name of its own."""
    strays = [
        text
        for text in literals(module.read_text(encoding="utf-8"))
        if _NAME.fullmatch(text) or text in KEYS
    ]

    assert strays == []


def test_no_key_is_both_leaf_and_prefix():
    """Backends that nest keys at the dot have one place for each."""
    prefixes = {
        ".".join(parts[:n])
        for parts in (key.split(".") for key in KEYS)
        for n in range(1, len(parts))
    }

    assert prefixes & (set(semconv.ATTRIBUTES) | set(semconv.METRICS)) == set()
    assert semconv.OUTPUT_PREFIX not in KEYS
    assert not any(key.startswith(f"{semconv.OUTPUT_PREFIX}.") for key in KEYS)


def test_no_key_of_ours_looks_like_an_llm_call():
    """Backends take any `gen_ai.` key for an LLM span, so only evaluations of LLM answers have one."""
    genai = {key for key in KEYS if key.startswith("gen_ai.")}

    assert all(key.startswith("gen_ai.evaluation.") for key in genai)
    assert not any(key.startswith(("llm.", "ml.", "ai.")) for key in KEYS)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", key) for key in KEYS)


@pytest.mark.parametrize("key", sorted(semconv.ATTRIBUTES))
def test_every_attribute_is_documented(key):
    """docs/attributes.md has a row for the attribute, with its type and cardinality."""
    attribute = semconv.ATTRIBUTES[key]
    rows = [
        line
        for line in (DOCS / "attributes.md").read_text(encoding="utf-8").splitlines()
        if line.startswith(f"| `{key}` |")
    ]

    assert rows, f"docs/attributes.md has no row for {key}"
    assert any(
        attribute.type in row and attribute.cardinality in row and attribute.unit in row
        for row in rows
    )


@pytest.mark.parametrize("part", sorted(semconv.UPSTREAM_ATTRIBUTES))
def test_every_part_of_an_upstream_prediction_is_documented(part):
    """docs/attributes.md has a row for each part of the template, with type and cardinality."""
    attribute = semconv.UPSTREAM_ATTRIBUTES[part]
    (row,) = [
        line
        for line in (DOCS / "attributes.md").read_text(encoding="utf-8").splitlines()
        if line.startswith(f"| `{attribute.key}` |")
    ]

    assert f"| {attribute.type} | {attribute.cardinality} |" in row


@pytest.mark.parametrize("name", sorted(semconv.EVENTS))
def test_every_event_is_documented(name):
    """docs/attributes.md has a row for the event, with the attributes it may carry."""
    (row,) = [
        line
        for line in (DOCS / "attributes.md").read_text(encoding="utf-8").splitlines()
        if line.startswith(f"| `{name}` | event ")
    ]

    assert all(f"`{key}`" in row for key in semconv.EVENTS[name].attributes)


@pytest.mark.parametrize("name", sorted(semconv.METRICS))
def test_every_metric_is_documented(name):
    """docs/attributes.md has a row for the metric, with its kind, unit and attributes."""
    metric = semconv.METRICS[name]
    rows = [
        line
        for line in (DOCS / "attributes.md").read_text(encoding="utf-8").splitlines()
        if line.startswith(f"| `{name}` | {metric.kind} ")
    ]

    (row,) = rows
    assert f"`{metric.unit}`" in row
    assert all(f"`{key}`" in row for key in metric.attributes)


def test_documented_names_exist():
    """docs/attributes.md names no attribute that is never set."""
    text = (DOCS / "attributes.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `([a-z_.]+)` \|", text, flags=re.MULTILINE))

    assert named <= KEYS | set(semconv.EVENTS)


def test_the_boundaries_of_the_duration():
    """Seconds from half a millisecond to ten."""
    assert semconv.DURATION.unit == "s"
    assert semconv.DURATION.boundaries == (
        0.0005,
        0.001,
        0.0025,
        0.005,
        0.01,
        0.025,
        0.05,
        0.1,
        0.25,
        0.5,
        1,
        2.5,
        5,
        10,
    )


def test_the_boundaries_of_the_confidence():
    """Tenths, and finer above 0.9 where confident models live."""
    assert semconv.CONFIDENCE.unit == "1"
    assert semconv.CONFIDENCE.boundaries == (
        0.1,
        0.2,
        0.3,
        0.4,
        0.5,
        0.6,
        0.7,
        0.8,
        0.9,
        0.95,
        0.99,
    )


def test_metrics_have_no_attribute_without_bounds():
    """A metric has one series for each value, so none of its attributes may take any value."""
    for metric in semconv.METRICS.values():
        assert all(semconv.ATTRIBUTES[key].cardinality != "high" for key in metric.attributes)


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("intent", "intent"),
        ("Intent Router", "intent_router"),
        ("a.b", "a_b"),
        ("größe-1", "gr__e-1"),
        ("", ""),
    ],
)
def test_a_users_name_as_segment(name, segment):
    """Lower case, digits, `_` and `-` stay; the rest becomes `_`."""
    assert semconv.key_segment(name) == segment


@given(st.text())
def test_a_segment_holds_no_dot(name):
    """No name can split a key, and a segment is its own segment."""
    segment = semconv.key_segment(name)

    assert re.fullmatch(r"[a-z0-9_-]*", segment)
    assert semconv.key_segment(segment) == segment


def test_the_keys_of_several_outputs():
    """Each key of a prediction has its counterpart for one output of several."""
    assert semconv.output_key("Topic", semconv.PREDICTION_CLASS) == "keras.output.topic.class"
    assert semconv.output_key("a.b", semconv.EMBEDDING_NORM) == "keras.output.a_b.norm"
    with pytest.raises(KeyError):
        semconv.output_key("topic", semconv.MODEL_NAME)


def test_the_keys_of_an_evaluation_in_other_forms():
    """OpenInference numbers the evaluations of a span, FutureAGI names the scores."""
    key = semconv.openinference_evaluation_key(2, semconv.EVALUATION_SCORE)

    assert key == "evaluations.2.evaluation.score"
    assert semconv.futureagi_score_key("tone") == "eval.tone"
    with pytest.raises(KeyError):
        semconv.openinference_evaluation_key(0, semconv.EVALUATION_PASSED)


@given(st.floats(0, 1))
def test_each_confidence_has_one_bin(confidence):
    """The bins cover 0 to 1 without a gap, and a bin says which confidences it holds."""
    text = semconv.confidence_bin(confidence)
    low, high = (float(edge) for edge in text[1:-1].split(","))

    assert low <= confidence < high or (text.endswith("]") and confidence == high == 1)
    assert {low, high} <= set(semconv.CONFIDENCE_EDGES)


def test_every_key_of_a_prediction_has_one_for_each_output():
    """What one output can say, each of several can say, under names that differ."""
    repeated = [
        key
        for key in semconv.ATTRIBUTES
        if key.startswith(("keras.prediction.", "keras.embedding.", "keras.batch.confidence"))
        and key != semconv.CONFIDENCE_BIN
    ]
    keys = [semconv.output_key("topic", key) for key in repeated]

    assert len(set(keys)) == len(repeated)
