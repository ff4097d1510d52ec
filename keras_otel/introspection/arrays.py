"""Is this output a concrete array, where does it live, and what are its numbers?

No framework is imported here: a leaf's type says which one it belongs to, and that one is loaded
already. The answer for a type is computed once, and forgotten with the type.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Place(enum.Enum):
    """Where the numbers of a leaf are."""

    HOST = "host"
    DEVICE = "device"
    SYMBOLIC = "symbolic"
    """Nowhere yet: a placeholder or tracer of a function being built."""
    OTHER = "other"
    """Not an array: ragged, sparse, text, a Python object."""


class Pending(Protocol):
    """Numbers on an accelerator that will be there soon."""

    def wait(self) -> Array:
        """Block until the numbers are ready and return them."""
        ...


@dataclass(frozen=True, slots=True)
class _Kind:
    """How to ask the leaves of one type."""

    place: Callable[[Any], Place]
    to_numpy: Callable[[Any], Array] = np.asarray
    has_shape: bool = True
    copied: Callable[[Any], Any] | None = None
    """Copies a leaf whose numbers the program can change; None where it cannot."""


MAX_COPIED_BYTES: Final = 64 * 1024
"""A copy of more would take longer than reading it."""


def place(leaf: Any) -> Place:
    """Where the numbers of `leaf` are."""
    return _kind(leaf).place(leaf)


def is_array(type_: type) -> bool:
    """True of a type whose objects were found to be arrays of a framework."""
    kind = _kinds.get(type_)
    return kind is not None and kind is not _OTHER


def to_numpy(leaf: Any) -> Array:
    """The numbers of a concrete leaf that lives on the host.

    Raises:
        Exception: Whatever the framework raises for an array that it cannot convert.
    """
    return _kind(leaf).to_numpy(leaf)


def kept(leaf: Any) -> Any | None:
    """Return a host leaf as it is now, whatever the program does to it; None if it is too large."""
    copied = _kind(leaf).copied
    if copied is None:
        return leaf
    return copied(leaf) if leaf.nbytes <= MAX_COPIED_BYTES else None


def pending(leaf: Any) -> Pending:
    """A handle on a device leaf, taken without waiting for it.

    The user may change a torch tensor in place after the call, so it is copied on its device, on
    the stream that computes it; TensorFlow's and JAX's arrays never change.
    """
    return _TorchPending(leaf) if _kind(leaf) is _TORCH else _ImmutablePending(leaf)


def has_shape(leaf: Any) -> bool:
    """False for an object of the program's own: asking it for its shape may run code of the user."""
    return _kind(leaf).has_shape


def _kind(leaf: Any) -> _Kind:
    type_ = type(leaf)
    kind = _kinds.get(type_)
    if kind is None:
        kind = _kinds_of_others.get(type_)
    if kind is None:
        kind = _kind_of(type_)
        known = _kinds if type_.__module__.partition(".")[0] in _PACKAGES else _kinds_of_others
        known[type_] = kind
    return kind


class _ImmutablePending:
    __slots__ = ("_leaf",)

    def __init__(self, leaf: Any) -> None:
        self._leaf = leaf

    def wait(self) -> Array:
        return np.asarray(self._leaf)


class _TorchPending:
    __slots__ = ("_copy", "_event")

    def __init__(self, leaf: Any) -> None:
        torch = sys.modules["torch"]
        self._copy = leaf.detach().clone()
        self._event = None
        if leaf.is_cuda:
            self._event = torch.cuda.Event()
            self._event.record(torch.cuda.current_stream(leaf.device))

    def wait(self) -> Array:
        if self._event is not None:
            self._event.synchronize()
        return _torch_to_numpy(self._copy)


def _torch_to_numpy(tensor: Any) -> Array:
    tensor = tensor.detach()
    if tensor.dtype.is_floating_point and tensor.dtype.itemsize < 4:
        tensor = tensor.float()  # numpy has no bfloat16 or float8
    array: Array = tensor.cpu().resolve_neg().numpy()
    return array


# -- what a type is ----------------------------------------------------------------------------


def _numpy_place(leaf: Any) -> Place:
    return Place.OTHER if leaf.dtype.kind in "OSUMm" else Place.HOST


def _tensorflow_place(leaf: Any) -> Place:
    return Place.HOST if "CPU" in leaf.backing_device else Place.DEVICE


def _jax_place(leaf: Any) -> Place:
    # `device` of a sharded array is a Sharding; either way the platform is its devices' own.
    return Place.HOST if all(d.platform == "cpu" for d in leaf.devices()) else Place.DEVICE


def _torch_place(leaf: Any) -> Place:
    torch = sys.modules["torch"]
    if leaf.is_meta or _is_batched(torch, leaf):
        return Place.SYMBOLIC
    if leaf.layout is not torch.strided:
        return Place.OTHER
    return Place.HOST if leaf.device.type == "cpu" else Place.DEVICE


def _is_batched(torch: Any, leaf: Any) -> bool:
    """True under `torch.func.vmap` and `grad`, for which torch has no public question."""
    wrapped: Any = torch._C._functorch.is_functorch_wrapped_tensor(leaf)  # noqa: SLF001
    return bool(wrapped)


_SYMBOLIC = _Kind(lambda _: Place.SYMBOLIC)
_OTHER = _Kind(lambda _: Place.OTHER)
_FOREIGN = _Kind(lambda _: Place.OTHER, has_shape=False)
_NUMPY = _Kind(_numpy_place, copied=lambda leaf: leaf.copy())
_TENSORFLOW = _Kind(_tensorflow_place)
_JAX = _Kind(_jax_place)
_TORCH = _Kind(_torch_place, _torch_to_numpy, copied=lambda leaf: leaf.detach().clone())

# By package and class, most specific first: a subclass is found through its bases.
_BY_NAME = (
    ("keras.KerasTensor", _SYMBOLIC),
    ("tf_keras.KerasTensor", _SYMBOLIC),
    ("keras.OpenVINOKerasTensor", _SYMBOLIC),  # a graph's node; only `predict` computes it
    ("tensorflow.EagerTensor", _TENSORFLOW),
    ("tensorflow.Tensor", _SYMBOLIC),
    ("jax.Tracer", _SYMBOLIC),
    ("jaxlib.Tracer", _SYMBOLIC),
    ("jaxlib.ArrayImpl", _JAX),
    ("jax.ArrayImpl", _JAX),
    ("torch.FakeTensor", _SYMBOLIC),
    ("torch.FunctionalTensor", _SYMBOLIC),
    ("torch.Tensor", _TORCH),
)
# Classes of these packages live as long as the process; those of a program may come and go.
_PACKAGES = frozenset(
    (
        *("builtins", "numpy", "jax", "jaxlib", "tensorflow", "torch", "keras", "tf_keras"),
        *("openvino", "scipy", "pandas", "polars"),
    )
)
_kinds: dict[type, _Kind] = {}
_kinds_of_others: WeakKeyDictionary[type, _Kind] = WeakKeyDictionary()


def _kind_of(type_: type) -> _Kind:
    if issubclass(type_, (np.ndarray, np.generic)):
        return _NUMPY
    packages = [base.__module__.partition(".")[0] for base in type_.__mro__]
    names = {f"{p}.{b.__name__}" for p, b in zip(packages, type_.__mro__, strict=True)}
    found = next((kind for name, kind in _BY_NAME if name in names), None)
    if found is not None:
        return found
    return _OTHER if packages[0] in _PACKAGES else _FOREIGN
