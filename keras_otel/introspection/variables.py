"""How the variables of each backend can be seen to have other values than before."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from weakref import ref

import numpy as np

SAMPLE_SIZE: Final = 1024
"""Numbers of each weight that are looked at where assignments may go unseen."""


Ref = ref[Any]
"""A variable, for as long as the model holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """Ways to see that a variable changed, from cheap to dear.

    Attributes:
        keys: What `assignments` knows the variable by.
        count: The changes in place of all variables together, which only ever grow; None where
            the framework counts none.
        sample: A checksum of some of its numbers; None where arrays never change in place.
        is_on_host: False if reading a number may wait for an accelerator.
    """

    keys: Callable[[Any], Sequence[int]] = lambda variable: (id(variable),)
    count: Callable[[Sequence[Ref]], int] | None = None
    sample: Callable[[Any], int] | None = None
    is_on_host: Callable[[Any], bool] = lambda _: True


def _stride(size: int) -> int:
    return max(1, -(-size // SAMPLE_SIZE))


def _checksum(array: Any) -> int:
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


# -- numpy -------------------------------------------------------------------------------------


def _numpy_sample(variable: Any) -> int:
    array = np.asarray(variable._value)  # noqa: SLF001 - `value` may cast it
    return _checksum(array.reshape(-1)[:: _stride(array.size)])


# -- PyTorch -----------------------------------------------------------------------------------


def _torch_count(variables: Sequence[Ref]) -> int:
    try:  # all at once, as this runs at every inference; torch has no public counter
        return sum([ref()._value._version for ref in variables])  # type: ignore[union-attr]  # noqa: SLF001
    except (AttributeError, RuntimeError):
        return sum(_torch_version(ref()) for ref in variables)


def _torch_version(variable: Any) -> int:
    try:
        version: int = variable._value._version  # noqa: SLF001 - as above
    except (AttributeError, RuntimeError):  # gone, or made in inference mode
        return 0
    return version


def _torch_sample(variable: Any) -> int:
    torch = sys.modules["torch"]
    tensor = variable._value.detach()  # noqa: SLF001 - `value` may cast it
    some = tensor.reshape(-1)[:: _stride(tensor.numel())].contiguous()
    return _checksum(some.view(torch.uint8).cpu().numpy())


# -- TensorFlow --------------------------------------------------------------------------------


def _parts(variable: Any) -> Sequence[Any]:
    """TensorFlow's variables behind one of Keras: one, or one on each device."""
    value = getattr(variable, "_value", variable)
    return getattr(value, "values", None) or (value,)


def _tensorflow_keys(variable: Any) -> Sequence[int]:
    return [id(part.handle) for part in _parts(variable)]


def _tensorflow_sample(variable: Any) -> int:
    tensorflow = sys.modules["tensorflow"]
    part = _parts(variable)[0]
    # Without the copy that `read_value` makes.
    tensor = tensorflow.raw_ops.ReadVariableOp(resource=part.handle, dtype=part.dtype)
    stride = _stride(tensor.shape.num_elements())
    if "CPU" in tensor.device:
        return _checksum(_tensorflow_numbers(tensor).reshape(-1)[::stride])
    return _checksum(tensorflow.reshape(tensor, [-1])[::stride].numpy())


def _tensorflow_numbers(tensor: Any) -> Any:
    try:
        return np.asarray(memoryview(tensor))  # not copied
    except (BufferError, TypeError, ValueError):
        return tensor.numpy()


NUMPY: Final = Means(sample=_numpy_sample)
TORCH: Final = Means(
    count=_torch_count,
    sample=_torch_sample,
    is_on_host=lambda variable: variable._value.device.type == "cpu",  # noqa: SLF001 - as above
)
TENSORFLOW: Final = Means(
    keys=_tensorflow_keys,
    sample=_tensorflow_sample,
    is_on_host=lambda variable: "CPU" in _parts(variable)[0].device,
)
BY_ASSIGNMENT: Final = Means()
"""JAX and OpenVINO: an array is never written to, a variable gets another one."""

OF_BACKEND: Final = {"numpy": NUMPY, "torch": TORCH, "tensorflow": TENSORFLOW}
