"""What `report()` says about calls without a span, in real programs."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

PROGRAM = """
import functools, sys
import numpy as np, keras, keras_otel
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from keras_otel.diagnostics import report

x = np.ones((1, 3), "float32")
SECRET = "http://me:s3cret@127.0.0.1:9"

def instrument(**options):
    keras_otel.instrument(**{"export": "file:/dev/null", **options})

class Own(keras.Model):
    def __init__(self):
        super().__init__(name="own")
        self.head = keras.layers.Dense(3, activation="softmax")
    def call(self, x):
        return self.head(x)
    def predict(self, x):
        return super().predict(x, verbose=0)

model = keras.Sequential(
    [keras.layers.Input((3,)), keras.layers.Dense(3, activation="softmax")], name="intent"
)

def compiled(model):
    import jax
    return jax.jit(lambda rows: model(rows))
"""

COMPILED = "no spans for intent: it was called only inside a compiled function"
BOUND_BEFORE = "was bound before instrument()"
NO_INFERENCE = "no inference has been seen in this process yet"


@pytest.fixture
def report(environ):
    """The report of a program that starts with `PROGRAM`."""

    def run(code: str, backend: str = "numpy") -> str:
        child = subprocess.run(
            [sys.executable, "-c", f"{PROGRAM}\n{code}\nprint(report())"],
            env={**environ, "KERAS_BACKEND": backend},
            capture_output=True,
            text=True,
            check=False,
        )
        assert child.returncode == 0, child.stderr
        return child.stdout

    return run


def summary(text: str) -> str:
    """Return how many problems the first line counts."""
    return text.splitlines()[0].rpartition(": ")[2]


def test_a_program_that_predicts_is_fine(report):
    """Inferences are counted, and there is no problem."""
    text = report("instrument(); model.predict(x, verbose=0); model(x); Own().predict(x)")
    assert summary(text) == "no problems found"
    assert "Inferences     3 seen, 3 with a recorded span" in text


def test_a_program_that_has_not_predicted(report):
    """That no inference has been seen is a problem."""
    text = report("instrument()")
    assert summary(text) == "1 problem found"
    assert NO_INFERENCE in text
    assert "Inferences     none seen so far" in text


@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("instrument(); f = compiled(model); f(x); f(x)", COMPILED),
        ("instrument(); compiled(Own())(x)", COMPILED.replace("intent", "own")),
        ("f = compiled(model); f(x); instrument(); f(x)", NO_INFERENCE),
        (
            "p = model.predict_on_batch; instrument(); p(x)",
            f"intent.predict_on_batch {BOUND_BEFORE}",
        ),
    ],
)
def test_compiled_functions_and_bound_methods_on_jax(report, code, message):
    """The only problem names the model, the cause and the fix."""
    text = report(code, "jax")
    assert summary(text) == "1 problem found"
    assert message in text
    assert "keras_otel.traced(fn, model)" in text or BOUND_BEFORE in text


@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
def test_a_traced_function_is_no_problem_and_one_beside_others_is_noted(report):
    """`traced` solves the problem; for a model that is also called elsewhere there is only a note."""
    text = report("instrument(); f = keras_otel.traced(compiled(model), model); f(x); f(x)", "jax")
    assert summary(text) == "no problems found"
    assert "2 seen, 2 with" in text
    text = report("instrument(); model(x); compiled(model)(x)", "jax")
    assert summary(text) == "no problems found"
    assert "intent was also called while a function around it was compiled" in text


@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
def test_what_keras_compiles_itself_is_no_problem(report):
    """Building, training, evaluating and predicting trace models, which is not reported."""
    code = (
        "instrument(); model.compile('sgd', 'mse'); y = np.ones((1, 3));"
        "model.fit(x, y, verbose=0); model.evaluate(x, y, verbose=0); model.predict(x, verbose=0);"
        "own = Own(); own.build((None, 3)); keras.models.clone_model(model)"
    )
    text = report(code, "jax")
    assert summary(text) == "no problems found", text
    assert "compiled" not in text


@pytest.mark.skipif(find_spec("tensorflow") is None, reason="TensorFlow is not installed")
def test_compiled_functions_and_bound_methods_on_tensorflow(report):
    """A tf.function is noticed as it is traced, and a method bound before by what it calls."""
    code = "instrument(); import tensorflow as tf; f = tf.function(model); f(tf.ones((1, 3)))"
    assert COMPILED in report(code, "tensorflow")
    code = "p = model.predict; instrument(); p(x, verbose=0); del p"
    assert f"intent.predict {BOUND_BEFORE}" in report(code, "tensorflow")


def test_methods_bound_before_are_named(report):
    """A referenced method of Keras's, or of a subclass, from before instrumenting is reported."""
    text = report(
        "own = Own(); kept = [model.predict, own.predict, {'x': model.__call__},"
        "functools.partial(own.predict_on_batch, x),"
        "functools.partial(keras.Model.predict_on_batch, model)]; instrument(); model(x)"
    )
    assert summary(text) == "1 problem found"
    names = ["intent.__call__", "intent.predict", "intent.predict_on_batch"]
    assert f"{', '.join([*names, 'own.predict', 'own.predict_on_batch'])} {BOUND_BEFORE}" in text


def test_a_method_bound_afterwards_is_no_problem(report):
    """A method bound after instrumenting is recorded at every call."""
    text = report("instrument(); kept = model.predict_on_batch; kept(x)")
    assert summary(text) == "no problems found"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("keras_otel.instrument()", "no OpenTelemetry SDK is set up"),
        (
            "trace.set_tracer_provider(TracerProvider()); instrument()",
            "export=file:/dev/null is not used for spans",
        ),
        (
            "trace.set_tracer_provider(TracerProvider()); instrument(export=SECRET)",
            "export=http://127.0.0.1:9 is not used for spans",
        ),
        ("instrument(); instrument(max_rows=4)", "instrument() was called again with other"),
        (
            "keras_otel.instrument(); instrument()",
            "instrument() was called again with other options (export)",
        ),
    ],
)
def test_spans_that_go_nowhere_are_a_problem(report, code, message):
    """A target or an option that is not used is always reported."""
    text = report(f"{code}; model(x)")
    assert summary(text) != "no problems found"
    assert message in text
    assert "s3cret" not in text


def test_the_same_options_twice_are_no_problem(report):
    """A second call that changes nothing is not reported."""
    assert summary(report("instrument(); instrument(); model(x)")) == "no problems found"


def test_the_order_of_propagators_in_the_process(report):
    """Propagators that a program sets itself are checked as well."""
    code = """
from opentelemetry import propagate
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from keras_otel.propagation.baggage import KerasPropagator
parts = [TraceContextTextMapPropagator(), KerasPropagator(), W3CBaggagePropagator()]
propagate.set_global_textmap(CompositePropagator(parts))
instrument(); model(x)
"""
    text = report(code)
    assert "Propagators    tracecontext, keras, baggage" in text
    assert "keras comes before baggage" in text
