"""A model's fingerprint: the same on every backend, in every process, and after save and load.

SHA-256 over the canonical architecture and every weight. What makes it stable:

* Layer names that Keras generates (`dense_7`) depend on the other models of the process, so each is
  replaced by its class and its order of appearance. Names that a person chose stay.
* The batch size of the first call, and compile and build settings, do not change what the model
  computes and are left out; so are variables' own paths, which change when a model is loaded.
  A weight's path is its place in `model.weights` and its name.
* Numbers are hashed little-endian in C order, in the dtype of the variable.
* Vocabularies are hashed too: Keras keeps them outside weights and configuration.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

LENGTH = 12
"""Hex digits kept: 48 bits. Any two of 10 000 models collide with probability 2e-7."""

_LEFT_OUT = frozenset(
    {
        "build_config",
        "build_input_shape",
        "compile_config",
        "batch_shape",
        "batch_input_shape",
        "module",  # `keras`, `keras.layers` or `keras.src.…`: varies with the Keras release
        "registered_name",
        "backend",
        "keras_version",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """One weight.

    Attributes:
        name: The variable's name.
        dtype: The variable's dtype.
        array: Its numbers, of any shape.
    """

    name: str
    dtype: str
    array: npt.NDArray[Any]


def fingerprint(
    architecture: Mapping[str, Any], weights: Iterable[Weight], vocabularies: Iterable[list[str]]
) -> str:
    """Return `sha256:` and the first 12 hex digits over architecture, weights and vocabularies.

    Args:
        architecture: The model's serialised configuration.
        weights: The weights, in the order of `model.weights`.
        vocabularies: The vocabularies of the layers that have one, in the order of the layers.
    """
    import numpy as np  # loaded by Keras already; `import keras_otel` must not load it

    digest = hashlib.sha256()
    canonical = {"model": canonical_architecture(architecture), "vocabularies": list(vocabularies)}
    digest.update(
        json.dumps(canonical, sort_keys=True, separators=(",", ":"), default=repr).encode()
    )
    for index, weight in enumerate(weights):
        array = np.ascontiguousarray(weight.array)
        if array.dtype.byteorder == ">":
            array = array.astype(array.dtype.newbyteorder("<"))
        header = f"\n{index:06d}/{weight.name} {weight.dtype} {array.shape}\n"
        digest.update(header.encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return f"sha256:{digest.hexdigest()[:LENGTH]}"


def canonical_architecture(architecture: Mapping[str, Any]) -> Any:
    """Return the configuration without what varies between equal models."""
    return _canonical(architecture, _auto_generated_names(architecture))


def is_auto_generated(name: str, class_name: str) -> bool:
    """Return True if Keras would generate this name for an unnamed object of this class.

    Keras names an unnamed `Dense` `dense`, `dense_1`, …; a functional model of Keras 2 is `model`,
    its inputs are `input_1` or `dense_input`; those of a cloned model are `keras_tensor_4`.
    """
    if class_name == "InputLayer" and re.fullmatch(r"input_\d+|.+_input|keras_tensor(_\d+)?", name):
        return True
    bases = {snake_case(class_name)} | (
        {"model"} if class_name in ("Functional", "Model") else set()
    )
    return re.sub(r"_\d+$", "", name) in bases


def snake_case(name: str) -> str:
    """Return a class's name in snake case, as Keras names layers after their class."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _auto_generated_names(architecture: Mapping[str, Any]) -> dict[str, str]:
    names: dict[str, str] = {}
    for class_name, name in _named_objects(architecture):
        if name not in names and is_auto_generated(name, class_name):
            names[name] = f"{snake_case(class_name)}#{len(names)}"
    return names


def _named_objects(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping):
        class_name, config = node.get("class_name"), node.get("config")
        if isinstance(class_name, str) and isinstance(config, Mapping):
            name = config.get("name")
            if isinstance(name, str):
                yield class_name, name
        for key, value in node.items():
            if key not in _LEFT_OUT:
                yield from _named_objects(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _named_objects(value)


def _canonical(node: Any, names: Mapping[str, str]) -> Any:
    if isinstance(node, Mapping):
        return {
            str(key): names.get(value, value)
            if key == "name" and isinstance(value, str)
            else _canonical(value, names)
            for key, value in node.items()
            if key not in _LEFT_OUT
        }
    if isinstance(node, (list, tuple)):
        # [layer name, node index, tensor index]: how a configuration points at another layer
        if len(node) >= 3 and isinstance(node[0], str) and isinstance(node[1], int):
            return [names.get(node[0], node[0]), *(_canonical(value, names) for value in node[1:])]
        return [_canonical(value, names) for value in node]
    if isinstance(node, float) and not math.isfinite(node):
        return repr(node)
    return node
