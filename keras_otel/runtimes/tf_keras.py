"""Keras 2: the `tf_keras` package, or `keras` before version 3."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from keras_otel._patching import PatchSet, Wrap
from keras_otel.identity.fingerprint import Weight
from keras_otel.introspection.variables import TENSORFLOW
from keras_otel.runtimes import assigning, keras_models, overrides
from keras_otel.runtimes.autograph import graph_tracing
from keras_otel.runtimes.wrappers import changing_weights, inference, loading, outside


class _NoContext:
    training = None


class TfKeras:
    """The adapter of an imported Keras 2 package."""

    name = "tf_keras"
    backend = "tensorflow"
    means = TENSORFLOW

    def __init__(self, keras: Any) -> None:
        self._keras = keras
        self.version: str = keras.__version__
        self._package: str = keras.__name__.partition(".")[0]
        # Private, and the only place where Keras 2 says what the layer around a call is called for.
        calls = sys.modules.get(f"{self._package}.src.engine.base_layer_utils")
        self._call_context: Callable[[], Any] = getattr(calls, "call_context", _NoContext)

    # -- what to patch -------------------------------------------------------------------------

    def install(self, patches: PatchSet) -> None:
        """Patch `tf_keras.Model` and the functions behind `load_model`."""
        changing = changing_weights(keras_models.parts)
        tracing = graph_tracing(sys.modules["tensorflow"])
        wraps: dict[str, Wrap] = {
            name: inference(operation, self, tracing=tracing)
            for name, operation in overrides.INFERENCE_METHODS.items()
        }
        wraps |= dict.fromkeys(("evaluate", "test_on_batch", "export", "save"), outside)
        wraps |= dict.fromkeys(("fit", "train_on_batch", "load_weights", "set_weights"), changing)
        model = self._keras.Model
        patches.install(model, {k: w for k, w in wraps.items() if hasattr(model, k)})
        overrides.install(patches, model, self._override)
        for module in (
            f"{self._package}.src.saving.saving_lib",
            f"{self._package}.src.saving.legacy.save",
        ):
            if hasattr(sys.modules.get(module), "load_model"):
                patches.install(sys.modules[module], {"load_model": loading})
        assigning.install_in_tensorflow(patches)

    def _override(self, method: str) -> Wrap:
        return inference(
            overrides.INFERENCE_METHODS[method],
            self,
            tracing=graph_tracing(sys.modules["tensorflow"]),
            is_override=True,
        )

    def owns(self, model: Any) -> bool:
        """True for a Keras 2 model or layer."""
        return isinstance(model, self._keras.layers.Layer)

    # -- what a call is ------------------------------------------------------------------------

    def is_inference(
        self, operation: str, _model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> bool:
        """False under training and inside a graph."""
        if operation == "call":
            if keras_models.asks_for_training(args, kwargs):
                return False
            if "training" not in kwargs and self._is_in_training():
                return False
        return not self.is_building()

    def _is_in_training(self) -> bool:
        """True inside a layer that is called for training: what it calls is, unless it says not."""
        return bool(self._call_context().training)

    def is_building(self) -> bool:
        """True inside a TensorFlow graph."""
        return not sys.modules["tensorflow"].executing_eagerly()

    is_cold = staticmethod(keras_models.is_cold)

    # -- what a model is -----------------------------------------------------------------------

    def architecture(self, model: Any) -> dict[str, Any]:
        """The model's serialised configuration."""
        return keras_models.architecture(model)

    def has_weights(self, _model: Any) -> bool:
        """TensorFlow's variables always have their values."""
        return True

    def weights(self, model: Any) -> Any:
        """Every weight in the order of `model.weights`."""
        return (
            Weight(
                name=v.name,
                dtype=v.dtype.name,
                array=keras_models.in_dtype(v.numpy(), v.dtype.name),
            )
            for v in model.weights
        )

    def weight_bytes(self, model: Any) -> int:
        """Size of all weights, without reading them."""
        return keras_models.weight_bytes(model, lambda dtype: str(dtype.name))

    def variables(self, model: Any) -> Sequence[Any]:
        """The variables behind the weights, in their order."""
        weights: Sequence[Any] = model.weights
        return weights

    def vocabularies(self, model: Any) -> list[list[str]]:
        """Vocabularies of the layers that have one."""
        return keras_models.vocabularies(model)

    def parts(self, model: Any) -> frozenset[int]:
        """The ids of the model and of every layer below it."""
        return keras_models.parts(model)

    def given_name(self, model: Any) -> str | None:
        """The model's name if a person chose it."""
        return keras_models.given_name(model)

    def precision(self, model: Any) -> str | None:
        """What most weighted layers compute in."""
        return keras_models.precision(model, str)

    def source(self, _model: Any) -> str | None:
        """Keras 2 models do not remember their path."""
        return None
