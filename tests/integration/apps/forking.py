"""Instrument, predict, fork, predict in parent and children, and end.

The first argument names the target; the second how to fork: `os` or `multiprocessing`.
"""

from __future__ import annotations

import multiprocessing
import os
import sys

import keras_otel

keras_otel.instrument(export=sys.argv[1])

import keras  # noqa: E402 - instrumenting comes first, as in a service's first line
import numpy as np  # noqa: E402
from opentelemetry import trace  # noqa: E402

model = keras.Sequential(
    [keras.layers.Input((3,)), keras.layers.Activation("softmax")], name="echo"
)
keras_otel.describe(model, version="7", labels=["before", "parent", "child"])


def predict(label: int) -> None:
    """One inference whose class is the label of this number."""
    model(np.eye(3, dtype="float32")[label : label + 1] * 9)


def fork_with_os() -> None:
    """Fork by hand; the child ends as a program does, so that its exit handlers run."""
    child = os.fork()
    predict(2 if child == 0 else 1)
    if child:
        _, status = os.waitpid(child, 0)
        sys.exit(os.waitstatus_to_exitcode(status))


def predict_and_flush(label: int) -> None:
    """What a multiprocessing child must do: it ends by `os._exit`, without exit handlers."""
    predict(label)
    trace.get_tracer_provider().force_flush()


def fork_with_multiprocessing() -> None:
    """Fork as `multiprocessing` does it."""
    child = multiprocessing.get_context("fork").Process(target=predict_and_flush, args=(2,))
    child.start()
    predict(1)
    child.join()
    sys.exit(child.exitcode)


predict(0)
{"os": fork_with_os, "multiprocessing": fork_with_multiprocessing}[sys.argv[2]]()
