"""Which Keras packages a process has imported, and the adapter of each."""

from __future__ import annotations

import sys
from typing import Any, Final

from keras_otel.introspection.adapter import Adapter, installed

PACKAGES: Final = {"keras": "keras", "tf_keras": "tf-keras"}
"""Distribution of each importable package that an adapter knows."""


def imported() -> list[Any]:
    """The Keras packages that the process has imported so far."""
    return [sys.modules[name] for name in PACKAGES if hasattr(sys.modules.get(name), "Model")]


def adapter_for(package: Any) -> Adapter:
    """The adapter of an imported Keras package, by its version."""
    if int(str(package.__version__).partition(".")[0]) >= 3:
        from keras_otel.runtimes.keras3 import Keras3

        return Keras3(package)
    from keras_otel.runtimes.tf_keras import TfKeras

    return TfKeras(package)


def adapter_of(model: Any) -> Adapter | None:
    """The adapter that a model belongs to, also in a process that is not instrumented."""
    for adapter in installed:
        if adapter.owns(model):
            return adapter
    for package in imported():
        adapter = adapter_for(package)
        if adapter.owns(model):
            return adapter
    return None


def owning_adapter(model: Any, asked_by: str) -> Adapter:
    """The adapter that a model belongs to.

    Args:
        model: What a user says is a model.
        asked_by: The call that needs one, for the message.

    Raises:
        TypeError: No adapter owns it, so that none of its calls would ever be recorded.
    """
    adapter = adapter_of(model)
    if adapter is None:
        raise TypeError(
            f"{asked_by} needs a Keras model or layer, got {type(model).__name__}, whose calls "
            "cannot be recorded: pass the Keras model that makes the predictions; for a SavedModel "
            "pass keras.layers.TFSMLayer(path, call_endpoint='serve')"
        )
    return adapter
