"""A head that the model itself states: its last layer, its last operation, its loss."""

from __future__ import annotations

import textwrap
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_otel
from tests.backends.models import IS_EAGER, TRAINS, WIDTH, classifier, rows

# Most subclasses here have layers that only another one of them calls.
pytestmark = pytest.mark.filterwarnings("ignore:.*was called on layer.*unbuilt state:UserWarning")

trains = pytest.mark.skipif(not TRAINS, reason="this backend has no losses to compile")
eager = pytest.mark.skipif(not IS_EAGER, reason="OpenVINO computes nothing before predict")


def attributes_of(telemetry, model, x=None):
    result = np.asarray(model.predict_on_batch(rows() if x is None else x), dtype="float64")
    return dict(telemetry.span().attributes), result


class Ends(keras.Model):
    """A subclass with one sigmoid head; each subclass of it ends in another way."""

    def __init__(self, units=1, activation="sigmoid"):
        super().__init__()
        self.head = layers.Dense(units, activation=activation, bias_initializer="normal")
        self.hidden = layers.Dense(8, activation="relu")
        self.drop = layers.Dropout(0.5)
        self.blocks = [
            layers.Dense(4, activation="relu"),
            layers.Dense(units, activation="sigmoid"),
        ]
        self.nested = keras.Sequential([layers.Dense(4), layers.Dense(units, activation="sigmoid")])
        self.logit = layers.Dense(units)
        self.squash = layers.Activation("sigmoid")
        self.function = keras.activations.sigmoid

    def call(self, inputs):
        return self.head(self.hidden(inputs))


class ByVariable(Ends):
    def call(self, inputs, training=None):
        x = self.hidden(inputs)
        if training:
            x = self.drop(x)
        x = self.head(x)
        return x  # noqa: RET504 - a variable is the point


class ThroughDropout(Ends):
    def call(self, inputs, training=None):
        return self.drop(self.head(self.hidden(inputs)), training=training)


class ByNested(Ends):
    def call(self, inputs):
        return self.nested(inputs)


class ByList(Ends):
    def call(self, inputs):
        x = self.blocks[0](inputs)
        return self.blocks[-1](x)


class ByLoop(Ends):
    def call(self, inputs):
        x = inputs
        for block in self.blocks:
            x = block(x)
        return x


class ByOperation(Ends):
    def call(self, inputs):
        return ops.sigmoid(self.logit(inputs))


class ByActivation(Ends):
    def call(self, inputs):
        x = self.logit(inputs)
        return keras.activations.sigmoid(x)


class ByLayer(Ends):
    def call(self, inputs):
        return self.squash(self.logit(inputs))


class ByAttribute(Ends):
    def call(self, inputs):
        return self.function(self.logit(inputs))


class Squeezed(Ends):
    def call(self, inputs):
        return ops.squeeze(self.head(self.hidden(inputs)), axis=-1)


class Indexed(Ends):
    def call(self, inputs):
        return self.head(self.hidden(inputs))[:, 0]


class Inner(layers.Layer):
    """A layer of the user's own."""

    def __init__(self):
        super().__init__()
        self.out = layers.Dense(1, activation="sigmoid")

    def call(self, inputs):
        return self.out(inputs)


class ByOwnLayer(Ends):
    def __init__(self):
        super().__init__()
        self.last = Inner()

    def call(self, inputs):
        return self.last(self.hidden(inputs))


class ByReturnOfEach(Ends):
    def call(self, inputs, training=None):
        if training:
            return self.head(self.drop(inputs))
        return self.head(inputs)


class ByMethod(Ends):
    def call(self, inputs):
        return self.answer(inputs)[:, 0]

    def answer(self, inputs):
        return self.head(self.hidden(inputs))


@pytest.mark.parametrize(
    "kind",
    [
        Ends,
        ByVariable,
        ThroughDropout,
        ByNested,
        ByList,
        ByLoop,
        ByOperation,
        ByActivation,
        ByLayer,
        ByAttribute,
        Squeezed,
        Indexed,
        ByOwnLayer,
        ByReturnOfEach,
        ByMethod,
    ],
)
def test_a_sigmoid_that_ends_a_subclass_is_binary(telemetry, kind):
    """The step that `call` returns says the head, however the source writes it."""
    model = keras_otel.describe(kind(), labels=["clean", "toxic"])
    attributes, result = attributes_of(telemetry, model)
    p = float(result.reshape(-1)[0])
    assert attributes["keras.model.task"] == "binary"
    assert attributes["keras.prediction.class"] == ("toxic" if p > 0.5 else "clean")
    assert attributes["keras.prediction.confidence"] == pytest.approx(max(p, 1 - p))


def test_several_sigmoids_of_a_subclass_are_multilabel(telemetry):
    """More units than one are labels, each by itself."""
    attributes, result = attributes_of(telemetry, Ends(3))
    over = np.flatnonzero(result[0] > 0.5)
    assert attributes["keras.model.task"] == "multilabel"
    assert attributes["keras.prediction.labels"] == tuple(map(str, over))


def test_a_softmax_of_a_subclass_that_is_certain_is_a_class(telemetry):
    """A row that rounds to a single 1 is a class where the source says softmax."""

    class Certain(Ends):
        def call(self, inputs):
            return ops.softmax(self.logit(inputs) * 0 + ops.convert_to_tensor([0.0, 500.0, 0.0]))

    attributes, result = attributes_of(telemetry, Certain(3))
    assert result.tolist() == [[0.0, 1.0, 0.0]]
    assert attributes["keras.prediction.class"] == "1"
    assert attributes["keras.prediction.confidence"] == 1.0


class Gated(Ends):
    def call(self, inputs):
        return self.logit(inputs) * self.head(inputs)


class Scaled(Ends):
    def call(self, inputs):
        x = self.head(inputs)
        x = x / 2.0
        return x  # noqa: RET504 - a variable is the point


class Branches(Ends):
    def call(self, inputs, training=None):
        x = self.head(inputs)
        if not training:
            x = ops.clip(self.logit(inputs), 0.1, 0.9)
        return x


class Returns(Ends):
    def call(self, inputs, training=None):
        if training:
            return self.head(inputs)
        return ops.clip(self.logit(inputs), 0.1, 0.9)


class Augmented(Ends):
    def call(self, inputs):
        x = self.head(inputs)
        x += 0.0
        return x


class Wrapped(Ends):
    def decorate(function):  # noqa: N805 - called in the class body
        def wrapper(self, inputs):
            return function(self, inputs) / 2.0

        return wrapper

    @decorate
    def call(self, inputs):
        return self.head(inputs)


class DroppedOfEach(Ends):
    def call(self, inputs, training=None):
        if training:
            return self.drop(self.head(inputs))
        return self.drop(self.logit(inputs))


class ByMethodThatScales(Ends):
    def call(self, inputs):
        return self.answer(inputs)

    def answer(self, inputs):
        return self.head(inputs) / 2.0


def squash(inputs):
    return ops.sigmoid(inputs)


class ByArgument(Ends):
    def call(self, inputs, squash=ops.tanh):
        return squash(self.logit(inputs))


@pytest.mark.parametrize(
    "kind",
    [
        Gated,
        Scaled,
        Branches,
        Returns,
        Augmented,
        Wrapped,
        DroppedOfEach,
        ByMethodThatScales,
        ByArgument,
    ],
)
def test_a_sigmoid_that_something_follows_is_no_head(telemetry, kind):
    """Arithmetic, branches and wrappers after the sigmoid leave no head that is known."""
    attributes, _ = attributes_of(telemetry, kind())
    assert attributes["keras.model.task"] == "opaque"
    assert "keras.prediction.class" not in attributes


class Foreground(Ends):
    def call(self, inputs):
        return ops.softmax(self.logit(inputs))[:, 1:]


class Chosen(Ends):
    def call(self, inputs):
        return ops.softmax(self.logit(inputs))[:, COLUMNS]


COLUMNS = slice(1, None)


@eager
@pytest.mark.parametrize("kind", [Foreground, Chosen])
def test_columns_that_are_selected_are_not_those_of_the_softmax(telemetry, kind):
    """What a subscript leaves of a distribution is none that the softmax states."""
    kind(3)(rows())
    assert telemetry.span().attributes["keras.model.task"] == "opaque"


def without_source(body: str, **layers_of: Any) -> keras.Model:
    """A subclass whose source is nowhere, as in a shell."""
    names = SimpleNamespace(keras=keras)
    source = textwrap.dedent(f"""
        class Typed(keras.Model):
            def call(self, inputs):
                {body}
    """)
    scope: dict[str, Any] = dict(vars(names))
    exec(source, scope)
    model = scope["Typed"]()
    for name, layer in layers_of.items():
        setattr(model, name, layer)
    return model


def test_without_source_the_only_layer_of_the_width_is_the_last(telemetry):
    """The layer that was made last, and alone has the output's width, states the head."""
    model = without_source(
        "return self.head(self.hidden(inputs))",
        hidden=layers.Dense(8),
        head=layers.Dense(1, activation="sigmoid"),
        drop=layers.Dropout(0.5),
    )
    attributes, result = attributes_of(telemetry, model)
    assert attributes["keras.model.task"] == "binary"
    assert attributes["keras.prediction.class_id"] == int(result[0, 0] > 0.5)


@pytest.mark.parametrize(
    ("body", "made"),
    [
        ("return self.a(inputs) * self.b(inputs)", {"a": (1, None), "b": (1, "sigmoid")}),
        ("return self.b(self.a(inputs))", {"a": (1, "sigmoid"), "b": (2, None)}),
        ("return self.a(self.b(inputs))", {"a": (1, "sigmoid"), "b": (2, None)}),
    ],
)
def test_without_source_more_candidates_are_none(telemetry, body, made):
    """Two layers of the width, or a wider one made later, leave it open which was last."""
    parts = {name: layers.Dense(units, activation=a) for name, (units, a) in made.items()}
    attributes, _ = attributes_of(telemetry, without_source(body, **parts))
    assert attributes["keras.model.task"] == "opaque"


@pytest.mark.parametrize(
    "last", [ops.sigmoid, keras.activations.sigmoid, layers.Activation("sigmoid")]
)
def test_a_sigmoid_as_last_operation_of_a_graph(telemetry, last):
    """An operation states a head as a layer does."""
    inputs = keras.Input((WIDTH,))
    model = keras.Model(inputs, last(layers.Dense(1)(inputs)))
    attributes, result = attributes_of(telemetry, model)
    p = float(result[0, 0])
    assert attributes["keras.model.task"] == "binary"
    assert attributes["keras.prediction.confidence"] == pytest.approx(max(p, 1 - p))


@pytest.mark.parametrize(
    "last",
    [
        ops.softmax,
        keras.activations.softmax,
        lambda x: layers.Reshape((3,))(ops.softmax(ops.expand_dims(x, 1))),
        lambda x: ops.cast(ops.softmax(x), "float32"),
        layers.Lambda(keras.activations.softmax),
    ],
)
def test_a_softmax_as_last_operation_of_a_graph(telemetry, last):
    """The softmax is found through what only passes its numbers on; 500 rounds to a single 1."""
    inputs = keras.Input((WIDTH,))
    model = keras.Model(inputs, last(layers.Dense(3)(inputs) * 1000.0))
    attributes, result = attributes_of(telemetry, model)
    assert attributes["keras.model.task"] == "multiclass"
    assert attributes["keras.prediction.class_id"] == int(result.argmax())


def test_a_softmax_over_another_axis_is_no_head(telemetry):
    """Attention over time sums to 1 along time, and a row of it is no distribution."""
    inputs = keras.Input((3, WIDTH))
    weights = ops.softmax(layers.Dense(2)(inputs), axis=1)
    attributes, _ = attributes_of(
        telemetry, keras.Model(inputs, weights), np.ones((1, 3, WIDTH), "float32")
    )
    assert attributes["keras.model.task"] == "opaque"


def test_a_softmax_over_the_rows_of_a_batch_is_no_head(telemetry):
    """In-batch similarities have a column for each row, and so no fixed number of classes."""
    inputs = keras.Input((WIDTH,))
    vectors = layers.Dense(2)(inputs)
    model = keras.Model(inputs, ops.softmax(ops.matmul(vectors, ops.transpose(vectors))))
    attributes, _ = attributes_of(telemetry, model, rows(3))
    assert attributes["keras.model.task"] == "opaque"


@pytest.mark.parametrize(
    "last", [lambda x: ops.squeeze(x, -1), layers.Reshape(()), lambda x: x[:, 0]]
)
def test_a_sigmoid_whose_column_is_dropped_is_binary(telemetry, last):
    """A single column in the shape (rows,) is the same score."""
    inputs = keras.Input((WIDTH,))
    model = keras.Model(inputs, last(layers.Dense(1, activation="sigmoid")(inputs)))
    attributes, result = attributes_of(telemetry, model)
    p = float(result[0])
    assert attributes["keras.model.task"] == "binary"
    assert attributes["keras.prediction.confidence"] == pytest.approx(max(p, 1 - p))


def test_one_of_two_columns_is_no_head(telemetry):
    """The second probability alone is not the model's own score of class 1."""
    inputs = keras.Input((WIDTH,))
    model = keras.Model(inputs, layers.Dense(2, activation="sigmoid")(inputs)[:, 1])
    assert attributes_of(telemetry, model)[0]["keras.model.task"] == "opaque"


def test_an_output_as_wide_as_the_input_may_rebuild_it(telemetry):
    """An autoencoder's sigmoids are no labels, unless it is said that they are."""
    model = classifier("sigmoid", WIDTH)
    attributes, _ = attributes_of(telemetry, model)
    assert attributes["keras.model.task"] == "opaque"
    assert "rebuild" in attributes["keras.prediction.opaque_reason"]
    keras_otel.describe(model, task="multilabel")
    assert attributes_of(telemetry, model)[0]["keras.model.task"] == "multilabel"


def test_a_gated_recurrent_layer_states_no_head(telemetry):
    """The sigmoid inside an LSTM is not its last step."""
    inputs = keras.Input((3, WIDTH))
    model = keras.Model(inputs, layers.LSTM(1, activation="sigmoid")(inputs))
    attributes, _ = attributes_of(telemetry, model, np.ones((1, 3, WIDTH), "float32"))
    assert attributes["keras.model.task"] == "opaque"


@trains
@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", keras.losses.Hinge()])
@pytest.mark.parametrize("activation", ["linear", "tanh"])
def test_hinge_is_binary_by_its_sign(telemetry, loss, activation):
    """A score over 0 is class 1; nothing says how sure the model is."""
    model = classifier(activation, 1)
    model.compile(loss=loss)
    keras_otel.describe(model, labels=["no", "yes"])
    for seed in range(1, 5):
        x = np.random.default_rng(seed).normal(size=(1, WIDTH)).astype("float32")
        attributes, result = attributes_of(telemetry, model, x)
        assert attributes["keras.model.task"] == "binary"
        assert attributes["keras.prediction.class"] == ("yes" if result[0, 0] > 0 else "no")
        assert "keras.prediction.confidence" not in attributes


@trains
@pytest.mark.parametrize("n", [1, 3])
def test_categorical_hinge_is_the_largest_score(telemetry, n):
    """The largest score is the class, without a confidence, also where scores sum to 1."""
    model = classifier("linear")
    model.compile(loss=keras.losses.CategoricalHinge())
    attributes, result = attributes_of(telemetry, model, rows(n))
    classes = tuple(map(str, result.argmax(axis=1)))
    assert attributes["keras.model.task"] == "multiclass"
    key = "keras.prediction.class" if n == 1 else "keras.prediction.classes"
    assert attributes[key] == (classes[0] if n == 1 else classes)
    assert not {"keras.prediction.confidence", "keras.batch.confidence_mean"} & set(attributes)


@trains
def test_hinge_over_several_columns_is_no_head(telemetry):
    """One class against the rest, or several labels: the loss does not say which."""
    model = classifier("linear", 3)
    model.compile(loss="hinge")
    # Of a single row any numbers may happen to add up to one.
    assert attributes_of(telemetry, model, rows(8))[0]["keras.model.task"] == "opaque"


@trains
def test_the_pixels_of_an_autoencoder_are_no_labels(telemetry):
    """Several sigmoids under a regression loss rebuild numbers."""
    model = classifier("sigmoid", WIDTH)
    model.compile(loss="mse")
    attributes, _ = attributes_of(telemetry, model)
    assert attributes["keras.model.task"] == "regression"
    assert "keras.prediction.labels" not in attributes


@trains
@pytest.mark.parametrize("loss", ["mse", "mae", keras.losses.Huber()])
def test_a_sigmoid_under_a_regression_loss_is_a_number(telemetry, loss):
    """A score or share between 0 and 1 that was fitted as a number is no class."""
    model = classifier("sigmoid", 1)
    model.compile(loss=loss)
    attributes, result = attributes_of(telemetry, model)
    assert attributes["keras.model.task"] == "regression"
    assert attributes["keras.prediction.value"] == pytest.approx(float(result[0, 0]))


@trains
@pytest.mark.parametrize(
    "loss",
    [
        ["sparse_categorical_crossentropy"],
        {"out": keras.losses.SparseCategoricalCrossentropy(from_logits=True)},
    ],
)
def test_a_single_loss_in_a_list_or_dict_is_the_loss(telemetry, loss):
    """One loss for one output says what it would say alone."""
    inputs = keras.Input((WIDTH,))
    model = keras.Model(inputs, layers.Dense(3, name="out")(inputs))
    model.compile(loss=loss)
    attributes, result = attributes_of(telemetry, model)
    assert attributes["keras.prediction.class_id"] == int(result.argmax())


# -- a class for each position -------------------------------------------------------------------


def tagger(last):
    inputs = keras.Input((None, WIDTH))
    return keras.Model(inputs, last(inputs))


TOKENS = np.random.default_rng(3).normal(size=(1, 7, WIDTH)).astype("float32")


@pytest.mark.parametrize("length", [7, 1])
@pytest.mark.parametrize(
    "last",
    [
        layers.Dense(3, activation="softmax"),
        layers.TimeDistributed(layers.Dense(3, activation="softmax")),
        lambda x: ops.softmax(layers.Dense(3)(x)),
    ],
)
def test_a_tagger_counts_its_classes(telemetry, last, length):
    """A class for each token: how often each, how sure, and no single class, even of one token."""
    labels = ["O", "LOC", "PER"]
    model = keras_otel.describe(tagger(last), labels=labels)
    attributes, result = attributes_of(telemetry, model, TOKENS[:, :length])
    counts = np.bincount(result[0].argmax(axis=1), minlength=3)
    expected = sorted(zip(labels, counts.tolist(), strict=True), key=lambda item: -item[1])
    assert attributes["keras.model.task"] == "sequence"
    assert attributes["keras.prediction.class_counts"] == tuple(
        f"{name}={n}" for name, n in expected if n
    )
    best = result[0].max(axis=1)
    assert attributes["keras.batch.confidence_mean"] == pytest.approx(best.mean(), rel=1e-5)
    assert attributes["keras.batch.confidence_min"] == pytest.approx(best.min(), rel=1e-5)
    assert attributes["keras.batch.size"] == 1
    assert not {"keras.prediction.class", "keras.prediction.confidence"} & set(attributes)


def test_several_sequences_have_no_counts(telemetry):
    """Of several rows only the confidence is summarised."""
    model = tagger(layers.Dense(3, activation="softmax"))
    attributes, result = attributes_of(telemetry, model, np.concatenate([TOKENS, -TOKENS]))
    assert attributes["keras.model.task"] == "sequence"
    assert "keras.prediction.class_counts" not in attributes
    assert attributes["keras.batch.confidence_mean"] == pytest.approx(
        result.max(axis=-1).mean(), rel=1e-5
    )


@trains
def test_logits_for_each_position_by_the_loss(telemetry):
    """A loss with `from_logits` says that a tagger's scores are softmaxed first."""
    model = tagger(layers.Dense(3))
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    attributes, result = attributes_of(telemetry, model, TOKENS)
    p = np.exp(result - result.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    assert attributes["keras.model.task"] == "sequence"
    assert attributes["keras.batch.confidence_mean"] == pytest.approx(p.max(-1).mean(), rel=1e-5)


def test_a_binary_mask_counts_its_pixels(telemetry):
    """A segmentation of one class against the rest has a class for each pixel."""
    inputs = keras.Input((4, 4, 2))
    model = keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(inputs))
    keras_otel.describe(model, labels=["road", "car"])
    x = np.random.default_rng(0).normal(size=(1, 4, 4, 2)).astype("float32")
    attributes, result = attributes_of(telemetry, model, x)
    cars = int((result > 0.5).sum())
    assert attributes["keras.model.task"] == "sequence"
    assert set(attributes["keras.prediction.class_counts"]) == {
        f"{name}={n}" for name, n in (("car", cars), ("road", 16 - cars)) if n
    }


class Tags(keras.Model):
    """A subclassed tagger."""

    def __init__(self):
        super().__init__()
        self.tag = layers.Dense(3)

    def call(self, inputs):
        return ops.softmax(self.tag(inputs))


class Opaques(Tags):
    def call(self, inputs):
        return self.tag(inputs) * 1.0


@pytest.mark.parametrize("length", [7, 1])
def test_a_subclassed_tagger_is_a_sequence(telemetry, length):
    """Also of a single token, since the shape does not say that there is never another."""
    attributes, _ = attributes_of(telemetry, Tags(), TOKENS[:, :length])
    assert attributes["keras.model.task"] == "sequence"
    assert "keras.prediction.class" not in attributes


def test_a_task_of_sequence_by_description(telemetry):
    """`task="sequence"` says so where nothing else does; the scale stays unknown."""
    model = keras_otel.describe(Opaques(), task="sequence", labels=["a", "b", "c"])
    attributes, result = attributes_of(telemetry, model, TOKENS)
    assert attributes["keras.model.task"] == "sequence"
    top = np.bincount(result[0].argmax(axis=1), minlength=3)
    assert attributes["keras.prediction.class_counts"][0] == f"{'abc'[top.argmax()]}={top.max()}"
    assert "keras.batch.confidence_mean" not in attributes


def test_values_of_many_positions_never_decide(telemetry):
    """Rows of rank 3 that sum to 1 are opaque where the model states no head."""

    class Weights(Tags):
        def call(self, inputs):
            scores = self.tag(inputs)
            return scores * 0 + 1 / 3

    attributes, _ = attributes_of(telemetry, Weights(), TOKENS)
    assert attributes["keras.model.task"] == "opaque"
    assert attributes["keras.prediction.opaque_reason"] == "no head known"


def test_a_sequence_beside_a_class(telemetry):
    """Joint intent and slots: the class by its name, the slots by their counts."""
    inputs = keras.Input((None, WIDTH))
    intent = layers.Dense(3, activation="softmax", name="intent")(
        layers.GlobalAveragePooling1D()(inputs)
    )
    slots = layers.Dense(4, activation="softmax", name="slots")(inputs)
    p = keras.Model(inputs, {"intent": intent, "slots": slots}).predict_on_batch(TOKENS)
    attributes = telemetry.span().attributes
    assert attributes["keras.output.intent.class_id"] == int(np.asarray(p["intent"]).argmax())
    assert attributes["keras.output.slots.task"] == "sequence"
    counts = [int(c.rpartition("=")[2]) for c in attributes["keras.output.slots.class_counts"]]
    assert sum(counts) == 7
    assert counts == sorted(counts, reverse=True)
    assert "keras.output.slots.class" not in attributes


def test_a_sequence_is_no_upstream_class(telemetry):
    """Later spans carry that the tagger ran, and no class of it."""
    model = tagger(layers.Dense(3, activation="softmax"))
    tracer = telemetry.tracer_provider.get_tracer("app")
    with tracer.start_as_current_span("request"):
        model.predict_on_batch(TOKENS)
        (prediction,) = keras_otel.current_predictions()
    assert prediction.class_name is None
    assert prediction.confidence is None


def test_the_openinference_kind_of_a_sequence(telemetry):
    """A tagger decides as any classifier does."""
    telemetry.instrument(openinference=True)
    attributes, _ = attributes_of(telemetry, tagger(layers.Dense(3, activation="softmax")), TOKENS)
    assert attributes["openinference.span.kind"] == "DECISION"


def test_a_sequence_counts_rows_in_metrics(telemetry):
    """The counter counts a text once, without a class, and not its tokens."""
    attributes_of(telemetry, tagger(layers.Dense(3, activation="softmax")), TOKENS)
    (point,) = telemetry.metrics()["keras.predictions"]
    assert point.value == 1
    assert "keras.prediction.class" not in point.attributes
