"""`record_evaluation`: its metric, its arguments, and its documented examples."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from keras_otel.feedback import record_evaluation
from tests.feedback.conftest import EVENT, counts, event_of, finished, span_of, upstream


def test_classes_beyond_64_share_one_name(telemetry):
    """The metric keeps the first 64 classes of a model apart, and loses no evaluation."""
    for number in range(70):
        with span_of(telemetry, **upstream(**{"class": f"class {number}"})):
            record_evaluation("faithfulness", passed=True)

    by_class = {a["keras.prediction.class"]: n for a, n in counts(telemetry)}
    assert len(by_class) == 65
    assert by_class["__other__"] == 6
    assert sum(by_class.values()) == 70


def test_an_exemplar_leads_to_the_evaluated_span(telemetry):
    """Also to one that has ended, and not to the span that happens to run."""
    with span_of(telemetry) as span:
        pass
    with span_of(telemetry, "judge"):
        record_evaluation("faithfulness", passed=False, span=span)

    (point,) = telemetry.metrics()["keras.evaluations"]
    (exemplar,) = point.exemplars
    own = span.get_span_context()
    assert (exemplar.trace_id, exemplar.span_id) == (own.trace_id, own.span_id)


def test_metrics_switched_off(telemetry):
    """With `metrics=False` the events are all there is."""
    telemetry.instrument(metrics=False)
    with span_of(telemetry):
        record_evaluation("faithfulness", passed=False)

    assert counts(telemetry) == []
    assert event_of(telemetry)[0] == EVENT


def test_the_former_name_of_conventions(telemetry):
    """`also` still works, and the warning that says what to write points at the caller."""
    with span_of(telemetry), pytest.deprecated_call(match="pass conventions=") as warned:
        record_evaluation("tone", score=0.9, also=["futureagi"])

    assert finished(telemetry, "chat").attributes["eval.tone"] == 0.9
    assert [warning.filename for warning in warned] == [__file__]


def test_the_documented_examples(tmp_path):
    """The blocks of docs/evaluations.md run one after another, and export what they say."""
    page = Path(__file__).parents[2] / "docs" / "evaluations.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    program = "\n".join(blocks)

    subprocess.run(
        [sys.executable, "-W", "error", "-c", program], check=True, timeout=60, cwd=tmp_path
    )

    exported = (tmp_path / "traces.jsonl").read_text(encoding="utf-8")
    for text in (
        *("evaluate tone", "outcome intent", "evaluations.1.evaluation.name", "eval.faithfulness"),
        *("gen_ai.evaluation.result", "keras.prediction.outcome", "TimeoutError"),
    ):
        assert f'"{text}"' in exported
    assert program.count("record_evaluation(") == exported.count('"eventName":"gen_ai.evaluation')
