"""Telemetry may fail, predictions may not: everything of ours is made to raise in turn."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_otel
from keras_otel import _guard, description, semconv
from keras_otel.inference import observed_call, observer, outputs, own_outputs, span
from keras_otel.introspection import arrays, hashing, output_heads, registry, structures
from keras_otel.introspection.assignments import Assignments
from keras_otel.introspection.weights import Weights
from keras_otel.metrics import Instruments
from keras_otel.runtimes import overrides
from keras_otel.runtimes.keras3 import Keras3
from tests.backends.models import IS_EAGER, TRAINS, LabelTexts, Sharpened, classifier, rows

# What is made to raise, and the site whose guard must catch it.
FAULTS = [
    (observer.Observer, "begin", "begin"),
    (observer, "Call", "begin"),
    (Keras3, "is_inference", "begin"),
    (Keras3, "is_cold", "begin"),
    (observer.Observer, "finished", "observe"),
    (observer.Observer, "failed", "observe a failure"),
    (structures, "named_leaves", "observe"),
    (arrays, "place", "observe"),
    (arrays, "to_numpy", "read the output"),
    (outputs, "decode", "decode"),
    (own_outputs, "note_shapes", "note shapes"),
    (own_outputs, "agreement", "compare outputs"),
    (outputs, "head_of", "observe"),
    (output_heads, "inspect_head", "inspect the model"),
    (observed_call, "call_facts", "observe"),
    (observer, "emit", "observe"),
    (span, "_attributes", "observe"),
    (Instruments, "record", "observe"),
    (registry.KnownModels, "of", "observe"),
    (registry.KnownModel, "identify", "observe"),
    (registry, "identify", "observe"),
    (registry.KnownModel, "look", "watch the weights"),
    (registry.KnownModel, "take_turn", "look for namesakes"),
    (Keras3, "variables", "watch the weights"),
    (Weights, "_take_sample", "look at the weights"),
    (Assignments, "note", "note an assignment"),
    (hashing, "compute_fingerprint", "fingerprint"),
    (Keras3, "architecture", "fingerprint"),
    (Keras3, "weights", "fingerprint"),
    (Keras3, "weight_bytes", "weight size"),
    (Keras3, "vocabularies", "fingerprint"),
    (Keras3, "parts", "model parts"),
    (Keras3, "given_name", "model name"),
    (Keras3, "source", "model source"),
    (Keras3, "precision", "precision"),
]


class BrokenError(Exception):
    """What the broken parts raise."""


def broken(*args: Any, **kwargs: Any) -> Any:
    raise BrokenError("broken")


def outcomes(model: keras.Model, path: Path) -> list[Any]:
    """What a user gets from each kind of call: the result's type and numbers, or the exception."""
    # On OpenVINO a model whose `predict` raised is broken for good.
    doomed = model if IS_EAGER else keras.models.load_model(path)
    calls: list[Callable[[], Any]] = [
        lambda: model.predict(rows(3), verbose=0),
        lambda: model.predict_on_batch(rows()),
        lambda: doomed.predict_on_batch(np.ones((1, 9), "float32")),
        lambda: keras.models.load_model(path).predict_on_batch(rows()),
        lambda: LabelTexts().predict(rows(), verbose=0) and None,
        lambda: Sharpened().predict(rows(), verbose=0) is None or None,
    ]
    if IS_EAGER:
        calls.append(lambda: model(rows()))
        calls.append(lambda: keras_otel.traced(lambda x: model(x), model)(rows()))
    results = []
    for call in calls:
        try:
            value = call()
        except Exception as error:  # noqa: BLE001 - the outcome to compare is any exception
            results.append((type(error), str(error)))
        else:
            numbers = None if value is None else keras.ops.convert_to_numpy(value).tolist()
            results.append((type(value), numbers))
    if TRAINS:
        other = keras.models.clone_model(model)
        other.compile("sgd", "sparse_categorical_crossentropy")
        other.fit(rows(4), np.zeros(4), verbose=0, shuffle=False)
        results.append(type(other.get_weights()))
    return results


@pytest.mark.parametrize(
    ("owner", "name", "site"), FAULTS, ids=[f"{o.__name__}.{n}" for o, n, _ in FAULTS]
)
def test_a_fault_changes_nothing_for_the_user(providers, tmp_path, monkeypatch, owner, name, site):
    """Results, types and exceptions are those of a process without keras_otel; the fault counts."""
    if name == "to_numpy" and keras.backend.backend() in ("numpy", "openvino"):
        pytest.skip("outputs are numpy arrays there, and are read as they are")
    model = classifier()
    path = tmp_path / "m.keras"
    model.save(path)
    expected = outcomes(model, path)
    providers.instrument()
    before = _guard.failure_counts().get(site, 0)

    monkeypatch.setattr(owner, name, broken)
    actual = outcomes(model, path)
    monkeypatch.undo()
    keras_otel.uninstrument()

    assert actual == expected
    assert _guard.failure_counts()[site] > before


def test_a_fault_while_decoding_is_a_marked_span(providers, monkeypatch):
    """An output that cannot be decoded is an opaque span, not a missing one."""
    providers.instrument()
    monkeypatch.setattr(outputs, "decode", broken)
    classifier().predict_on_batch(rows(2))
    keras_otel.uninstrument()
    attributes = providers.span().attributes
    assert attributes["keras.model.task"] == "opaque"
    assert attributes["keras.batch.size"] == 2
    assert attributes["keras.prediction.opaque_reason"] == "decoding failed"


def test_a_fault_while_patching_leaves_keras_alone(providers, monkeypatch):
    """If one patch cannot be installed none is, and Keras works."""
    before = dict(vars(keras.Model))
    monkeypatch.setattr(overrides, "install", broken)

    providers.instrument()

    assert dict(vars(keras.Model)) == before
    assert _guard.failure_counts()["patch Keras"] > 0
    classifier().predict_on_batch(rows())
    assert providers.spans() == []
    monkeypatch.undo()
    keras_otel.uninstrument()


def test_a_fault_while_a_class_is_defined(providers, monkeypatch):
    """A user's class is defined even if its overrides cannot be wrapped."""
    providers.instrument()
    monkeypatch.setattr(overrides, "INFERENCE_METHODS", None)

    class Defined(LabelTexts):
        pass

    monkeypatch.undo()
    keras_otel.uninstrument()
    assert Defined().predict(rows(), verbose=0)[0] in "abc"
    assert _guard.failure_counts()["wrap overrides"] > 0


def test_a_fault_around_weights_and_loading(providers, tmp_path, monkeypatch):
    """Loading and training go on if what we note of them fails."""
    path = tmp_path / "m.keras"
    classifier().save(path)
    providers.instrument()
    monkeypatch.setattr(registry.KnownModels, "note_loaded", broken)
    monkeypatch.setattr(registry.KnownModels, "forget_weights_of", broken)

    model = keras.models.load_model(path)
    model.set_weights(model.get_weights())

    monkeypatch.undo()
    keras_otel.uninstrument()
    assert _guard.failure_counts()["note a loaded model"] > 0
    assert _guard.failure_counts()["forget weights"] > 0


def test_a_hook_that_raises(providers):
    """A user's hook that raises loses nothing: not the result and not the span."""
    providers.instrument(on_prediction=broken)
    result = classifier().predict_on_batch(rows())
    keras_otel.uninstrument()
    assert np.asarray(result).shape == (1, 3)
    assert len(providers.spans()) == 1
    assert _guard.failure_counts()["on_prediction"] > 0


def test_an_error_without_a_message(providers):
    """An exception whose `str` fails is still the caller's, and its span still an error."""

    class MuteError(Exception):
        def __str__(self):
            raise BrokenError("mute")

    error = MuteError()

    def fails(x):
        raise error

    model = classifier()
    providers.instrument()
    with pytest.raises(MuteError) as caught:
        keras_otel.traced(fails, model)(rows())
    keras_otel.uninstrument()
    assert caught.value is error
    assert providers.span().attributes["error.type"].endswith("MuteError")
    assert _guard.failure_counts()["error message"] > 0
    assert _guard.failure_counts()["exception event"] > 0


def guarded_sites() -> list[ast.expr]:
    """What each call of `guarded` in the source names as its site."""
    package = Path(description.__file__).parent
    return [
        node.args[0]
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "guarded"
        and node.args
    ]


def test_no_site_is_written_where_it_is_guarded():
    """The names of sites leave the process, and stand in `semconv` with all that do."""
    assert [site for site in guarded_sites() if isinstance(site, ast.Constant)] == []


def test_every_guarded_site_has_a_fault():
    """Each site named in the source is made to fail somewhere in the tests."""
    sites = {
        getattr(semconv, site.attr)
        for site in guarded_sites()
        if isinstance(site, ast.Attribute) and ast.unparse(site.value) == "semconv"
    }
    here = Path(__file__).parent
    tests = "".join(file.read_text(encoding="utf-8") for file in here.parent.rglob("test_*.py"))
    assert sites
    assert {site for site in sites if f'"{site}"' not in tests} == set()
