"""Slices and attributes in words."""

from __future__ import annotations

import pytest

from keras_otel import semconv as names
from keras_otel.analysis.reports import wording


@pytest.mark.parametrize(
    ("attribute", "value", "text"),
    [
        (names.MODEL_VERSION, "v2", "v2"),
        (names.MODEL_VERSION, "2026-11-01", "version 2026-11-01"),
        (names.PREDICTION_CLASS, "refund", "class refund"),
        (names.CONFIDENCE_BIN, "[0.5,0.6)", "confidence [0.5,0.6)"),
        (names.DURATION_BIN, "[0.01,0.025)", "latency [0.01,0.025) s"),
        (names.INFERENCE_COLD, "true", "first call"),
        (names.INFERENCE_COLD, "false", "not the first call"),
        (names.PREDICTION_CLASS, "__other__", "any other class"),
        (names.MODEL_VERSION, "__missing__", "version not set"),
        ("user.tier", "pro", "user.tier = pro"),
        ("user.tier", "", 'user.tier = ""'),
    ],
)
def test_predicates(attribute, value, text):
    """Each predicate reads as a phrase, with its unit."""
    assert wording.predicate_text(attribute, value) == text


def test_a_heading_has_the_key_too():
    """What `--by` wants can be read off; an attribute without a word is its key."""
    assert wording.heading(names.MODEL_VERSION) == "Version (keras.model.version)"
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
    text = wording.predicate_text(names.PREDICTION_CLASS, "\u0643\u0644\u0645\u0629")

    assert text == "class \u2068\u0643\u0644\u0645\u0629\u2069"
