"""Evaluations in the conventions of OpenInference and FutureAGI."""

from __future__ import annotations

from opentelemetry.trace import format_span_id

from keras_otel.feedback import futureagi_attributes, openinference_attributes, record_evaluation
from keras_otel.records import Evaluation
from tests.feedback.conftest import GENAI, finished, span_of


def test_openinference(telemetry):
    """The evaluations of a span are numbered from what it has, and its own keys stay."""
    theirs = {"evaluations.0.evaluation.name": "theirs", "evaluations.0.evaluation.score": 1.0}
    with span_of(telemetry, **theirs):
        record_evaluation("faithfulness", score=0.2, label="bad", conventions="openinference")
        record_evaluation("silent", conventions="openinference")
        record_evaluation("tone", passed=True, explanation="kind", conventions=["openinference"])

    assert dict(finished(telemetry, "chat").attributes) == {
        **GENAI,
        **theirs,
        "evaluations.1.evaluation.name": "faithfulness",
        "evaluations.1.evaluation.score": 0.2,
        "evaluations.1.evaluation.label": "bad",
        "evaluations.2.evaluation.name": "tone",
        "evaluations.2.evaluation.label": "pass",
        "evaluations.2.evaluation.explanation": "kind",
    }


def test_futureagi(telemetry):
    """The newest evaluation stands under `gen_ai.evaluation.*`, every score under its name."""
    with span_of(telemetry) as span:
        record_evaluation("faithfulness", score=0.2, passed=False, conventions="futureagi")
        record_evaluation("tone", score=0.9, explanation="kind", conventions="futureagi")

    attributes = finished(telemetry, "chat").attributes
    assert attributes["gen_ai.evaluation.name"] == "tone"
    assert attributes["gen_ai.evaluation.score.value"] == 0.9
    assert attributes["gen_ai.evaluation.explanation"] == "kind"
    assert (attributes["eval.faithfulness"], attributes["eval.tone"]) == (0.2, 0.9)
    assert "gen_ai.evaluation.target_span_id" not in attributes

    record_evaluation("tone", score=0.9, conventions={"futureagi", "openinference"}, span=span)

    made = finished(telemetry, "evaluate tone").attributes
    assert made["gen_ai.evaluation.target_span_id"] == format_span_id(
        span.get_span_context().span_id
    )
    assert made["openinference.span.kind"] == "EVALUATOR"
    assert (made["eval.tone"], made["evaluations.0.evaluation.score"]) == (0.9, 0.9)


def test_the_forms_of_an_evaluation():
    """Each converter works by itself, and leaves out what is not known."""
    full = Evaluation(name="tone", score=0.5, passed=True, label="pass", explanation="kind")
    failed = Evaluation(name="tone", error_type="TimeoutError")

    assert openinference_attributes(full, 3) == {
        "evaluations.3.evaluation.name": "tone",
        "evaluations.3.evaluation.score": 0.5,
        "evaluations.3.evaluation.label": "pass",
        "evaluations.3.evaluation.explanation": "kind",
    }
    assert openinference_attributes(failed, 0) == {}
    assert futureagi_attributes(full) == {
        "gen_ai.evaluation.name": "tone",
        "gen_ai.evaluation.score.value": 0.5,
        "gen_ai.evaluation.score.label": "pass",
        "gen_ai.evaluation.explanation": "kind",
        "eval.tone": 0.5,
    }
    assert futureagi_attributes(failed) == {"gen_ai.evaluation.name": "tone"}
