"""An evaluation carries the upstream predictions of its span."""

from __future__ import annotations

import keras_otel
from keras_otel import semconv
from keras_otel.feedback import record_evaluation
from tests.backends.models import classifier, rows
from tests.feedback.conftest import counts, event_of, span_of, upstream, upstream_of


def test_several_upstream_models(telemetry, intent):
    """The event carries each model, and the metric counts once for each."""
    toxicity = keras_otel.describe(
        classifier("sigmoid", 1), name="Toxicity Check", version="7", labels=["ok", "toxic"]
    )
    with span_of(telemetry, "request"):
        intent.predict_on_batch(rows())
        toxicity.predict_on_batch(rows())
        with span_of(telemetry):
            record_evaluation("faithfulness", passed=False)

    attributes = event_of(telemetry)[1]
    assert set(upstream_of(attributes)) == {"intent", "toxicity_check"}
    counted = counts(telemetry)
    assert {a["keras.model.name"]: a["keras.model.version"] for a, _ in counted} == {
        "intent": "v1",
        "Toxicity Check": "7",
    }
    for counted_attributes, number in counted:
        model = semconv.key_segment(counted_attributes["keras.model.name"])
        confidence = attributes[f"keras.upstream.{model}.confidence"]
        assert number == 1
        assert counted_attributes == {
            "gen_ai.evaluation.name": "faithfulness",
            "keras.evaluation.passed": False,
            "keras.model.name": counted_attributes["keras.model.name"],
            "keras.model.version": attributes[f"keras.upstream.{model}.version"],
            "keras.prediction.class": attributes[f"keras.upstream.{model}.class"],
            "keras.prediction.confidence_bin": semconv.confidence_bin(confidence),
        }


def test_what_the_span_carries_goes_first(telemetry, intent):
    """What the evaluated span says itself stands, also where the request has moved on."""
    said = upstream("intent", **{"class": "order", "confidence": 0.97, "version": "v0"})
    with span_of(telemetry, "request"):
        intent.predict_on_batch(rows())
        with span_of(telemetry, **said):
            record_evaluation("faithfulness", passed=False)

    attributes = event_of(telemetry)[1]
    assert {k: v for k, v in attributes.items() if k.startswith("keras.upstream.")} == said
    ((counted, _),) = counts(telemetry)
    assert counted["keras.prediction.class"] == "order"
    assert counted["keras.prediction.confidence_bin"] == "[0.95,0.99)"


def test_without_an_upstream_prediction(telemetry):
    """The metric counts once, without a model."""
    with span_of(telemetry):
        record_evaluation("faithfulness", passed=True, score=0.9)

    assert counts(telemetry) == [
        ({"gen_ai.evaluation.name": "faithfulness", "keras.evaluation.passed": True}, 1)
    ]


def test_nothing_is_carried_where_that_is_switched_off(telemetry, intent):
    """With `propagate="none"` an evaluation carries no prediction of its request either."""
    telemetry.instrument(propagate="none")
    with span_of(telemetry, "request"):
        intent.predict_on_batch(rows())
        record_evaluation("faithfulness", passed=True)

    assert upstream_of(event_of(telemetry)[1]) == {}


def test_an_odd_attribute_upstream(telemetry):
    """Keys under the prefix that are no part of a prediction are not taken for one."""
    odd = {"keras.upstream.class": "x", "keras.upstream.intent.colour": "red"}
    with span_of(telemetry, **odd, **upstream("flags", labels=("a", "b"))):
        record_evaluation("faithfulness", passed=True)

    attributes = event_of(telemetry)[1]
    assert {k for k in attributes if k.startswith("keras.upstream.")} == {
        "keras.upstream.flags.labels"
    }
