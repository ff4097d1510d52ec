"""What an evaluator reports is recorded, or left out with one log line."""

from __future__ import annotations

import subprocess
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import StatusCode

from keras_otel.feedback import record_evaluation, validation
from tests.feedback.conftest import counts, event_of, finished, span_of


@pytest.mark.parametrize(
    ("score", "recorded"),
    [
        (0.25, 0.25),
        (0, 0.0),
        (-3, -3.0),
        (np.float32(0.25), 0.25),
        (np.float64(0.25), 0.25),
        (np.int64(2), 2.0),
        (np.array(0.25), 0.25),
        (Decimal("0.25"), 0.25),
        (Fraction(1, 4), 0.25),
    ],
    ids=repr,
)
def test_a_score_is_a_double(telemetry, score, recorded):
    """Python's and numpy's numbers arrive as a double, and not as text."""
    with span_of(telemetry):
        record_evaluation("faithfulness", score=score)

    value = event_of(telemetry)[1]["gen_ai.evaluation.score.value"]
    assert (type(value), value) == (float, recorded)


@pytest.mark.parametrize(
    "score",
    [
        float("nan"),
        float("inf"),
        np.float32("-inf"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("1e999"),
        10**400,
        "abc",
        "0.5",
        True,
        np.bool_(0),
        1j,
        np.complex64(1),
        np.array([0.5]),
        [0.5],
        object(),
    ],
    ids=lambda score: type(score).__name__,
)
def test_a_score_that_is_none(telemetry, caplog, score):
    """What is no finite number is left out with one line, and the rest is recorded."""
    with span_of(telemetry):
        for _ in range(3):
            record_evaluation("faithfulness", score=score, passed=False, explanation="why")

    for record in telemetry.logs():
        assert dict(record.log_record.attributes) == {
            "gen_ai.evaluation.name": "faithfulness",
            "gen_ai.evaluation.score.label": "fail",
            "gen_ai.evaluation.explanation": "why",
            "keras.evaluation.passed": False,
        }
    (line,) = caplog.messages
    assert line.startswith("keras_otel: evaluation 'faithfulness': score ")
    assert line.endswith(" is left out, the rest is recorded: pass a finite number")


@given(st.floats() | st.decimals() | st.integers() | st.fractions())
def test_any_number_is_finite_or_left_out(score):
    """No number of any kind makes an evaluation with a score that is not finite."""
    made = validation.checked_evaluation(
        "x", score=score, passed=None, label=None, explanation=None, error=None
    )

    assert made.score is None or (type(made.score) is float and np.isfinite(made.score))
    if isinstance(score, float) and np.isfinite(score):
        assert made.score == score


@pytest.mark.parametrize("passed", [True, False, np.bool_(1), np.bool_(0), np.array(1) == 1])
def test_passed_is_a_boolean(telemetry, passed):
    """Python's and numpy's truth values arrive as a boolean, with the label that says it."""
    with span_of(telemetry):
        record_evaluation("faithfulness", passed=passed)

    attributes = event_of(telemetry)[1]
    assert attributes["keras.evaluation.passed"] is bool(passed)
    assert attributes["gen_ai.evaluation.score.label"] == ("pass" if passed else "fail")


@pytest.mark.parametrize("passed", ["yes", 1, 0.5, np.array([True])])
def test_passed_that_is_no_truth_value(telemetry, caplog, passed):
    """A verdict is not guessed from text or numbers."""
    with span_of(telemetry):
        record_evaluation("faithfulness", passed=passed, score=0.5)

    attributes = event_of(telemetry)[1]
    assert "keras.evaluation.passed" not in attributes
    assert "gen_ai.evaluation.score.label" not in attributes
    assert attributes["gen_ai.evaluation.score.value"] == 0.5
    assert len(caplog.messages) == 1


def test_a_label_is_kept_as_it_is(telemetry, caplog):
    """A label of the evaluator's own stands beside `passed`; one that is no text is left out."""
    with span_of(telemetry):
        record_evaluation("faithfulness", passed=False, label="hallucinated")
        record_evaluation("other", label=3, explanation=["no text"])

    first, second = (dict(record.log_record.attributes) for record in telemetry.logs())
    assert first["gen_ai.evaluation.score.label"] == "hallucinated"
    assert first["keras.evaluation.passed"] is False
    assert second == {"gen_ai.evaluation.name": "other"}
    assert len(caplog.messages) == 2


def test_text_that_cannot_be_encoded(telemetry):
    """An answer cut in the middle of an emoji does not cost the exporter its batch."""
    with span_of(telemetry):
        record_evaluation("a\ud83d", label="b\ud83d", explanation="\ud83d", passed=True)

    for value in event_of(telemetry)[1].values():
        str(value).encode("utf-8")


def test_an_evaluator_that_failed(telemetry):
    """A failure is `error.type` on event, span and metric, and never a failed evaluation."""
    with span_of(telemetry) as span:
        record_evaluation("faithfulness", error=TimeoutError("slow"), passed=False, score=0.0)
    record_evaluation("faithfulness", error=subprocess.TimeoutExpired("judge", 3), span=span)

    first, second = (dict(record.log_record.attributes) for record in telemetry.logs())
    assert first == {"gen_ai.evaluation.name": "faithfulness", "error.type": "TimeoutError"}
    assert second["error.type"] == "subprocess.TimeoutExpired"
    (event,) = finished(telemetry, "chat").events
    assert dict(event.attributes) == first
    made = finished(telemetry, "evaluate faithfulness")
    assert made.status.status_code is StatusCode.ERROR
    assert made.status.description == "Command 'judge' timed out after 3 seconds"
    assert finished(telemetry, "chat").status.status_code is StatusCode.UNSET
    assert sorted(counts(telemetry), key=str) == [
        ({"gen_ai.evaluation.name": "faithfulness", "error.type": "TimeoutError"}, 1),
        ({"gen_ai.evaluation.name": "faithfulness", "error.type": "subprocess.TimeoutExpired"}, 1),
    ]


def test_a_failure_as_text(telemetry):
    """A text is the type of the failure; an empty one is none."""
    with span_of(telemetry):
        record_evaluation("faithfulness", error="rate_limited")
        record_evaluation("faithfulness", error="", passed=True)

    first, second = (dict(record.log_record.attributes) for record in telemetry.logs())
    assert first["error.type"] == "rate_limited"
    assert "error.type" not in second
    assert second["keras.evaluation.passed"] is True
