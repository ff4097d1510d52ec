"""Which Keras packages a process has imported, and the adapter of each."""

from __future__ import annotations

import sys
from typing import Any, Final

from keras_otel.runtimes.adapter import Adapter, installed

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
