"""The version follows the weights, whoever changes them and however."""

from __future__ import annotations

import gc
import itertools
import threading
import time

import keras
import numpy as np
import pytest

import keras_otel
from keras_otel.introspection import hashing, weights
from keras_otel.introspection.assignments import assignments
from keras_otel.introspection.registry import models
from tests.backends.models import IS_EAGER, TRAINS, WIDTH, Subclassed, classifier, rows, sequential

BACKEND = keras.backend.backend()
trains = pytest.mark.skipif(not TRAINS, reason="this backend only infers")


def only(backend: str) -> pytest.MarkDecorator:
    """Run on one backend."""
    return pytest.mark.skipif(backend != BACKEND, reason=f"of {backend}")


def version_of(telemetry, model) -> str | None:
    """The version on the span of the model's next inference."""
    telemetry.spans()
    model.predict_on_batch(rows())
    return telemetry.span().attributes.get("keras.model.version")


def numbers(model) -> list[np.ndarray]:
    """Other weights for this model."""
    generator = np.random.default_rng(7)
    return [generator.normal(size=w.shape).astype("float32") for w in model.weights]


def dense(model) -> keras.layers.Layer:
    return model.layers[-1]


@pytest.fixture
def hashed(monkeypatch) -> list[object]:
    """The models whose fingerprint was computed, one entry for each time."""
    seen: list[object] = []
    compute = hashing.compute_fingerprint

    def counted(model, adapter):
        seen.append(model)
        return compute(model, adapter)

    monkeypatch.setattr(hashing, "compute_fingerprint", counted)
    return seen


@pytest.fixture
def unseen_until_looked(monkeypatch) -> None:
    """A sample of the numbers is taken at every inference."""
    monkeypatch.setattr(weights, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(weights, "_LOOK_SHARE", float("inf"))


# -- by Keras ----------------------------------------------------------------------------------


def set_layer(model, tmp_path):
    dense(model).set_weights(numbers(dense(model)))


def assign(model, tmp_path):
    model.weights[0].assign(numbers(model)[0])


def assign_add(model, tmp_path):
    model.weights[-1].assign_add(np.ones(model.weights[-1].shape, "float32"))


def assign_twice(model, tmp_path):
    for value in numbers(model)[:1] * 2:
        model.weights[0].assign(value * 2)
        model.weights[0].assign(value)


def load_own_variables(model, tmp_path):
    store = {str(i): array for i, array in enumerate(numbers(dense(model)))}
    dense(model).load_own_variables(store)


def load_weights(model, tmp_path):
    other = classifier()
    other.save_weights(tmp_path / "w.weights.h5")
    keras.saving.load_weights(model, tmp_path / "w.weights.h5")


def enable_lora(model, tmp_path):
    dense(model).enable_lora(2)


def quantize_layer(model, tmp_path):
    dense(model).quantize("int8")


@pytest.mark.filterwarnings("ignore:`custom_gradient` for the numpy backend")
@pytest.mark.parametrize(
    "change",
    [
        set_layer,
        assign,
        assign_add,
        assign_twice,
        load_own_variables,
        load_weights,
        enable_lora,
        quantize_layer,
    ],
)
def test_what_keras_assigns_is_another_version(telemetry, tmp_path, change):
    """Each way that Keras offers to change a weight or a layer's set of them is seen at once."""
    model = classifier()
    before = version_of(telemetry, model)

    change(model, tmp_path)

    after = version_of(telemetry, model)
    assert before != after
    assert after is not None
    assert after == version_of(telemetry, model)


def test_another_adapter_over_a_lora_model_is_another_version(telemetry):
    """Loading other low-rank weights into the same base is seen."""
    model = classifier()
    dense(model).enable_lora(2)
    before = version_of(telemetry, model)

    dense(model).lora_kernel_b.assign(np.ones(dense(model).lora_kernel_b.shape))

    assert version_of(telemetry, model) != before


def test_the_same_numbers_again_are_the_same_version(telemetry):
    """A reload of equal weights changes nothing, and a swap back has the old version again."""
    model = classifier()
    before, own = version_of(telemetry, model), model.get_weights()

    model.weights[0].assign(own[0])
    assert version_of(telemetry, model) == before
    dense(model).set_weights(numbers(dense(model)))
    assert version_of(telemetry, model) != before
    for variable, value in zip(model.weights, own, strict=True):
        variable.assign(value)
    assert version_of(telemetry, model) == before


def test_other_variables_are_seen_when_looked_at(telemetry, hashed, monkeypatch):
    """A model that holds other variables than before is hashed again within a second."""
    model = classifier()
    version_of(telemetry, model)
    weights = models.of(model).fingerprint._weights
    weights._refs.pop()
    version_of(telemetry, model)
    assert len(hashed) == 1

    weights._look_at = time.monotonic()

    assert version_of(telemetry, model) is not None
    assert len(hashed) == 2


def test_models_that_share_a_layer_change_together(telemetry):
    """A weight belongs to every model that holds it, and to no other."""
    inner = sequential()
    inputs = keras.Input((WIDTH,))
    outer, apart = keras.Model(inputs, inner(inputs)), sequential()
    before = [version_of(telemetry, m) for m in (inner, outer, apart)]

    inner.layers[0].kernel.assign(np.ones((WIDTH, 4)))

    after = [version_of(telemetry, m) for m in (inner, outer, apart)]
    assert [a != b for a, b in zip(after, before, strict=True)] == [True, True, False]


def test_a_clone_has_weights_of_its_own(telemetry):
    """What changes a clone leaves the version of the original, and the reverse."""
    model = sequential()
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    before = version_of(telemetry, model)
    assert version_of(telemetry, clone) == before

    clone.weights[0].assign(np.ones((WIDTH, 4)))

    assert version_of(telemetry, model) == before
    assert version_of(telemetry, clone) != before


def test_an_override_that_loads_weights_first_is_seen(telemetry):
    """A `predict` that swaps weights before it asks the model has the new version."""

    class Swapping(Subclassed):
        def predict_on_batch(self, x):
            self.hidden.kernel.assign(np.full((WIDTH, WIDTH), next(values)))
            return super().predict_on_batch(x)

    values = itertools.count()
    model = Swapping()
    keras.Model.predict_on_batch(model, rows())

    versions = [version_of(telemetry, model) for _ in range(3)]

    assert len(set(versions)) == 3


def test_weights_that_changed_while_not_instrumented_are_hashed_again(telemetry):
    """Between two times of being instrumented nobody looks, so nothing is taken for granted."""
    model = classifier()
    before = version_of(telemetry, model)
    keras_otel.uninstrument()
    model.weights[0].assign(numbers(model)[0])
    telemetry.instrument()

    assert version_of(telemetry, model) != before


# -- by training -------------------------------------------------------------------------------


@trains
def test_an_optimizer_of_a_loop_of_ones_own_is_seen(telemetry):
    """Gradients applied outside `fit` change the version at once."""
    model = classifier()
    before = version_of(telemetry, model)
    optimizer = keras.optimizers.SGD(0.5)
    optimizer.build(model.trainable_variables)

    optimizer.apply([keras.ops.ones(v.shape) for v in model.trainable_variables])

    assert version_of(telemetry, model) != before


@trains
def test_averaged_weights_that_are_put_in_place_are_seen(telemetry):
    """`finalize_variable_values` gives the variables their moving average."""
    model = classifier()
    optimizer = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5)
    optimizer.build(model.trainable_variables)
    for _ in range(2):  # the average begins as the first step's own values
        optimizer.apply([keras.ops.ones(v.shape) for v in model.trainable_variables])
    before = version_of(telemetry, model)

    optimizer.finalize_variable_values(model.trainable_variables)

    assert version_of(telemetry, model) != before


@trains
def test_a_teacher_that_follows_in_a_callback_is_seen(telemetry):
    """What a callback assigns to another model during `fit` is that model's change."""
    student, teacher = classifier(), classifier()
    before = version_of(telemetry, teacher)

    class Follow(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            for mine, theirs in zip(teacher.weights, student.weights, strict=True):
                mine.assign(0.9 * mine + 0.1 * theirs)

    student.compile("sgd", "sparse_categorical_crossentropy")
    student.fit(rows(8), np.zeros(8), verbose=0, callbacks=[Follow()])

    assert version_of(telemetry, teacher) != before


@only("tensorflow")
def test_a_restored_checkpoint_is_seen(telemetry, tmp_path):
    """`tf.train.Checkpoint.restore` passes by Keras and by `assign`, and is seen at once."""
    import tensorflow as tf

    model, other = classifier(), classifier()
    path = tf.train.Checkpoint(model=other).save(tmp_path / "checkpoint")
    before = version_of(telemetry, model)

    tf.train.Checkpoint(model=model).restore(path)

    assert version_of(telemetry, model) not in (None, before)
    assert model.get_weights()[0].tolist() == other.get_weights()[0].tolist()


@only("tensorflow")
@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.assign_sub([1.0, 1.0, 1.0]),
        lambda v: v.scatter_nd_update([[0]], [5.0]),
        lambda v: v[0].assign(5.0),
    ],
    ids=["assign_sub", "scatter_nd_update", "slice"],
)
def test_what_tensorflow_assigns_is_seen(telemetry, change):
    """A service may hold TensorFlow's own variables and never ask Keras."""
    model = classifier()
    before = version_of(telemetry, model)

    change(model.weights[-1].value)

    assert version_of(telemetry, model) != before


@only("tensorflow")
def test_a_compiled_training_loop_is_seen_when_looked_at(telemetry, unseen_until_looked):
    """A `tf.function` that was traced before assigns without a word, and a sample shows it."""
    import tensorflow as tf

    model = classifier()

    @tf.function
    def step():
        for variable in model.trainable_variables:
            variable.assign_add(tf.ones(variable.shape))

    step()
    before = version_of(telemetry, model)
    step()

    assert version_of(telemetry, model) != before


@only("torch")
@pytest.mark.parametrize("change", ["copy_", "load_state_dict", "optimizer", "vector"])
def test_what_torch_changes_in_place_is_seen(telemetry, change, unseen_until_looked):
    """A parameter that torch writes to, or gives other storage, has another value."""
    import torch

    model, other = classifier(), classifier()
    before = version_of(telemetry, model)
    with torch.no_grad():
        match change:
            case "copy_":
                model.weights[0].value.copy_(torch.ones(WIDTH, 4))
            case "load_state_dict":
                model.load_state_dict(
                    dict(zip(model.state_dict(), other.state_dict().values(), strict=True))
                )
            case "optimizer":
                for parameter in model.parameters():
                    parameter.grad = torch.ones_like(parameter)
                torch.optim.SGD(model.parameters(), lr=0.5).step()
            case "vector":
                parameters = list(model.parameters())
                vector = torch.nn.utils.parameters_to_vector(parameters)
                torch.nn.utils.vector_to_parameters(vector + 1, parameters)

    assert version_of(telemetry, model) != before


@only("torch")
def test_the_count_of_torch_is_read_at_every_inference(telemetry):
    """A change in place that torch counts needs no sample."""
    import torch

    model = classifier()
    before = version_of(telemetry, model)
    with torch.no_grad():
        model.weights[0].value.add_(1)

    assert version_of(telemetry, model) != before


@only("numpy")
def test_an_array_that_is_written_to_is_seen_when_looked_at(telemetry, unseen_until_looked):
    """An array of numpy changes without a word, and a sample shows it."""
    model = classifier()
    before = version_of(telemetry, model)

    model.weights[0].value[0] += 1

    assert version_of(telemetry, model) != before


# -- what changes nothing ----------------------------------------------------------------------


def test_inferences_are_not_hashed_again(telemetry, hashed):
    """`predict` puts arrays back on JAX, siblings share them, and nothing is hashed twice."""
    inner = sequential()
    inputs = keras.Input((WIDTH,))
    outer = keras.Model(inputs, inner(inputs))
    for _ in range(3):
        for model in (inner, outer):
            model.predict(rows(3), verbose=0)
            model.predict_on_batch(rows())
            model(rows())

    assert len(hashed) == 2


@trains
def test_evaluating_is_no_change(telemetry, hashed):
    """`evaluate` and `test_on_batch` change metrics and no weight."""
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    for _ in range(2):
        version_of(telemetry, model)
        model.evaluate(rows(8), np.zeros(8), verbose=0)
        model.test_on_batch(rows(8), np.zeros(8))
    version_of(telemetry, model)

    assert len(hashed) == 1


class Counting(keras.layers.Layer):
    """A layer that counts its calls in a weight."""

    def build(self, input_shape):
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)
        self.scale = self.add_weight(shape=(), initializer="ones")

    def call(self, inputs):
        self.calls.assign(self.calls + 1)
        return inputs * self.scale


@pytest.mark.skipif(BACKEND == "openvino", reason="keeps no state")
@pytest.mark.parametrize("operation", ["predict", "call"])
def test_state_that_a_model_keeps_in_a_weight_is_no_change(
    telemetry, hashed, operation, unseen_until_looked
):
    """A model that writes a weight of its own at each inference keeps its version."""
    counting = Counting()
    model = keras.Sequential([keras.Input((WIDTH,)), counting, keras.layers.Dense(3)])
    run = (lambda: model.predict(rows(), verbose=0)) if operation == "predict" else None
    for _ in range(4):
        (run or (lambda: model(rows())))()
    versions = {span.attributes["keras.model.version"] for span in telemetry.spans()}
    assert len(versions) == 1
    assert len(hashed) == 1

    counting.scale.assign(2.0)

    assert version_of(telemetry, model) not in versions


@pytest.mark.skipif(BACKEND == "openvino", reason="has no recurrent layers with state")
def test_a_stateful_recurrent_layer_keeps_its_version(telemetry, hashed, unseen_until_looked):
    """The state of an LSTM goes from call to call, and the version stays."""
    model = keras.Sequential(
        [keras.Input((2, 3), batch_size=1), keras.layers.LSTM(4, stateful=True)]
    )
    for _ in range(3):
        model.predict(np.ones((1, 2, 3), "float32"), verbose=0)

    assert len({s.attributes["keras.model.version"] for s in telemetry.spans()}) == 1
    assert len(hashed) == 1


# -- what it costs -----------------------------------------------------------------------------


def test_a_hot_loop_asks_for_no_list_of_variables(telemetry, monkeypatch):
    """A model of 200 layers is walked once a second, and not at each inference."""
    deep = keras.Sequential([keras.Input((2,)), *[keras.layers.Dense(2) for _ in range(200)]])
    features = np.ones((1, 2), "float32")
    deep.predict_on_batch(features)
    weights = models.of(deep).fingerprint._weights
    weights._look_at = time.monotonic() + 60
    asked = []
    monkeypatch.setattr(weights, "_are", lambda variables: asked.append(1) or True)

    for _ in range(5):
        deep.predict_on_batch(features)
    assert asked == []
    weights._look_at = 0.0
    deep.predict_on_batch(features)
    assert asked == [1]


def test_a_model_that_never_keeps_still_is_not_hashed_each_time(telemetry, hashed, monkeypatch):
    """Beyond the time that hashing may take spans have no version, rather than an old one."""
    monkeypatch.setattr(weights, "_HASH_AT_ONCE_S", 1e-9)
    monkeypatch.setattr(weights, "_HASH_SHARE", 1e-9)
    model = classifier()
    versions = []
    for number in range(5):
        versions.append(version_of(telemetry, model))
        model.weights[0].assign(np.full((WIDTH, 4), number))

    assert versions[0] is not None
    assert versions[1:] == [None] * 4
    assert len(hashed) == 1
    monkeypatch.setattr(weights, "_HASH_SHARE", 1e9)
    assert version_of(telemetry, model) not in (None, versions[0])


def test_a_label_stays_while_the_fingerprint_is_unknown(telemetry, monkeypatch):
    """A model that learns while it serves keeps the version that it was given."""
    monkeypatch.setattr(weights, "_HASH_AT_ONCE_S", 1e-9)
    monkeypatch.setattr(weights, "_HASH_SHARE", 1e-9)
    model = keras_otel.describe(classifier(), name="learning", version="online")
    version_of(telemetry, model)
    model.weights[0].assign(numbers(model)[0])

    model.predict_on_batch(rows())

    attributes = telemetry.span().attributes
    assert attributes["keras.model.version"] == "online"
    assert "keras.model.fingerprint" not in attributes


def test_only_weights_of_called_models_are_held():
    """What no called model holds is not kept, and what one held is let go with it."""
    gc.collect()
    before = len(assignments._holders)
    unknown = classifier()
    unknown.weights[0].assign(numbers(unknown)[0])

    assert len(assignments._holders) == before


def test_a_model_that_is_gone_is_let_go(telemetry):
    """Watching its variables keeps neither the model nor an entry alive."""
    gc.collect()
    before = set(assignments._holders)
    model = classifier()
    version_of(telemetry, model)
    assert len(assignments._holders) > len(before)
    reference = models.of(model).ref
    del model
    gc.collect()

    assert reference() is None
    assert set(assignments._holders) <= before


def test_threads_that_assign_while_others_infer(telemetry):
    """Whatever the threads do, the version at rest is that of the weights at rest."""
    model = classifier()
    model(rows()) if BACKEND == "jax" else model.predict_on_batch(rows())
    stop = threading.Event()
    errors: list[Exception] = []

    def infer() -> None:
        while not stop.is_set():
            try:
                model(rows())
            except Exception as error:  # noqa: BLE001 - a thread's failure must fail the test
                errors.append(error)
                return

    threads = [threading.Thread(target=infer) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(50):
        model.weights[0].assign(np.full((WIDTH, 4), number))
    stop.set()
    for thread in threads:
        thread.join()
    telemetry.spans()

    assert errors == []
    at_rest = version_of(telemetry, model)
    keras_otel.refresh(model)
    assert version_of(telemetry, model) == at_rest


@pytest.mark.skipif(not IS_EAGER, reason="a call gives a graph's node there")
def test_a_swap_in_a_busy_service_never_gets_a_wrong_version(telemetry):
    """While one thread swaps weights, a version stands for one output, or is left out."""
    kernel = keras.layers.Dense(1, use_bias=False)
    model = keras.Sequential([keras.Input((1,)), kernel])
    keras_otel.describe(model, task="regression")
    features, stop = np.ones((1, 1), "float32"), threading.Event()

    def infer() -> None:
        while not stop.is_set():
            model(features)

    model(features)
    threads = [threading.Thread(target=infer) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(60):
        kernel.kernel.assign(np.full((1, 1), number % 7))
        time.sleep(0.002)
    stop.set()
    for thread in threads:
        thread.join()

    values: dict[str, set[float]] = {}
    for span in telemetry.spans():
        version = span.attributes.get("keras.model.version")
        if version is not None:
            values.setdefault(version, set()).add(span.attributes["keras.prediction.value"])
    assert {len(seen) for seen in values.values()} == {1}
    assert len(values) > 2


@pytest.mark.skipif(not IS_EAGER, reason="a call gives a graph's node there")
def test_an_assignment_during_a_call_leaves_the_version_out(telemetry):
    """Which of two sets of weights a call had is not known, and the next call's is."""
    model = sequential()

    def swapped_meanwhile(x):
        swap = threading.Thread(target=lambda: model.weights[0].assign(np.ones((WIDTH, 4))))
        swap.start()
        swap.join()
        return model(x)

    model(rows())
    before = telemetry.span().attributes["keras.model.version"]
    keras_otel.traced(swapped_meanwhile, model)(rows())
    assert "keras.model.version" not in telemetry.span().attributes
    model(rows())
    assert telemetry.span().attributes["keras.model.version"] != before
