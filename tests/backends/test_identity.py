"""Name, version and fingerprint of real models."""

from __future__ import annotations

import gc
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_otel
from keras_otel.introspection import hashing, registry
from tests.backends.models import TRAINS, Subclassed, classifier, rows, sequential, two_outputs

trains = pytest.mark.skipif(not TRAINS, reason="this backend only infers")

custom = keras.saving.register_keras_serializable(package="tests")


@custom
class Saved(Subclassed):
    """A subclassed model that can be saved."""


def fingerprint_of(telemetry, model) -> str:
    model.predict_on_batch(rows())
    return telemetry.spans()[-1].attributes["keras.model.fingerprint"]


def with_vocabulary(words: list[str]) -> keras.Model:
    inputs = keras.Input((1,), dtype="string")
    tokens = keras.layers.StringLookup(vocabulary=words)(inputs)
    vectors = keras.layers.Embedding(len(words) + 1, 2, embeddings_initializer="ones")(tokens)
    pooled = keras.layers.Flatten()(vectors)
    return keras.Model(inputs, keras.layers.Dense(3, "softmax", kernel_initializer="ones")(pooled))


@pytest.mark.parametrize("build", [classifier, sequential, Saved, two_outputs])
def test_the_fingerprint_survives_saving_and_loading(telemetry, tmp_path, build):
    """A model has the same fingerprint before it is saved and after it is loaded."""
    model = build()
    before = fingerprint_of(telemetry, model)
    model.save(tmp_path / "m.keras")

    assert fingerprint_of(telemetry, keras.models.load_model(tmp_path / "m.keras")) == before


@pytest.mark.parametrize("build", [classifier, Saved])
def test_the_fingerprint_is_the_same_on_every_backend(telemetry, tmp_path, build):
    """This backend and another agree on the fingerprint of one saved model."""
    model = build()
    mine = fingerprint_of(telemetry, model)
    path = tmp_path / "m.keras"
    model.save(path)
    other = "numpy" if keras.backend.backend() == "jax" else "jax"
    script = Path(__file__).with_name("fingerprint_of.py")
    imports = "import tests.backends.test_identity;" if build is Saved else ""
    code = f"{imports}import sys,runpy;sys.argv=['', {str(path)!r}];runpy.run_path({str(script)!r})"

    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"KERAS_BACKEND": other},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == [other, mine]


def test_equal_models_built_twice_have_one_fingerprint(telemetry):
    """Names that Keras counts up (`dense_7`) do not matter, the weights do."""
    first, second = sequential(), sequential()
    assert fingerprint_of(telemetry, first) != fingerprint_of(telemetry, second)
    second.set_weights(first.get_weights())
    assert fingerprint_of(telemetry, first) == fingerprint_of(telemetry, second)


@pytest.mark.parametrize("build", [classifier, sequential, two_outputs])
def test_a_clone_with_the_same_weights_has_the_same_fingerprint(telemetry, build):
    """A copy that Keras makes is the same model, whatever it calls the copy's inputs."""
    model = build()
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())

    assert fingerprint_of(telemetry, clone) == fingerprint_of(telemetry, model)


def test_the_first_batch_size_does_not_matter(telemetry):
    """A model built by its first call is the same whichever batch that was."""
    prints = []
    for n in (1, 7):
        model = keras.Sequential([keras.layers.Dense(3, "softmax", kernel_initializer="ones")])
        model.predict_on_batch(rows(n))
        prints.append(telemetry.span().attributes["keras.model.fingerprint"])
    assert prints[0] == prints[1]


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="text goes through a model on TensorFlow only"
)
def test_another_vocabulary_is_another_model(telemetry):
    """Equal weights over another vocabulary have another fingerprint."""
    import tensorflow as tf

    text = tf.constant([["x"]])
    prints = []
    for words in (["x", "y"], ["y", "x"]):
        with_vocabulary(words).predict(text, verbose=0)
        prints.append(telemetry.span().attributes["keras.model.fingerprint"])
    assert prints[0] != prints[1]


@trains
@pytest.mark.parametrize("change", ["fit", "train_on_batch", "load_weights", "set_weights"])
def test_changed_weights_are_another_fingerprint(telemetry, tmp_path, change):
    """The fingerprint is computed anew after anything that Keras changes weights by."""
    model = classifier()
    before = fingerprint_of(telemetry, model)
    if change in ("fit", "train_on_batch"):
        model.compile("sgd", "sparse_categorical_crossentropy")
    other = classifier()
    other.save_weights(tmp_path / "w.weights.h5")

    match change:
        case "fit":
            model.fit(rows(8), np.zeros(8), verbose=0)
        case "train_on_batch":
            model.train_on_batch(rows(8), np.zeros(8))
        case "load_weights":
            model.load_weights(tmp_path / "w.weights.h5")
        case "set_weights":
            model.set_weights(other.get_weights())

    assert fingerprint_of(telemetry, model) != before


@trains
def test_training_an_inner_model_changes_the_outer_one(telemetry):
    """A model that holds the trained one, and a model it holds, are other models too."""
    inner = classifier()
    inputs = keras.Input((5,))
    outer = keras.Model(inputs, inner(inputs))
    sibling = keras.Model(inner.inputs[0], inner.layers[1].output)
    before = [fingerprint_of(telemetry, m) for m in (outer, sibling)]

    inner.compile("sgd", "sparse_categorical_crossentropy")
    inner.fit(rows(8), np.zeros(8), verbose=0)

    after = [fingerprint_of(telemetry, m) for m in (outer, sibling)]
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_refresh_hashes_the_model_again(telemetry, monkeypatch):
    """`refresh` asks anew although nothing was seen to change, and gives the model back."""
    model = classifier()
    fingerprint_of(telemetry, model)
    monkeypatch.setattr(hashing, "compute_fingerprint", lambda *_: "sha256:0123456789ab")
    assert fingerprint_of(telemetry, model) != "sha256:0123456789ab"
    assert keras_otel.refresh(model) is model
    assert fingerprint_of(telemetry, model) == "sha256:0123456789ab"


def version_in_the_end(telemetry, model):
    """The version that spans have once the background has found it."""
    for _ in range(500):
        model.predict_on_batch(rows())
        version = telemetry.span().attributes.get("keras.model.version")
        if version is not None:
            return version
        time.sleep(0.01)
    pytest.fail("no span had a version")


def test_a_large_model_is_hashed_in_the_background(telemetry, monkeypatch):
    """Above the limit the first spans go without a version and later ones have it."""
    monkeypatch.setattr(hashing, "INLINE_FINGERPRINT_BYTES", 8)
    model = classifier()
    assert version_in_the_end(telemetry, model).startswith("sha256:")


def test_weights_that_cannot_be_read_for_a_while(telemetry, monkeypatch):
    """Hashing in the background is tried again, as on JAX, where `predict` has the weights meanwhile."""
    monkeypatch.setattr(hashing, "INLINE_FINGERPRINT_BYTES", 8)
    compute, tries = hashing.compute_fingerprint, []

    def unreadable_at_first(model, adapter):
        tries.append(model)
        if len(tries) <= 3:
            raise RuntimeError("Array has been deleted")
        return compute(model, adapter)

    monkeypatch.setattr(hashing, "compute_fingerprint", unreadable_at_first)
    model = classifier()
    assert version_in_the_end(telemetry, model).startswith("sha256:")
    assert len(tries) >= 4


def test_a_retrain_under_the_same_label_is_a_conflict(telemetry, caplog):
    """The same version label with other weights is said once and marked on every span."""
    first, second = classifier(), classifier()
    for model in (first, second):
        keras_otel.describe(model, name="conflicted", version="2026-11-01")
    with caplog.at_level(logging.WARNING, "keras_otel"):
        for model in (first, second, first, second):
            model.predict_on_batch(rows())

    marks = [s.attributes.get("keras.model.version_conflict") for s in telemetry.spans()]
    assert marks == [None, True, True, True]
    assert len([r for r in caplog.records if "was seen with" in r.message]) == 1


@pytest.mark.parametrize(
    ("path", "name", "version"),
    [
        ("intent.keras", "intent", "sha256:"),
        ("intent/model.keras", "intent", "sha256:"),
        ("intent/checkpoints/best_model.keras", "intent", "sha256:"),
        ("toxicity/7/model.keras", "toxicity", "7"),
        ("toxicity/v1.2/toxicity.keras", "toxicity", "v1.2"),
    ],
)
def test_a_loaded_model_is_named_by_its_path(telemetry, tmp_path, path, name, version):
    """Without a word, name and version come from where the model was loaded."""
    target = tmp_path / "models" / path
    target.parent.mkdir(parents=True)
    classifier().save(target)

    keras.models.load_model(target).predict_on_batch(rows())

    attributes = telemetry.span().attributes
    assert attributes["keras.model.name"] == name
    assert attributes["keras.model.version"].startswith(version)


def test_every_model_has_a_number_of_its_own():
    """Two models of one process never share a number, and a model keeps its own."""
    first, second = classifier(name="twin"), classifier(name="twin")

    numbers = [registry.models.of(model).number for model in (first, second, first)]

    assert numbers[0] == numbers[2] != numbers[1]
    del first
    assert registry.models.of(classifier(name="twin")).number not in numbers


@pytest.mark.parametrize(
    ("given", "file", "name"),
    [
        ("router", "intent.keras", "router"),
        ("router", "toxicity/7/model.keras", "router"),
        ("final_model", "intent.keras", "intent"),
        ("final_model", "best.keras", "final_model"),
    ],
)
def test_a_chosen_name_goes_before_the_path(telemetry, tmp_path, given, file, name):
    """What a person called the model counts more than its file, unless it says nothing."""
    target = tmp_path.parent.parent / "tmp" / file
    target.parent.mkdir(parents=True, exist_ok=True)
    classifier(name=given).save(target)

    keras.models.load_model(target).predict_on_batch(rows())

    assert telemetry.span().attributes["keras.model.name"] == name


def test_two_files_of_one_name_are_two_models(telemetry, tmp_path, caplog):
    """`topic/7/model.keras` and `tone/7/model.keras` never stand for each other."""
    models = []
    for folder in ("topic", "tone"):
        target = tmp_path / folder / "7" / "model.keras"
        target.parent.mkdir(parents=True)
        classifier().save(target)
        models.append(keras.models.load_model(target))

    with caplog.at_level(logging.WARNING, "keras_otel"):
        for model in models * 2:
            model.predict_on_batch(rows())

    spans = telemetry.spans()
    assert [s.attributes["keras.model.name"] for s in spans] == ["topic", "tone"] * 2
    assert not any("keras.model.version_conflict" in s.attributes for s in spans)
    assert caplog.messages == []


SAME_NAME = "two models are in use under the name"


def turns(telemetry, caplog, *models):
    """How often two models of one name are pointed out, when these are used in turn."""
    with caplog.at_level(logging.WARNING, "keras_otel"):
        for model in models:
            model.predict_on_batch(rows())
    assert len(telemetry.spans()) == len(models)
    return sum(SAME_NAME in message for message in caplog.messages)


def test_two_models_of_one_name_are_pointed_out_once(telemetry, caplog):
    """Both keep their spans, and one line says how to tell them apart."""
    first, second = classifier(name="namesake"), classifier(name="namesake")

    assert turns(telemetry, caplog, first, second, first, second, first, second) == 1

    (message,) = [m for m in caplog.messages if SAME_NAME in m]
    assert "'namesake'" in message
    assert "keras_otel.describe(model, name=...)" in message


def test_models_named_by_their_class_are_pointed_out(telemetry, caplog):
    """Two models that nobody named stand under their class's name, whatever their versions."""

    class Scorer(Subclassed):
        """A model that nobody named."""

    first, second = (keras_otel.describe(Scorer(), version=v) for v in ("1", "2"))

    assert turns(telemetry, caplog, first, second, first) == 1


def test_two_versions_of_one_model_are_no_namesakes(telemetry, caplog):
    """A canary beside the model that it may replace is what it says it is."""
    stable, canary = (
        keras_otel.describe(classifier(), name="with canary", version=v) for v in ("1", "2")
    )

    assert turns(telemetry, caplog, stable, canary, stable, canary) == 0


def test_copies_of_one_model_are_no_namesakes(telemetry, caplog):
    """A copy for each worker is the same model."""
    first = classifier(name="copied")
    second = keras.models.clone_model(first)
    second.set_weights(first.get_weights())

    assert turns(telemetry, caplog, first, second, first, second) == 0


def test_a_model_that_takes_the_place_of_another_is_no_namesake(telemetry, caplog):
    """A model that is reloaded, or whose weights are swapped, never stands beside itself."""
    served = [classifier(name="reloaded") for _ in range(3)]
    assert turns(telemetry, caplog, *(m for m in served for _ in range(2))) == 0

    swapped = classifier(name="swapped")
    for value in range(3):
        swapped.weights[0].assign(np.full(swapped.weights[0].shape, value))
        assert turns(telemetry, caplog, swapped) == 0


def test_a_model_that_is_gone_is_no_namesake(telemetry, caplog):
    """A candidate that was tried and let go has no name any more."""
    served, candidate = classifier(name="tried"), classifier(name="tried")
    assert turns(telemetry, caplog, served, candidate) == 0
    del candidate
    gc.collect()

    assert turns(telemetry, caplog, served) == 0


def test_names_without_a_path(telemetry):
    """A chosen `model.name` counts, a made-up one gives way to the class."""
    classifier(name="router").predict_on_batch(rows())
    classifier().predict_on_batch(rows())
    Subclassed().predict_on_batch(rows())

    names = [span.attributes["keras.model.name"] for span in telemetry.spans()]
    assert names == ["router", "Functional", "Subclassed"]


def test_a_version_from_the_options(telemetry):
    """`model_version` labels a model by name, below `describe`."""
    telemetry.instrument(model_version={"router": "9"})
    model = classifier(name="router")
    model.predict_on_batch(rows())
    assert telemetry.span().attributes["keras.model.version"] == "9"
    keras_otel.describe(model, version="10")
    model.predict_on_batch(rows())
    assert telemetry.span().attributes["keras.model.version"] == "10"


def test_a_card_is_read_when_the_artefact_is_loaded(telemetry, tmp_path):
    """Name, version and labels of a card reach the spans of the model loaded beside it."""
    path = tmp_path / "m.keras"
    model = keras_otel.describe(
        classifier(), name="intent", version="2026-11-01", labels=["refund", "order", "other"]
    )
    fingerprint = fingerprint_of(telemetry, model)
    model.save(path)
    card = Path(keras_otel.save_card(model, path, lineage={"data": "2026-10"}))
    assert card == tmp_path / "m.keras.card.json"
    written = json.loads(card.read_text())
    assert written["fingerprint"] == fingerprint
    assert written["lineage"]["data"] == "2026-10"

    keras.models.load_model(path).predict_on_batch(rows())

    attributes = telemetry.span().attributes
    assert attributes["keras.model.name"] == "intent"
    assert attributes["keras.model.version"] == "2026-11-01"
    assert attributes["keras.prediction.class"] in ("refund", "order", "other")
    assert "keras.model.version_conflict" not in attributes


def test_another_model_behind_an_old_card_is_a_conflict(telemetry, tmp_path):
    """An artefact overwritten without its card keeps the label and shows the conflict."""
    path = tmp_path / "m.keras"
    model = keras_otel.describe(classifier(), name="stale", version="1")
    model.predict_on_batch(rows())
    keras_otel.save_card(model, path)
    classifier().save(path)
    telemetry.spans()

    keras.models.load_model(path).predict_on_batch(rows())

    assert telemetry.span().attributes["keras.model.version_conflict"] is True


@pytest.mark.parametrize("content", ["{", '{"schema_version": 1, "labels": 3}', "[]", ""])
def test_a_broken_card_is_one_warning_and_no_card(telemetry, tmp_path, caplog, content):
    """The model loads and predicts as if it had no card, and one line names the file."""
    path = tmp_path / "m.keras"
    classifier().save(path)
    (tmp_path / "m.keras.card.json").write_text(content)

    with caplog.at_level(logging.WARNING, "keras_otel"):
        keras.models.load_model(path).predict_on_batch(rows())

    assert telemetry.span().attributes["keras.model.name"] == "m"
    (record,) = caplog.records
    assert "m.keras.card.json" in record.message


def test_labels_that_do_not_fit_are_refused(telemetry):
    """`describe` says at once what cannot be true of a built model."""
    with pytest.raises(ValueError, match="2 labels for 3 classes"):
        keras_otel.describe(classifier(), labels=["a", "b"])
    with pytest.raises(ValueError, match="task 'binary' needs one output column"):
        keras_otel.describe(classifier(), task="binary")
    with pytest.raises(ValueError, match="threshold must be a probability"):
        keras_otel.describe(classifier("sigmoid", 1), threshold=1.0)
    with pytest.raises(ValueError, match="no classes"):
        keras_otel.describe(classifier(), task="regression", labels=["a"])


def test_labels_that_turn_out_not_to_fit_are_left_out(telemetry, caplog):
    """A model that was not built when described gets ids and one warning, never a wrong name."""
    model = keras.Sequential([keras.layers.Dense(3, activation="softmax")])
    keras_otel.describe(model, labels=["yes", "no"])

    with caplog.at_level(logging.WARNING, "keras_otel"):
        for _ in range(3):
            model.predict_on_batch(rows())

    assert all(s.attributes["keras.prediction.class"] in "012" for s in telemetry.spans())
    assert len([r for r in caplog.records if "2 labels for 3 classes" in r.message]) == 1


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="TensorFlow is loaded there")
def test_the_fingerprint_does_not_import_tensorflow():
    """A process that runs without TensorFlow goes on without it, and its fingerprint is the same."""
    code = """
import sys, keras, numpy as np, keras_otel
from keras_otel.introspection import registry
from opentelemetry.sdk.trace import TracerProvider
model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, kernel_initializer="ones")])
model.predict_on_batch(np.ones((1, 5), "float32"))
keras_otel.instrument(tracer_provider=TracerProvider())
before = "tensorflow" in sys.modules
model.predict_on_batch(np.ones((1, 5), "float32"))
first = registry.models.of(model).identity.fingerprint
print(before == ("tensorflow" in sys.modules))
try:
    import tensorflow
except ImportError:
    pass
keras_otel.refresh(model)
model.predict_on_batch(np.ones((1, 5), "float32"))
print(first == registry.models.of(model).identity.fingerprint and first is not None)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
