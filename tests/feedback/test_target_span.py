"""Which span is meant: a span, its context, its ids, or the current one."""

from __future__ import annotations

import numpy as np
import pytest
from opentelemetry.trace import NonRecordingSpan, format_span_id, format_trace_id

from keras_otel.feedback import record_evaluation
from tests.backends.models import rows
from tests.feedback.conftest import LABELS, event_of, finished, span_of, upstream, upstream_of


def test_on_what_an_exporter_got(telemetry):
    """The readable copy of an ended span, as exporters and processors have it, will do."""
    with span_of(telemetry, **upstream(**{"class": "refund"})):
        pass

    record_evaluation("faithfulness", passed=True, span=finished(telemetry, "chat"))

    made = finished(telemetry, "evaluate faithfulness")
    assert made.attributes["keras.upstream.intent.class"] == "refund"


IDS = {
    "context": lambda own: own,
    "numbers": lambda own: (own.trace_id, own.span_id),
    "hex": lambda own: (format_trace_id(own.trace_id), format_span_id(own.span_id)),
    "prefixed hex": lambda own: (hex(own.trace_id), hex(own.span_id)),
    "upper case, in a list": lambda own: [f"{own.trace_id:032X}", f"{own.span_id:016X}"],
    "numpy": lambda own: (own.trace_id, np.uint64(own.span_id)),
    "a span that stands for it": NonRecordingSpan,
}


@pytest.mark.parametrize("form", IDS)
def test_on_ids_alone(telemetry, intent, form):
    """Ids find the span's trace, and what this process remembers of it."""
    with span_of(telemetry, "request"):
        intent.predict_on_batch(rows())
        with span_of(telemetry) as span:
            own = span.get_span_context()

    record_evaluation("faithfulness", passed=False, span=IDS[form](own))

    made = finished(telemetry, "evaluate faithfulness")
    assert (made.parent.span_id, made.context.trace_id) == (own.span_id, own.trace_id)
    assert made.attributes["keras.upstream.intent.class"] in LABELS
    assert event_of(telemetry)[2:] == (own.trace_id, own.span_id)


def test_on_ids_of_another_process(telemetry, intent):
    """What is known of another request, the one that runs here, is not taken for its own."""
    with span_of(telemetry, "request"):
        intent.predict_on_batch(rows())
        record_evaluation("faithfulness", passed=False, span=("ab" * 16, "cd" * 8))

    made = finished(telemetry, "evaluate faithfulness")
    assert format_trace_id(made.context.trace_id) == "ab" * 16
    assert format_span_id(made.parent.span_id) == "cd" * 8
    assert upstream_of(made.attributes) == {}
    assert upstream_of(event_of(telemetry)[1]) == {}


def test_on_ids_of_the_span_that_runs(telemetry):
    """Ids of the current span mean the span itself, which can still be written to."""
    with span_of(telemetry) as span:
        own = span.get_span_context()
        record_evaluation("a", span=(own.trace_id, own.span_id))
        record_evaluation("b", span=own)

    assert [e.attributes["gen_ai.evaluation.name"] for e in finished(telemetry, "chat").events] == [
        "a",
        "b",
    ]
    assert telemetry.spans() == []


def test_an_invalid_span_is_not_the_current_one(telemetry):
    """Ids of zero, passed on purpose, do not fall back to the span that happens to run."""
    with span_of(telemetry):
        record_evaluation("faithfulness", passed=False, span=(0, 0))

    assert finished(telemetry, "chat").events == ()
    assert event_of(telemetry)[2] == 0
