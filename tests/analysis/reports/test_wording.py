"""Slices and attributes in words."""

from __future__ import annotations

import pytest

from keras_otel import semconv
from keras_otel.analysis.reports import wording


@pytest.mark.parametrize(
    ("attribute", "value", "text"),
    [
        (semconv.MODEL_VERSION, "v2", "v2"),
        (semconv.MODEL_VERSION, "2026-11-01", "version 2026-11-01"),
        (semconv.PREDICTION_CLASS, "refund", "class refund"),
        (semconv.CONFIDENCE_BIN, "[0.5,0.6)", "confidence 0.5 to 0.6"),
        (semconv.CONFIDENCE_BIN, "[0,0.9)", "confidence below 0.9"),
        (semconv.CONFIDENCE_BIN, "[0.99,1]", "confidence at least 0.99"),
        (semconv.CONFIDENCE_BIN, "[0,1]", "confidence of any value"),
        (semconv.CONFIDENCE_BIN, "high", "confidence high"),
        (semconv.DURATION_BIN, "[0.01,0.025)", "latency 10 ms to 25 ms"),
        (semconv.DURATION_BIN, "[0,0.0005)", "latency below 500 µs"),
        (semconv.DURATION_BIN, "[0.5,2.5)", "latency 500 ms to 2.5 s"),
        (semconv.DURATION_BIN, "[10,inf)", "latency at least 10 s"),
        ("age", "[25,45)", "age from 25 up to 45"),
        ("age", "[25,45]", "age from 25 to 45"),
        ("age", "(25, 45]", "age above 25 to 45"),
        ("age", "[-inf,25)", "age below 25"),
        ("age", "(-inf,25]", "age up to 25"),
        ("age", "[45,inf)", "age at least 45"),
        ("age", "(45,inf]", "age above 45"),
        ("balance", "[-1e+06,0)", "balance from -1e+06 up to 0"),
        ("age", "[a,b)", "age = [a,b)"),
        (semconv.INFERENCE_COLD, "true", "first call"),
        (semconv.INFERENCE_COLD, "false", "not the first call"),
        (semconv.PREDICTION_CLASS, "__other__", "any other class"),
        (semconv.MODEL_VERSION, "__missing__", "version not set"),
        ("user.tier", "pro", "user.tier = pro"),
        ("user.tier", "", 'user.tier = ""'),
    ],
)
def test_predicates(attribute, value, text):
    """Each predicate reads as a phrase, with its unit."""
    assert wording.predicate_text(attribute, value) == text


@pytest.mark.parametrize(
    ("attribute", "value", "text"),
    [
        (semconv.CONFIDENCE_BIN, "[0,0.9)", "below 0.9"),
        (semconv.DURATION_BIN, "[0.01,0.025)", "10 ms to 25 ms"),
        ("age", "[25,45)", "25 up to 45"),
        ("age", "[45,inf)", "at least 45"),
        ("age", "__missing__", "not set"),
        ("age", "x", "x"),
    ],
)
def test_values_in_tables(attribute, value, text):
    """A value stands under its attribute's heading."""
    assert wording.value_text(attribute, value) == text


def test_a_heading_has_the_key_too():
    """What `--by` wants can be read off; an attribute without a word is its key."""
    assert wording.heading(semconv.MODEL_VERSION) == "Version (keras.model.version)"
    assert wording.heading("user.tier") == "user.tier"


@pytest.mark.parametrize("text", ["a\x1b[31mb", "a\rb", "a\u202eb", "a\x00b", "a\u009bb"])
def test_control_characters_are_shown(text):
    """No value moves the cursor, colours the terminal, or turns the line around."""
    assert wording.visible(text).replace("[31m", "") == "a\N{REPLACEMENT CHARACTER}b"


def test_lists():
    """One, two and three items."""
    assert [wording.listed(list("abc"[:n])) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]


def test_long_values_keep_both_ends():
    """At most 80 characters, so that a sentence stays one; what tells names apart is often last."""
    text = wording.shown(f"prefix-{'x' * 200}-suffix")

    assert len(text) == 80
    assert (text[:7], text[-7:]) == ("prefix-", "-suffix")


def test_values_from_right_to_left_are_isolated():
    """The numbers behind such a value stay where they are."""
    text = wording.predicate_text(semconv.PREDICTION_CLASS, "\u0643\u0644\u0645\u0629")

    assert text == "class \u2068\u0643\u0644\u0645\u0629\u2069"
