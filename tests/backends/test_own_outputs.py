"""A head belongs to an output of the model: nothing else is read by it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

import keras_otel
from tests.backends.models import IS_EAGER, TRAINS, WIDTH, Sharpened, classifier, rows

eager = pytest.mark.skipif(not IS_EAGER, reason="OpenVINO computes nothing before predict")
trains = pytest.mark.skipif(not TRAINS, reason="this backend has no losses to compile")

CLASSES = 6


def numbers(result):
    return np.asarray(keras.ops.convert_to_numpy(result), "float64")


def attributes_of(telemetry):
    return dict(telemetry.span().attributes)


def classes_in(attributes):
    """Every attribute that names a class, a label or a confidence."""
    parts = ("class", "class_id", "classes", "labels", "confidence", "confidences", "margin")
    said = [key for key in attributes if key.startswith(("keras.prediction.", "keras.output."))]
    return {key for key in said if key.rpartition(".")[2] in parts}


def is_opaque(attributes):
    tasks = {v for k, v in attributes.items() if k.endswith(".task")}
    return tasks == {"opaque"} and not classes_in(attributes)


class Six(keras.Model):
    """A subclassed classifier of six classes; each subclass predicts something else."""

    def __init__(self):
        super().__init__()
        self.head = keras.layers.Dense(CLASSES, activation="softmax")

    def call(self, inputs):
        return self.head(inputs)


class TopFive(Six):
    def predict(self, x, **kwargs):
        p = super().predict(x, **kwargs)
        ids = np.argsort(-p, axis=1)[:, :5]
        return ids, np.take_along_axis(p, ids, axis=1)


class TopScores(Six):
    def predict(self, x, **kwargs):
        return -np.sort(-super().predict(x, **kwargs), axis=1)[:, :5]


class Ids(Six):
    def predict(self, x, **kwargs):
        return super().predict(x, **kwargs).argmax(axis=1)


class Detections(Six):
    def predict(self, x, **kwargs):
        p = super().predict(x, **kwargs)
        boxes = np.zeros((len(p), 10, 4), "float32")
        scores = np.zeros((len(p), 10), "float32")
        scores[:, 0] = p.max(axis=1)
        return {"boxes": boxes, "confidence": scores, "classes": np.zeros((len(p), 10), "int32")}


@pytest.mark.parametrize("kind", [TopFive, TopScores, Ids, Detections])
def test_an_overridden_predict_that_makes_something_else_is_read_from_its_one_call(telemetry, kind):
    """Ids, the best five or boxes are no distribution; the model's one answer inside them is."""
    model = kind()
    p = keras.Model.predict(model, rows(), verbose=0)
    telemetry.spans()

    model.predict(rows(), verbose=0)

    attributes = attributes_of(telemetry)
    assert attributes["keras.prediction.class_id"] == int(p.argmax())
    assert attributes["keras.prediction.confidence"] == pytest.approx(float(p.max()))


class TopOfThree(Six):
    """Three calls, and the best five classes of their mean."""

    def predict(self, x, **kwargs):
        p = np.mean([keras.Model.predict(self, x, **kwargs) for _ in range(3)], axis=0)
        return -np.sort(-p, axis=1)[:, :5]


class IdsOfThree(TopOfThree):
    def predict(self, x, **kwargs):
        calls = [keras.Model.predict(self, x, **kwargs) for _ in range(3)]
        return np.mean(calls, axis=0).argmax(axis=1)


@pytest.mark.parametrize("kind", [TopOfThree, IdsOfThree])
@pytest.mark.parametrize("n", [1, 3])
def test_a_result_of_several_calls_in_another_shape_is_opaque(telemetry, kind, n):
    """Which of several calls would be meant is not known, and the result is none of theirs."""
    kind().predict(rows(n), verbose=0)
    attributes = attributes_of(telemetry)
    assert is_opaque(attributes)
    assert "(rows, 6)" in attributes["keras.prediction.opaque_reason"]


class SortedChunks(Six):
    """All six scores of each row, best first, chunk by chunk."""

    def predict(self, x, **kwargs):
        chunks = [x[:2], x[2:]]
        return np.concatenate(
            [-np.sort(-keras.Model.predict(self, c, **kwargs), axis=1) for c in chunks]
        )


class Chunks(Six):
    def predict(self, x, **kwargs):
        chunks = [x[:2], x[2:]]
        return np.concatenate([keras.Model.predict(self, c, **kwargs) for c in chunks])


def test_sorted_scores_of_several_calls_are_opaque(telemetry):
    """No one answer can be compared with the result, so a method that sorts is not believed."""
    SortedChunks().predict(rows(4), verbose=0)
    attributes = attributes_of(telemetry)
    assert is_opaque(attributes)
    assert "sort may have" in attributes["keras.prediction.opaque_reason"]


def test_a_method_in_chunks_is_read_from_its_result(telemetry):
    """The scores of several calls, one after the other, are those of all rows."""
    p = Chunks().predict(rows(4), verbose=0)
    classes = attributes_of(telemetry)["keras.prediction.classes"]
    assert classes == tuple(map(str, p.argmax(axis=1)))


class Sorted(Six):
    def predict(self, x, **kwargs):
        return np.sort(super().predict(x, **kwargs), axis=1)


def test_scores_in_another_order_are_no_classes(telemetry):
    """All six scores, sorted, still have the shape of the output; their places say nothing."""
    model = Sorted()
    model.predict(rows(20), verbose=0)
    attributes = attributes_of(telemetry)
    assert is_opaque(attributes)
    assert "does not follow" in attributes["keras.prediction.opaque_reason"]


@pytest.mark.parametrize("n", [1, 3])
def test_a_predict_that_rescales_is_read_from_its_own_result(telemetry, n):
    """Probabilities of the output's shape and order are the answer that the program gives."""
    result = Sharpened().predict(rows(n), verbose=0)
    attributes = attributes_of(telemetry)
    key = "keras.prediction.confidence" if n == 1 else "keras.batch.confidence_mean"
    assert attributes[key] == pytest.approx(float(result.max(axis=1).mean()), rel=1e-5)


class Named(Six):
    def predict(self, x, **kwargs):
        p = super().predict(x, **kwargs)
        return {"topic": p, "second": np.sort(p, axis=1)[:, -2:]}


def test_an_output_that_is_described_by_name_is_read(telemetry):
    """What the user says of a result by its name goes before all shapes."""
    labels = list("abcdef")
    model = keras_otel.describe(Named(), task={"topic": "multiclass"}, labels={"topic": labels})
    p = model.predict(rows(), verbose=0)["topic"]
    attributes = attributes_of(telemetry)
    assert attributes["keras.output.topic.class"] == labels[int(p.argmax())]
    assert attributes["keras.output.second.task"] == "opaque"


def top_k_step(self, data):
    x = data[0] if isinstance(data, tuple) else data
    return ops.top_k(self(x, training=False), 5)


STEP = pytest.mark.skipif(
    keras.backend.backend() in ("jax", "openvino"), reason="a predict_step is a function of state"
)


@STEP
@pytest.mark.parametrize("functional", [True, False])
def test_a_predict_step_of_ones_own_is_no_distribution(telemetry, functional):
    """The best five of a `predict_step` are opaque, each with the reason."""

    class Steps(Six if not functional else keras.Model):
        predict_step = top_k_step

    if functional:
        inputs = keras.Input((WIDTH,))
        model = Steps(inputs, keras.layers.Dense(CLASSES, activation="softmax")(inputs))
    else:
        model = Steps()
    model.predict(rows(), verbose=0)
    attributes = attributes_of(telemetry)
    assert is_opaque(attributes)
    assert "model with 1 outputs" in attributes["keras.output.output_0.opaque_reason"]


@STEP
def test_a_predict_step_that_sorts_all_scores_is_opaque(telemetry):
    """Sorted scores have the shape of the output; only the step's code tells, or the user."""

    class Steps(Six):
        def predict_step(self, data):
            x = data[0] if isinstance(data, tuple) else data
            return ops.top_k(self(x, training=False), CLASSES)[0]

    model = Steps()
    model.predict(rows(), verbose=0)
    attributes = attributes_of(telemetry)
    assert is_opaque(attributes)
    assert "top_k may have" in attributes["keras.prediction.opaque_reason"]
    keras_otel.describe(model, task="multiclass")
    model.predict(rows(), verbose=0)
    assert attributes_of(telemetry)["keras.prediction.class_id"] == 0


@STEP
@pytest.mark.parametrize("functional", [True, False])
def test_a_predict_step_that_returns_the_output_is_read(telemetry, functional):
    """A step that prepares the inputs returns what the model says."""

    class Steps(Six if not functional else keras.Model):
        def predict_step(self, data):
            return self((data[0] if isinstance(data, tuple) else data) * 2.0, training=False)

    if functional:
        inputs = keras.Input((WIDTH,))
        model = Steps(inputs, keras.layers.Dense(CLASSES, activation="softmax")(inputs))
    else:
        model = Steps()
    p = model.predict(rows(), verbose=0)
    assert attributes_of(telemetry)["keras.prediction.class_id"] == int(p.argmax())


@eager
@pytest.mark.parametrize("build", [Six, lambda: classifier("softmax", CLASSES)])
def test_top_k_of_a_traced_function_is_opaque(telemetry, build):
    """Ids and scores of a wrapped function are not the model's output, in one piece or two."""
    model = build()
    both = keras_otel.traced(lambda x: ops.top_k(model(x), 5), model)
    scores = keras_otel.traced(lambda x: ops.top_k(model(x), 5)[0], model)
    ids = keras_otel.traced(lambda x: ops.argmax(model(x), axis=-1), model)
    every = keras_otel.traced(lambda x: ops.top_k(model(x), CLASSES)[0], model)
    for function in (both, scores, ids, every):
        function(ops.convert_to_tensor(rows()))
        assert is_opaque(attributes_of(telemetry))


@eager
@pytest.mark.parametrize("build", [Six, lambda: classifier("softmax", CLASSES)])
def test_a_traced_function_that_returns_the_output_is_read(telemetry, build):
    """The model's own output comes out of a wrapped function with its class and confidence."""
    model = build()
    p = keras_otel.traced(lambda x: model(x), model)(ops.convert_to_tensor(rows()))
    attributes = attributes_of(telemetry)
    assert attributes["keras.prediction.class_id"] == int(numbers(p).argmax())
    assert attributes["keras.prediction.confidence"] == pytest.approx(numbers(p).max())


def test_a_last_operation_that_selects_is_no_distribution(telemetry):
    """A functional model that ends in `top_k` states no head, whatever it selects from."""
    inputs = keras.Input((WIDTH,))
    p = keras.layers.Dense(CLASSES, activation="softmax")(inputs)
    values, ids = ops.top_k(p, CLASSES)
    for outputs in ([values, ids], values, ids):
        model = keras.Model(inputs, outputs)
        if TRAINS:
            model.compile(loss="sparse_categorical_crossentropy")
        model.predict_on_batch(rows())
        assert is_opaque(attributes_of(telemetry))


def test_a_call_that_selects_is_no_distribution(telemetry):
    """A subclass that returns the best scores, all or some, in order."""

    class Selects(Six):
        def call(self, inputs):
            return ops.top_k(self.head(inputs), CLASSES)[0]

    class Squares(Six):
        def call(self, inputs):
            return ops.square(ops.normalize(self.head(inputs)))

    class SelectsByMethod(Six):
        def call(self, inputs):
            return self.best(inputs)

        def best(self, inputs):
            scores, _ = ops.top_k(self.head(inputs), CLASSES)
            return scores

    for model in (Selects(), Squares(), SelectsByMethod()):
        model.predict_on_batch(rows())
        assert is_opaque(attributes_of(telemetry))


def test_a_layer_of_ones_own_that_selects_is_no_distribution(telemetry):
    """A graph may end in the user's own layer, which orders the scores, whatever the loss."""

    class Best(keras.layers.Layer):
        def call(self, inputs):
            return ops.top_k(inputs, CLASSES)[0]

    inputs = keras.Input((WIDTH,))
    p = keras.layers.Dense(CLASSES, activation="softmax")(inputs)
    model = keras.Model(inputs, Best()(p))
    if TRAINS:
        model.compile(loss="categorical_crossentropy")
    model.predict_on_batch(rows())
    attributes = attributes_of(telemetry)
    assert is_opaque(attributes)
    assert "top_k" in attributes["keras.prediction.opaque_reason"]


def test_the_squares_of_a_unit_vector_are_no_probabilities(telemetry):
    """They are non-negative and sum to 1, and an embedding is behind them."""
    for square in (ops.square, lambda x: x * x, lambda x: x**2):
        inputs = keras.Input((WIDTH,))
        vector = keras.layers.UnitNormalization()(inputs)
        keras.Model(inputs, square(vector)).predict_on_batch(rows())
        assert is_opaque(attributes_of(telemetry))


class Decides(Six):
    """A `predict` that answers by a rule of its own."""

    def predict(self, x, **kwargs):
        return (super().predict(x, **kwargs).argmax(axis=1) + 1) % CLASSES


def test_a_decision_that_does_not_follow_names_no_class(telemetry):
    """Where the program's ids are not those of the largest scores, neither is named."""
    Decides().predict(rows(), verbose=0)
    attributes = attributes_of(telemetry)
    assert is_opaque(attributes)
    assert "does not follow" in attributes["keras.prediction.opaque_reason"]


class Mixture(keras.Model):
    """A mixture of experts that returns its answer and its gate."""

    def __init__(self, activation=None):
        super().__init__()
        self.experts = keras.layers.Dense(4 * CLASSES)
        self.gate = keras.layers.Dense(4, activation="softmax")
        self.squash = keras.layers.Activation(activation or "linear")

    def call(self, inputs):
        gate = self.gate(inputs)
        experts = ops.reshape(self.experts(inputs), (-1, 4, CLASSES))
        return self.squash(ops.einsum("be,bec->bc", gate, experts)), gate


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_the_gate_of_a_subclassed_mixture_is_no_class(telemetry, activation):
    """Of several outputs of a subclass nothing tells which is a class, and values do not."""
    model = Mixture(activation)
    if TRAINS:
        model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.predict_on_batch(rows())
    attributes = attributes_of(telemetry)
    assert is_opaque(attributes)
    assert "one of several outputs" in attributes["keras.output.output_1.opaque_reason"]


@trains
def test_a_loss_for_each_output_names_its_head(telemetry):
    """Where each output has a loss of its own, or None, the losses say which is the class."""
    model = Mixture("softmax")
    model.compile(loss=["sparse_categorical_crossentropy", None])
    p, _ = model.predict_on_batch(rows())
    attributes = attributes_of(telemetry)
    assert attributes["keras.output.output_0.class_id"] == int(numbers(p).argmax())
    assert attributes["keras.output.output_1.task"] == "opaque"


@trains
def test_one_loss_speaks_for_one_output(telemetry):
    """A second output under one compiled loss has no head by it."""
    inputs = keras.Input((WIDTH,))
    logits = keras.layers.Dense(CLASSES, name="logits")(inputs)
    features = keras.layers.Dense(CLASSES, name="features")(inputs)
    model = keras.Model(inputs, [logits, features])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.predict_on_batch(rows())
    assert is_opaque(attributes_of(telemetry))


def gated():
    inputs = keras.Input((WIDTH,))
    gate = keras.layers.Dense(3, activation="softmax", name="gate")(inputs)
    experts = [keras.layers.Dense(CLASSES)(inputs) for _ in range(3)]
    mixed = keras.layers.Add()([gate[:, i : i + 1] * expert for i, expert in enumerate(experts)])
    answer = keras.layers.Dense(CLASSES, activation="softmax", name="answer")(mixed)
    return keras.Model(inputs, [answer, gate])


def attending():
    inputs = keras.Input((4, WIDTH))
    scores = keras.layers.Reshape((4,))(keras.layers.Dense(1)(inputs))
    weights = keras.layers.Softmax(name="gate")(scores)
    context = keras.layers.Dot(axes=1)([weights, inputs])
    answer = keras.layers.Dense(CLASSES, activation="softmax", name="answer")(context)
    return keras.Model(inputs, {"answer": answer, "gate": weights})


def squeezing():
    inputs = keras.Input((WIDTH,))
    gate = keras.layers.Dense(WIDTH, activation="sigmoid", name="gate")(inputs)
    scaled = keras.layers.Multiply()([inputs, keras.layers.Dropout(0.5)(gate)])
    scaled = keras.layers.Multiply()([scaled, gate])
    answer = keras.layers.Dense(CLASSES, activation="softmax", name="answer")(scaled)
    return keras.Model(inputs, [answer, gate])


@pytest.mark.parametrize(
    ("build", "shape"), [(gated, (1, WIDTH)), (attending, (1, 4, WIDTH)), (squeezing, (1, WIDTH))]
)
def test_weights_in_a_graph_are_no_classes(telemetry, build, shape):
    """A softmax or sigmoid that is multiplied with another tensor weighs it; the answer is read."""
    result = build().predict_on_batch(np.ones(shape, "float32"))
    answer = result["answer"] if isinstance(result, dict) else result[0]
    attributes = attributes_of(telemetry)
    assert attributes["keras.output.answer.class_id"] == int(numbers(answer).argmax())
    assert attributes["keras.output.gate.task"] == "opaque"
    assert "weights" in attributes["keras.output.gate.opaque_reason"]


def test_attention_weights_alone_are_no_class(telemetry):
    """A model made to look at another's attention has a single output that sums to 1."""
    model = attending()
    looking = keras.Model(model.input, model.output["gate"])
    looking.predict_on_batch(np.ones((1, 4, WIDTH), "float32"))
    assert is_opaque(attributes_of(telemetry))


def test_an_output_beside_features_keeps_its_head(telemetry):
    """A classifier that also gives out the features before it is read as ever."""
    inputs = keras.Input((WIDTH,))
    features = keras.layers.Dense(4, activation="relu", name="features")(inputs)
    topic = keras.layers.Dense(CLASSES, activation="softmax", name="topic")(features)
    fine = keras.layers.Concatenate()([features, topic])  # a cascade hands its classes on
    fine = keras.layers.Dense(3, activation="softmax", name="fine")(fine)
    p = keras.Model(inputs, [features, topic, fine]).predict_on_batch(rows())
    attributes = attributes_of(telemetry)
    assert attributes["keras.output.topic.class_id"] == int(numbers(p[1]).argmax())
    assert attributes["keras.output.fine.class_id"] == int(numbers(p[2]).argmax())
    assert attributes["keras.output.features.task"] == "opaque"


@eager
def test_a_call_of_ones_own_around_a_graph_is_read_by_shape(telemetry):
    """A subclass made from inputs and outputs whose `call` returns the best two."""

    class Best(keras.Model):
        def call(self, inputs, training=None, mask=None):
            return -ops.sort(-super().call(inputs))[:, :2]

    class Same(keras.Model):
        def call(self, inputs, training=None, mask=None):
            return super().call(inputs * 2.0)

    for kind in (Best, Same):
        inputs = keras.Input((WIDTH,))
        model = kind(inputs, keras.layers.Dense(CLASSES, activation="softmax")(inputs))
        p = numbers(model(ops.convert_to_tensor(rows())))
        attributes = attributes_of(telemetry)
        if kind is Same:
            assert attributes["keras.prediction.class_id"] == int(p.argmax())
        else:
            assert is_opaque(attributes)


def test_a_task_for_the_model_is_not_one_for_each_of_several_outputs(telemetry):
    """`task="multiclass"` names no class in the gate of a model with two outputs."""
    model = keras_otel.describe(gated(), task="multiclass")
    p, _ = model.predict_on_batch(rows())
    attributes = attributes_of(telemetry)
    assert attributes["keras.output.answer.class_id"] == int(numbers(p).argmax())
    assert attributes["keras.output.gate.task"] == "opaque"


@pytest.mark.parametrize("n", [1, 3])
def test_a_routing_mask_is_no_class(telemetry, n):
    """Rows of a single 1 of a model of unknown head may say which expert was chosen."""

    class Router(keras.Model):
        def __init__(self):
            super().__init__()
            self.score = keras.layers.Dense(4)

        def call(self, inputs):
            scores = self.score(inputs)
            return ops.cast(scores >= ops.max(scores, axis=-1, keepdims=True), "float32")

    result = numbers(Router().predict_on_batch(rows(n)))
    assert (result.sum(axis=1) == 1).all()
    assert is_opaque(attributes_of(telemetry))
