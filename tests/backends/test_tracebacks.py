"""An exception's traceback is the one that the user would see without keras_otel."""

from __future__ import annotations

import traceback

import keras
import numpy as np
import pytest

import keras_otel
from tests.backends.models import IS_EAGER, TRAINS, LabelTexts, classifier, rows


def frames(call):
    """File, function and number of times of each frame of what a call raises."""
    with pytest.raises(Exception) as caught:
        call()
    return [(frame.filename, frame.name) for frame in traceback.extract_tb(caught.tb)]


class Fails(keras.Model):
    """A model whose own code raises."""

    def predict(self, x, **kwargs):
        return self.check(x)

    def check(self, x):
        raise ValueError("no")

    def call(self, inputs):
        return self.check(inputs)


class Mapped(LabelTexts):
    """A model whose override calls Keras's own method, which raises."""

    def call(self, inputs):
        return self.head(inputs)


WRONG = np.ones((1, 9), "float32")

CALLS = {
    "predict": lambda: classifier().predict(WRONG, verbose=0),
    "predict_on_batch": lambda: classifier().predict_on_batch(WRONG),
    "loading": lambda: keras.models.load_model(__file__ + ".keras"),
    "override": lambda: Fails().predict(rows()),
    "override of predict": lambda: Mapped().predict("text"),
}
if IS_EAGER:
    CALLS["call"] = lambda: classifier()(WRONG)
    CALLS["own call"] = lambda: Fails()(rows())
if TRAINS:
    CALLS["fit"] = lambda: classifier().fit(WRONG, np.zeros(1), verbose=0)
    CALLS["evaluate"] = lambda: classifier().evaluate(WRONG, np.zeros(1), verbose=0)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_frame_of_ours_is_in_a_traceback(providers, call):
    """The frames are those of the program and of Keras, all of them and no others."""
    expected = frames(call)
    providers.instrument()
    seen = frames(call)
    keras_otel.uninstrument()
    assert seen == expected
