"""Networks that nobody here wrote, from wheels: what their spans say is what they answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from programs import Programs
from received import Span, read_json_lines

THRESHOLD = 0.5

# What "you are a stupid idiot" scores, to three decimals, on TensorFlow and JAX.
RUDE = {
    "toxic": 0.997,
    "severe_toxic": 0.191,
    "obscene": 0.906,
    "threat": 0.015,
    "insult": 0.943,
    "identity_hate": 0.069,
}


def spans_in(folder: Path) -> list[Span]:
    """The spans that a program wrote there."""
    telemetry = read_json_lines(folder / "spans.jsonl")
    spans = telemetry.keras_spans()
    assert len(spans) == len(telemetry.spans)
    return spans


def test_toxic_comment_classifier(programs: Programs, tmp_path: Path) -> None:
    """A multilabel BiLSTM on two backends: each span has its labels over the threshold."""
    reports = {
        backend: json.loads(programs.run("toxicity.py", KERAS_BACKEND=backend).stdout)
        for backend in ("tensorflow", "jax")
    }
    spans = spans_in(tmp_path)
    for backend, (rude, kind) in reports.items():
        assert rude == pytest.approx(RUDE, abs=1e-3)
        one, other, both = (s for s in spans if s.value("keras.backend.name") == backend)
        assert one.attributes["keras.prediction.labels"] == (
            "string[]",
            [label for label, score in rude.items() if score >= THRESHOLD],
        )
        assert max(kind.values()) < THRESHOLD
        assert other.value("keras.prediction.labels") == []
        assert "keras.prediction.labels" not in both.attributes
        assert [span.value("keras.batch.size") for span in (one, other, both)] == [1, 1, 2]
    assert {(span.name, span.value("keras.model.task")) for span in spans} == {
        ("predict toxicity", "multilabel")
    }
    assert len({span.value("keras.model.fingerprint") for span in spans}) == 1


@pytest.mark.parametrize(("package", "runtime"), [("keras", "keras"), ("tf_keras", "tf_keras")])
def test_fer(programs: Programs, tmp_path: Path, package: str, runtime: str) -> None:
    """A softmax network in an old `.hdf5` file, which Keras 3 and Keras 2 both load."""
    said = json.loads(programs.run("emotions.py", package, KERAS_BACKEND="tensorflow").stdout)
    ranked = sorted(said, key=said.__getitem__, reverse=True)
    (span,) = spans_in(tmp_path)
    assert span.name == "predict emotion_model"
    assert span.value("keras.runtime.name") == runtime
    assert span.value("keras.model.task") == "multiclass"
    assert span.value("keras.model.version") == span.value("keras.model.fingerprint")
    assert span.attributes["keras.prediction.class"] == ("string", ranked[0])
    assert span.attributes["keras.prediction.class_id"] == ("int", list(said).index(ranked[0]))
    assert span.attributes["keras.prediction.confidence"] == (
        "double",
        pytest.approx(said[ranked[0]], abs=1e-6),
    )
    assert span.attributes["keras.prediction.margin"] == (
        "double",
        pytest.approx(said[ranked[0]] - said[ranked[1]], abs=1e-6),
    )


def test_mtcnn(programs: Programs, tmp_path: Path) -> None:
    """Three networks in turn: PNet at each scale, then RNet and ONet once, and the same face."""
    report = json.loads(programs.run("faces.py", KERAS_BACKEND="tensorflow").stdout)
    assert report["unchanged"]
    assert len(report["confidences"]) == 1
    spans = spans_in(tmp_path)
    rows = report["rows"]
    expected = [(f"call {net}", size) for net, sizes in rows.items() for size in sizes]
    assert [(span.name, span.value("keras.batch.size")) for span in spans] == expected
    assert len(rows["PNet"]) > 1
    for span in spans:
        assert span.value("keras.model.class") == span.value("keras.model.name")
        assert span.value("keras.model.version") == span.value("keras.model.fingerprint")
    assert len({span.value("keras.model.fingerprint") for span in spans}) == 3
    # Subclasses with several outputs: no value tells a score from a box or a landmark.
    outputs = [
        (key, value)
        for span in spans
        for key, (_, value) in span.attributes.items()
        if key.startswith("keras.output.")
    ]
    assert {value for key, value in outputs if key.endswith(".task")} == {"opaque"}
    assert not [key for key, _ in outputs if key.endswith((".class", ".classes", ".confidences"))]
