"""Rows: which prediction stands behind which evaluation, and what is left out."""

from __future__ import annotations

import pytest

from keras_otel import semconv
from keras_otel.analysis.rows.build import build_rows
from keras_otel.analysis.rows.fail_rules import FailRule
from keras_otel.analysis.rows.row_table import Question
from keras_otel.analysis.sources.reader import open_sources
from keras_otel.analysis.sources.tables.writer import Window
from keras_otel.errors import SourceError
from tests.analysis.sources.requests import (
    MS,
    START_NS,
    Inference,
    Request,
    Verdict,
    stamp,
    write,
)


@pytest.fixture
def rows(tmp_path):
    """Write requests, read them back, and build rows: (rows as dicts by trace, everything built)."""

    def build(*requests, question=None, window=None):
        path = tmp_path / "traces.jsonl"
        ids = write(path, requests)
        with open_sources([path], window=window) as telemetry:
            built = build_rows(telemetry, question or Question())
            found = built.table.to_pyarrow().to_pylist()
        return sorted(found, key=lambda row: (ids.index(row["trace_id"]), row["model"])), built

    return build


def test_a_row_has_what_was_predicted(rows):
    """The row carries the prediction's class, version, bins and latency, and the verdict."""
    (row,), built = rows(Request(verdicts=[Verdict(passed=False)]))

    assert {key: row[key] for key in ("model", "eval", "failed", "error", "weight")} == {
        "model": "intent",
        "eval": "correct",
        "failed": True,
        "error": False,
        "weight": 1.0,
    }
    assert (row["latency_s"], row["confidence"]) == (0.002, 0.93)
    assert {key: row[key] for key in built.features} == {
        semconv.MODEL_VERSION: "v1",
        semconv.PREDICTION_CLASS: "refund",
        semconv.CONFIDENCE_BIN: "[0.9,0.95)",
        semconv.BACKEND_NAME: "jax",
        semconv.RUNTIME_NAME: "keras",
        semconv.INFERENCE_COLD: "false",
        semconv.DURATION_BIN: "[0.001,0.0025)",
    }


@pytest.mark.parametrize("by", ["event", "log", "attributes", "span"])
def test_every_way_of_delivering_an_evaluation(rows, by):
    """A span event, a log record, attributes and an `evaluate` span all say the same."""
    (row,), _ = rows(Request(verdicts=[Verdict(passed=False, by=(by,))]))

    assert row["failed"] is True


def test_two_deliveries_count_once(rows):
    """The same evaluation as an event, a log record and a span is one row and two duplicates."""
    found, built = rows(Request(verdicts=[Verdict(passed=False, by=("event", "log", "span"))]))

    assert len(found) == 1
    assert built.accounting.evaluations.deliveries == 3
    assert built.accounting.evaluations.duplicates == 2


@pytest.mark.parametrize(
    ("verdict", "failed"),
    [
        (Verdict(passed=True, label="fail"), False),
        (Verdict(label="PASSED"), False),
        (Verdict(label=" failed "), True),
        (Verdict(label="true", score=0.0), False),
        (Verdict(label="meh", score=0.1), True),
        (Verdict(score=0.5), False),
    ],
)
def test_pass_or_fail(rows, verdict, failed):
    """The boolean counts first, then a label that says it, then the rule."""
    question = Question(rules=(FailRule.parse("correct: score<0.5"),))

    (row,), _ = rows(Request(verdicts=[verdict]), question=question)

    assert row["failed"] is failed


def test_a_score_without_a_rule(rows):
    """Pass or fail is not guessed: the error names the evaluation and a rule for it."""
    with pytest.raises(SourceError, match=r"'faithful'.*--fail 'faithful: score<0\.5'"):
        rows(Request(verdicts=[Verdict(name="faithful", score=0.9)]))


def test_a_nan_score_is_an_error_of_the_evaluator(rows):
    """A score that is no number leaves the denominator, and is counted."""
    question = Question(rules=(FailRule.parse("correct: score<0.5"),))

    (row,), built = rows(Request(verdicts=[Verdict(score=float("nan"))]), question=question)

    assert (row["failed"], row["error"]) == (None, True)
    assert built.accounting.rows.errors == 1


def test_an_evaluator_that_failed(rows):
    """It is no failed evaluation."""
    (row,), built = rows(Request(verdicts=[Verdict(error="TimeoutError")]))

    assert (row["failed"], row["error"]) == (None, True)
    assert built.accounting.rows.evaluated == 0


def test_a_trace_without_an_evaluation(rows):
    """It has a row without a verdict, so that each slice knows how much of it was evaluated."""
    found, built = rows(Request(verdicts=[Verdict(passed=True)]), Request())

    assert [row["failed"] for row in found] == [False, None]
    assert (built.accounting.rows.evaluated, built.accounting.rows.not_evaluated) == (1, 1)


def test_the_nearest_prediction_before_the_answer(rows):
    """Of several predictions, the last one that ended before the evaluated span counts."""
    request = Request(
        inferences=[
            Inference(at=1, class_name="first"),
            Inference(at=5, class_name="second"),
            Inference(at=16, class_name="after the answer"),
        ],
        verdicts=[Verdict(passed=True)],
    )

    (row,), built = rows(request)

    assert row[semconv.PREDICTION_CLASS] == "second"
    assert built.accounting.rows.several == 1


def test_the_span_of_an_outcome_is_no_inference(rows):
    """It names a model and a class too, and yet nothing was predicted there."""
    outcome = {
        semconv.MODEL_NAME: "intent",
        semconv.PREDICTION_CLASS: "refund",
        semconv.OUTCOME_CLASS: "order",
    }

    (row,), built = rows(Request(verdicts=[Verdict(passed=True)], outcome=outcome))

    assert row[semconv.PREDICTION_CLASS] == "refund"
    assert built.accounting.predictions.spans == 1
    assert built.accounting.rows.several == 0


def test_the_stamp_decides(rows):
    """Keys on the evaluated span name the prediction, also where another one is nearer."""
    request = Request(
        inferences=[
            Inference(at=1, class_name="mine", confidence=0.8),
            Inference(at=5, class_name="of another branch"),
        ],
        stamps=stamp("mine", 0.8),
        verdicts=[Verdict(passed=True)],
    )

    (row,), _ = rows(request)

    assert (row[semconv.PREDICTION_CLASS], row[semconv.BACKEND_NAME]) == ("mine", "jax")


def test_a_stamp_without_its_span(rows):
    """Where the inference span was not sampled, the keys give class, version and confidence."""
    request = Request(
        inferences=[], stamps=stamp("refund", 0.97, "v9"), verdicts=[Verdict(passed=False)]
    )

    (row,), built = rows(request)

    assert (row["model"], row["failed"], row["confidence"]) == ("intent", True, 0.97)
    assert (row[semconv.PREDICTION_CLASS], row[semconv.MODEL_VERSION]) == ("refund", "v9")
    assert row[semconv.BACKEND_NAME] is None
    assert built.accounting.rows.from_keys == 1


def test_a_stamp_that_no_span_agrees_with(rows):
    """A span that says something else than the keys is not the one that is meant."""
    request = Request(stamps=stamp("other", 0.6, "v2"), verdicts=[Verdict(passed=False)])

    (row,), built = rows(request)

    assert (row[semconv.PREDICTION_CLASS], row["confidence"]) == ("other", 0.6)
    assert (row[semconv.RUNTIME_NAME], row["latency_s"]) == (None, None)
    assert built.accounting.rows.from_keys == 1


def test_a_prediction_after_the_answer(rows):
    """It cannot have caused the answer: left out, and counted."""
    found, built = rows(Request(inferences=[Inference(at=18)], verdicts=[Verdict(passed=True)]))

    assert found == []
    assert built.accounting.rows.after == 1


def test_an_evaluation_of_the_whole_trace(rows, tmp_path):
    """Without an evaluated span, predictions that differ are ambiguous and equal ones are not."""
    path = tmp_path / "traces.jsonl"
    different = Request(inferences=[Inference(at=1), Inference(at=4, class_name="order")])
    same = Request(inferences=[Inference(at=1), Inference(at=4)])
    ids = write(path, [different, same])
    evaluations = tmp_path / "evals.csv"
    evaluations.write_text(f"trace_id,name,passed\n{ids[0]},correct,true\n{ids[1]},correct,false\n")

    with open_sources([path, evaluations]) as telemetry:
        built = build_rows(telemetry, Question())
        found = built.table.to_pyarrow().to_pylist()

    assert [(row["trace_id"], row["failed"]) for row in found] == [(ids[1], True)]
    assert built.accounting.rows.ambiguous == 1


def test_a_batch_is_left_out(rows):
    """Which row of a batch belongs to which request is not known; an item's own span is."""
    batch = Inference(class_name=None, confidence=None, more={semconv.BATCH_SIZE: 8})
    item = Inference(more={semconv.BATCH_SIZE: 8})

    found, built = rows(
        Request(inferences=[batch], verdicts=[Verdict(passed=True)]),
        Request(inferences=[item], verdicts=[Verdict(passed=True)]),
    )

    assert len(found) == 1
    assert built.accounting.predictions.batches == 1
    assert built.accounting.without_prediction == 1


def test_one_row_for_each_output(rows):
    """A model with several outputs is one upstream model for each of them."""
    more = {
        semconv.output_key("topic", semconv.PREDICTION_CLASS): "billing",
        semconv.output_key("topic", semconv.PREDICTION_CONFIDENCE): 0.7,
        semconv.output_key("mood", semconv.PREDICTION_CLASS): "angry",
    }
    inference = Inference(class_name=None, confidence=None, more=more)

    found, _ = rows(Request(inferences=[inference], verdicts=[Verdict(passed=True)]))

    assert [(row["model"], row[semconv.PREDICTION_CLASS], row["confidence"]) for row in found] == [
        ("intent.mood", "angry", None),
        ("intent.topic", "billing", 0.7),
    ]


def test_each_model_and_each_evaluation_has_its_row(rows):
    """Two models and two evaluations make four rows of one trace."""
    request = Request(
        inferences=[Inference(), Inference(at=4, model="toxicity", class_name="no")],
        verdicts=[Verdict(passed=True), Verdict(name="polite", passed=False)],
    )

    found, _ = rows(request)

    assert sorted((row["model"], row["eval"], row["failed"]) for row in found) == [
        ("intent", "correct", False),
        ("intent", "polite", True),
        ("toxicity", "correct", False),
        ("toxicity", "polite", True),
    ]


def test_the_same_spans_twice(rows, tmp_path):
    """A file delivered twice gives the same rows, and says how many spans came twice."""
    path = tmp_path / "traces.jsonl"
    write(path, [Request(verdicts=[Verdict(passed=False)])])
    copy = tmp_path / "again.jsonl"
    copy.write_bytes(path.read_bytes())

    with open_sources([path, copy]) as telemetry:
        built = build_rows(telemetry, Question())

        assert built.table.count().to_pyarrow().as_py() == 1
    assert built.accounting.predictions.duplicates == 1
    assert built.accounting.evaluations.duplicates == 1


@pytest.mark.parametrize(
    ("tracestate", "weight"),
    [
        ({"ot": "th:8"}, 2.0),
        ({"ot": "th:c"}, 4.0),
        ({"ot": "rv:0123456789abcd;th:c"}, 4.0),
        ({"other": "th:c"}, 1.0),
        ({"ot": "th:0"}, 1.0),
    ],
)
def test_sampling_weights(rows, tracestate, weight):
    """The threshold in the tracestate says how many traces one stands for."""
    (row,), _ = rows(Request(verdicts=[Verdict(passed=True)], tracestate=tracestate))

    assert row["weight"] == weight


def test_without_a_threshold(rows):
    """Weights are 1, or what the user says."""
    request = Request(verdicts=[Verdict(passed=True)])

    (row,), built = rows(request)
    (given,), scaled = rows(request, question=Question(sample_rate=0.25))

    assert (row["weight"], built.is_weighted) == (1.0, False)
    assert (given["weight"], scaled.is_weighted) == (4.0, True)
    assert scaled.warnings == ()


def test_attributes_asked_for(rows):
    """`by` reads the inference span, the evaluated span, and the resource; `cluster` too."""
    question = Question(
        by=("keras.operation.name", "gen_ai.request.model", "deployment.environment.name"),
        cluster="session.id",
    )

    (row,), built = rows(Request(verdicts=[Verdict(passed=True)]), question=question)

    assert [row[key] for key in question.by] == ["predict", "m", "test"]
    assert row["cluster"] == "s0"
    assert built.features[-3:] == question.by


def test_an_unknown_attribute(rows):
    """The error names those that exist, the most similar first."""
    with pytest.raises(
        SourceError, match=r"'gen_ai\.request\.modle': there is gen_ai\.request\.model,"
    ):
        rows(
            Request(verdicts=[Verdict(passed=True)]),
            question=Question(by=("gen_ai.request.modle",)),
        )


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (Question(evals=("corect",)), "no evaluation is named 'corect': there is correct"),
        (Question(models=("intend",)), "no model is named 'intend': there is intent"),
    ],
)
def test_an_unknown_name(rows, question, message):
    """The error names those that exist."""
    with pytest.raises(SourceError, match=message):
        rows(Request(verdicts=[Verdict(passed=True)]), question=question)


def test_no_evaluation(rows):
    """The error says how to give one."""
    with pytest.raises(SourceError, match=r"record_evaluation.*--evals"):
        rows(Request())


def test_no_prediction(rows):
    """The error says what to check."""
    with pytest.raises(SourceError, match="no prediction was found"):
        rows(Request(inferences=[], verdicts=[Verdict(passed=True)]))


def test_a_window_of_time(rows):
    """Only predictions that start in [since, until) count."""
    second = START_NS + 1000 * MS
    window = Window(since_ns=second, until_ns=second + 1000 * MS)
    requests = [Request(verdicts=[Verdict(passed=True)]) for _ in range(3)]

    found, built = rows(*requests, window=window)

    assert len(found) == 1
    assert built.accounting.predictions.spans == 1


def test_a_silent_retrain_is_a_warning(rows):
    """One version label with two fingerprints, and two backends, are said."""
    requests = [
        Request(
            inferences=[
                Inference(
                    more={semconv.MODEL_FINGERPRINT: f"sha256:{text}", semconv.BACKEND_NAME: text}
                )
            ],
            verdicts=[Verdict(passed=True)],
        )
        for text in ("torch", "jax")
    ]

    _, built = rows(*requests)

    assert "silent retrain: version v1 of model intent has 2 fingerprints" in built.warnings[0]
    assert "model intent ran on several backends: jax, torch" in built.warnings


def test_several_answers_of_one_trace(rows, tmp_path):
    """A trace counts once for each evaluation name, as failed if one of its answers failed."""
    path = tmp_path / "traces.jsonl"
    (trace,) = write(path, [Request(verdicts=[Verdict(passed=True)])])
    more = tmp_path / "evals.csv"
    more.write_text(f"trace_id,span_id,name,passed\n{trace},00000000000000aa,correct,false\n")

    with open_sources([path, more]) as telemetry:
        built = build_rows(telemetry, Question())
        (row,) = built.table.to_pyarrow().to_pylist()

    assert row["failed"] is True
    assert built.accounting.evaluations.same_trace == 1
