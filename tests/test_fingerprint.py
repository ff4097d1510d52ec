"""One fingerprint for one model: the part that knows no Keras."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keras_otel.identity.fingerprint import (
    LENGTH,
    Weight,
    fingerprint,
    is_auto_generated,
    snake_case,
)

ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)
ARCHITECTURE = {
    "class_name": "Sequential",
    "module": "keras",
    "config": {
        "name": "sequential_3",
        "layers": [
            {"class_name": "InputLayer", "config": {"name": "input_1", "batch_shape": [None, 2]}},
            {
                "class_name": "Dense",
                "config": {"name": "dense_7", "units": 3, "activation": "relu", "seed": None},
            },
            {
                "class_name": "Dense",
                "config": {"name": "dense_8", "units": 3, "activation": "softmax"},
            },
            {"class_name": "Dropout", "config": {"name": "spare", "rate": float("nan")}},
        ],
        "output_layers": [["dense_8", 0, 0]],
    },
    "build_config": {"input_shape": [None, 2]},
    "compile_config": {"optimizer": "adam"},
}


def weight(array=ARRAY, name="kernel", dtype="float32"):
    """One weight."""
    return Weight(name=name, dtype=dtype, array=array)


def digest(architecture=ARCHITECTURE, weights=None, vocabularies=()):
    """A fingerprint, with parts left out taken from the example."""
    return fingerprint(architecture, [weight()] if weights is None else weights, vocabularies)


def changed(path, value):
    """The example's architecture with one value changed; None deletes it."""
    architecture = copy.deepcopy(ARCHITECTURE)
    node = architecture
    for key in path[:-1]:
        node = node[key]
    if value is None:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return architecture


def test_its_form():
    """`sha256:` and twelve hex digits."""
    assert re.fullmatch(r"sha256:[0-9a-f]{12}", digest())
    assert LENGTH == 12


def test_its_value():
    """The value itself is a promise: a change of it renames every model that has no version."""
    assert digest() == "sha256:d69be508eae8"


def renumbered(node, by):
    """The architecture of the same model made later in a process that made others."""
    if isinstance(node, dict):
        return {key: renumbered(value, by) for key, value in node.items()}
    if isinstance(node, list):
        return [renumbered(value, by) for value in node]
    if isinstance(node, str):
        return re.sub(
            r"^(sequential|dense|input)_(\d+)$", lambda m: f"{m[1]}_{int(m[2]) + by}", node
        )
    return node


@pytest.mark.parametrize("by", [1, 90])
def test_counters_in_made_up_names_do_not_count(by):
    """The same model built again in one process has other layer names and the same fingerprint."""
    later = renumbered(ARCHITECTURE, by)

    assert later != ARCHITECTURE
    assert digest(later) == digest()


def reordered(node):
    """The same mapping with its keys in the other order."""
    if isinstance(node, dict):
        return {key: reordered(node[key]) for key in reversed(node)}
    return [reordered(value) for value in node] if isinstance(node, list) else node


def test_the_order_of_keys_does_not_count():
    """A configuration is the same whichever key was written first, if its layers come in order."""
    assert digest(reordered(ARCHITECTURE)) == digest()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("config", "layers", 0, "config", "batch_shape"), [32, 2]),
        (("config", "layers", 0, "config", "batch_shape"), None),
        (("build_config",), {"input_shape": [64, 2]}),
        (("build_config",), None),
        (("compile_config",), {"optimizer": "sgd"}),
        (("compile_config",), None),
        (("module",), "keras.src.models.sequential"),
        (("keras_version",), "9.9"),
        (("backend",), "jax"),
        (("config", "layers"), tuple(ARCHITECTURE["config"]["layers"])),
    ],
)
def test_what_says_nothing_of_the_computation_does_not_count(path, value):
    """Batch size, compile and build settings, module paths and tuples for lists change nothing."""
    assert digest(changed(path, value)) == digest()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("config", "layers", 1, "config", "activation"), "tanh"),
        (("config", "layers", 1, "config", "units"), 4),
        (("config", "layers", 1, "class_name"), "EinsumDense"),
        (("config", "layers", 3, "config", "name"), "other"),
        (("config", "layers", 3, "config", "rate"), float("inf")),
        (("config", "layers", 2), None),
        (("config", "output_layers"), [["dense_7", 0, 0]]),
    ],
)
def test_what_changes_the_computation_counts(path, value):
    """Another activation, width, class, chosen name or wiring is another model."""
    assert digest(changed(path, value)) != digest()


@given(
    hnp.arrays(np.float32, hnp.array_shapes(max_dims=3, max_side=4)),
    st.data(),
)
@settings(deadline=None)
def test_any_byte_of_any_weight_counts(array, data):
    """One flipped bit anywhere in the weights is another fingerprint."""
    raw = bytearray(array.tobytes())
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= 1 << data.draw(st.integers(0, 7))
    flipped = np.frombuffer(bytes(raw), np.float32).reshape(array.shape)

    assert digest(weights=[weight(flipped)]) != digest(weights=[weight(array)])


@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float16, np.int8, np.float64]),
        hnp.array_shapes(max_dims=3, max_side=4),
    )
)
@settings(deadline=None)
def test_the_layout_in_memory_does_not_count(array):
    """Fortran order, big-endian bytes and strides hold the same weights."""
    expected = digest(weights=[weight(array)])
    strided = np.repeat(array, 2, axis=-1)[..., ::2]
    read_only = array.copy()
    read_only.flags.writeable = False

    for other in (
        np.asfortranarray(array),
        array.astype(array.dtype.newbyteorder(">")),
        strided,
        read_only,
    ):
        assert digest(weights=[weight(other)]) == expected


@pytest.mark.parametrize(
    "other",
    [
        weight(ARRAY.reshape(3, 2)),
        weight(ARRAY.reshape(6)),
        weight(dtype="bfloat16"),
        weight(ARRAY.astype(np.float64)),
        weight(name="bias"),
    ],
    ids=["shape", "rank", "variable's dtype", "array's dtype", "name"],
)
def test_shape_dtype_and_name_count(other):
    """The same numbers in another shape, dtype or place are other weights."""
    assert digest(weights=[other]) != digest()


def test_number_and_order_of_weights_count():
    """Weights swapped, missing or twice are other weights."""
    one, two = weight(), weight(ARRAY + 1)
    digests = {digest(weights=w) for w in ([one, two], [two, one], [one], [one, one], [])}

    assert len(digests) == 5


def test_a_weight_without_numbers_is_hashed():
    """An empty weight and a single number have fingerprints that differ."""
    digests = {
        digest(weights=[weight(array)])
        for array in (
            np.zeros(0, np.float32),
            np.zeros((0, 2), np.float32),
            np.float32(0) * ARRAY[0, 0],
        )
    }

    assert len(digests) == 3


def test_vocabularies_count():
    """Another word, or the same words in another order, make another model."""
    digests = {digest(vocabularies=v) for v in ([], [["a", "b"]], [["b", "a"]], [["a"], ["b"]])}

    assert len(digests) == 4


def test_an_array_is_not_changed():
    """Weights are hashed in place and not written to."""
    array = ARRAY.copy()
    array.flags.writeable = False

    digest(weights=[weight(array)])

    assert array.tobytes() == ARRAY.tobytes()


@pytest.mark.parametrize(
    ("name", "class_name", "answer"),
    [
        ("dense", "Dense", True),
        ("dense_12", "Dense", True),
        ("my_dense", "Dense", False),
        ("dense_a", "Dense", False),
        ("functional_1", "Functional", True),
        ("model_2", "Functional", True),
        ("model", "Sequential", False),
        ("sequential_3", "Sequential", True),
        ("text_vectorization", "TextVectorization", True),
        ("intent", "Functional", False),
        ("input_layer_4", "InputLayer", True),
        ("input_1", "InputLayer", True),
        ("keras_tensor", "InputLayer", True),
        ("keras_tensor_12", "InputLayer", True),
        ("keras_tensor", "Dense", False),
        ("dense_7_input", "InputLayer", True),
        ("query", "InputLayer", False),
        ("query_input", "Dense", False),
    ],
)
def test_names_that_keras_makes_up(name, class_name, answer):
    """A class's own name with or without a counter is made up, any other was chosen."""
    assert is_auto_generated(name, class_name) is answer


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("Dense", "dense"),
        ("Conv2D", "conv2d"),
        ("TextVectorization", "text_vectorization"),
        ("LSTM", "lstm"),
        ("Conv2DTranspose", "conv2d_transpose"),
        ("GlobalAveragePooling1D", "global_average_pooling1d"),
    ],
)
def test_a_class_name_as_keras_spells_it(name, snake):
    """Class names become layer names as in Keras."""
    assert snake_case(name) == snake
