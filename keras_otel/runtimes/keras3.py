"""Keras 3 on TensorFlow, JAX, PyTorch, numpy and OpenVINO."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from keras_otel._forks import run_in_child
from keras_otel._patching import PatchSet, Wrap
from keras_otel.identity.fingerprint import Weight
from keras_otel.introspection import arrays
from keras_otel.introspection.arrays import Place
from keras_otel.introspection.assignments import assignments
from keras_otel.introspection.variables import BY_ASSIGNMENT, OF_BACKEND
from keras_otel.runtimes import assigning, keras_models, overrides
from keras_otel.runtimes.autograph import Tracing, graph_tracing
from keras_otel.runtimes.wrappers import changing_weights, inference, loading, outside


class _TensorFlowIfLoaded:
    """Keras's handle on TensorFlow, without importing it in order to ask."""

    def __init__(self, tensorflow: Any) -> None:
        self._tensorflow = tensorflow

    @property
    def available(self) -> bool:
        return "tensorflow" in sys.modules and self._tensorflow.available

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tensorflow, name)


class _TensorFlowOnlyIfLoaded:
    """Serialise a model without importing TensorFlow into a process that runs without it.

    Keras looks whether an object is one of TensorFlow's, and imports TensorFlow for that (two
    seconds) wherever it is installed. An object of a package that is not loaded cannot exist, so
    the answer is the same, for other threads that serialise meanwhile too.
    """

    def __init__(self) -> None:
        self._reset()
        run_in_child(self._reset)

    def _reset(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()
        self._module = sys.modules.get("keras.src.saving.serialization_lib")
        self._original = getattr(self._module, "tf", None)
        if self._module is not None and hasattr(type(self._original), "available"):
            self._module.tf = _TensorFlowIfLoaded(self._original)  # type: ignore[attr-defined]

    def __exit__(self, *_: object) -> None:
        if self._module is not None and self._original is not None:
            self._module.tf = self._original  # type: ignore[attr-defined]
        self._lock.release()


_tensorflow_only_if_loaded = _TensorFlowOnlyIfLoaded()


class Keras3:
    """The adapter of an imported `keras` package of version 3."""

    name = "keras"

    def __init__(self, keras: Any) -> None:
        self._keras = keras
        self.version: str = keras.__version__
        self.backend: str = keras.backend.backend()
        self.means = OF_BACKEND.get(self.backend, BY_ASSIGNMENT)
        # Private, and the only place where Keras says that a layer is being built or that a layer
        # outside any model is calling; both are also told by the results on most backends.
        state = sys.modules.get("keras.src.backend.common.global_state")
        self._global_attribute: Callable[[str], Any] = getattr(
            state, "get_global_attribute", lambda _: None
        )

    # -- what to patch -------------------------------------------------------------------------

    def install(self, patches: PatchSet) -> None:
        """Patch `keras.Model`, `TFSMLayer` and the functions behind `load_model`."""
        changing = changing_weights(keras_models.parts)
        wraps: dict[str, Wrap] = {
            name: self._inference(name) for name in overrides.INFERENCE_METHODS
        }
        wraps |= dict.fromkeys(("evaluate", "test_on_batch", "export", "save"), outside)
        wraps |= dict.fromkeys(
            ("fit", "train_on_batch", "load_weights", "set_weights", "quantize", "set_state_tree"),
            changing,
        )
        model = self._keras.Model
        patches.install(model, {k: w for k, w in wraps.items() if hasattr(model, k)})
        overrides.install(patches, model, self._override)
        tfsm = getattr(self._keras.layers, "TFSMLayer", None)
        if tfsm is not None:
            patches.install(tfsm, {"__call__": self._inference("__call__")})
        for module, function in (
            ("keras.src.saving.saving_lib", "load_model"),
            ("keras.src.legacy.saving.legacy_h5_format", "load_model_from_hdf5"),
        ):
            # Where `load_model` looks them up at each call, so that a name imported before
            # instrumenting is reached too.
            if hasattr(sys.modules.get(module), function):
                patches.install(sys.modules[module], {function: loading})
        self._install_on_variables(patches)

    def _install_on_variables(self, patches: PatchSet) -> None:
        """Patch what gives a variable its values."""
        assignments.interrupt()
        variable = self._keras.Variable
        is_torch = self.backend == "torch"
        tracing = sys.modules["torch"].compiler.is_compiling if is_torch else None
        patches.install(variable, {"__init__": assigning.creation(tracing)})
        if self.backend == "tensorflow":
            assigning.install_in_tensorflow(patches)
        elif hasattr(variable, "_direct_assign"):
            patches.install(variable, {"_direct_assign": assigning.keras_assignment(tracing)})
        if hasattr(self._keras.Model, "jax_state_sync"):
            patches.install(self._keras.Model, {"jax_state_sync": assigning.syncing})

    def _inference(self, method: str) -> Wrap:
        return inference(overrides.INFERENCE_METHODS[method], self, tracing=self._tracing())

    def _override(self, method: str) -> Wrap:
        return inference(
            overrides.INFERENCE_METHODS[method], self, tracing=self._tracing(), is_override=True
        )

    def _tracing(self) -> Tracing | None:
        if self.backend == "tensorflow":
            return graph_tracing(sys.modules["tensorflow"])
        if self.backend == "torch":
            # The function itself, and not a wrapper of ours: torch.compile knows and folds it.
            return Tracing(sys.modules["torch"].compiler.is_compiling)
        return None

    def owns(self, model: Any) -> bool:
        """True for a Keras 3 model or layer."""
        return isinstance(model, self._keras.Layer)

    # -- what a call is ------------------------------------------------------------------------

    def is_inference(
        self, operation: str, _model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> bool:
        """False under training, while a layer is built, and when tracing for TorchScript."""
        if self.backend == "torch" and sys.modules["torch"].jit.is_tracing():
            return False
        if operation != "call":
            return True
        if keras_models.asks_for_training(args, kwargs):
            return False
        if "training" not in kwargs and self._is_in_training():
            return False
        return self._global_attribute("symbolic_scope") is None

    def _is_in_training(self) -> bool:
        """True inside a layer that is called for training: what it calls is, unless it says not."""
        context = self._global_attribute("current_call_ctx")
        return bool(context is not None and getattr(context, "training", None))

    def is_building(self) -> bool:
        """True inside a TensorFlow graph, whatever the arguments look like."""
        tensorflow = sys.modules.get("tensorflow")
        return (
            self.backend == "tensorflow"
            and tensorflow is not None
            and not tensorflow.executing_eagerly()
        )

    is_cold = staticmethod(keras_models.is_cold)

    # -- what a model is -----------------------------------------------------------------------

    def architecture(self, model: Any) -> dict[str, Any]:
        """The model's serialised configuration."""
        with _tensorflow_only_if_loaded:
            return keras_models.architecture(model)

    def has_weights(self, model: Any) -> bool:
        """False on JAX after a `predict` that raised: Keras has taken the variables' values then."""
        return all(getattr(v, "_value", v) is not None for v in model.weights)

    def weights(self, model: Any) -> Any:
        """Every weight in the order of `model.weights`."""
        return (
            Weight(name=name, dtype=dtype, array=keras_models.in_dtype(array, dtype))
            for name, dtype, array in (
                (v.name, self._dtype_name(v.dtype), self._numbers(v)) for v in model.weights
            )
        )

    def _numbers(self, variable: Any) -> Any:
        value = variable.value
        if self.backend == "tensorflow":
            return value.numpy()  # np.asarray of a tf.Variable warns with numpy 2
        if arrays.place(value) in (Place.HOST, Place.DEVICE):
            return arrays.to_numpy(value)
        return self._keras.ops.convert_to_numpy(variable)

    def weight_bytes(self, model: Any) -> int:
        """Size of all weights, without reading them."""
        return keras_models.weight_bytes(model, self._dtype_name)

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
        return keras_models.precision(model, self._dtype_name)

    def source(self, model: Any) -> str | None:
        """Where a SavedModel layer was loaded from: it keeps its own path."""
        return keras_models.saved_model_path(model)

    def _dtype_name(self, dtype: Any) -> str:
        return str(self._keras.backend.standardize_dtype(dtype))
