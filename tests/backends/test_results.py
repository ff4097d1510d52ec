"""What a user's method returns stays the user's: it is read, and never asked to compute."""

from __future__ import annotations

import gc
import weakref
from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest

from keras_otel.introspection.structures import named_leaves, row_count
from tests.backends.models import rows

ARRAY = np.array([[0.25, 0.75]], "float32")


class Calls(list[str]):
    """What was asked of an object."""


class LazyMapping(Mapping[str, Any]):
    """A mapping that computes at every access."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    def __getitem__(self, key: str) -> Any:
        self.calls.append("getitem")
        return ARRAY

    def __iter__(self) -> Any:
        self.calls.append("iter")
        return iter(["a"])

    def __len__(self) -> int:
        self.calls.append("len")
        return 1


class LazySequence(Sequence[Any]):
    """A sequence that computes at every access."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    def __getitem__(self, index: Any) -> Any:
        self.calls.append("getitem")
        return [ARRAY][index]

    def __len__(self) -> int:
        self.calls.append("len")
        return 1


class LazyList(list[Any]):
    """A list that computes where it is iterated."""

    calls: Calls

    def __iter__(self) -> Any:
        self.calls.append("iter")
        return iter([ARRAY])


class LazyDict(dict[str, Any]):
    """A dict that computes where its items are asked for."""

    calls: Calls

    def items(self) -> Any:
        self.calls.append("items")
        return super().items()


class LazyTuple(tuple[Any, ...]):  # noqa: SLOT001 - its calls are noted on it
    """A tuple that computes its length."""

    calls: Calls

    def __len__(self) -> int:
        self.calls.append("len")
        return super().__len__()


class Shaped:
    """A lazy array: its shape and numbers cost a computation."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    @property
    def shape(self) -> tuple[int, ...]:
        self.calls.append("shape")
        return (7,)

    @property
    def dtype(self) -> Any:
        self.calls.append("dtype")
        return np.dtype("float32")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append("array")
        return ARRAY


def with_calls(container: Any, calls: Calls) -> Any:
    container.calls = calls
    return container


LAZY = [
    LazyMapping,
    LazySequence,
    Shaped,
    lambda calls: with_calls(LazyList([ARRAY]), calls),
    lambda calls: with_calls(LazyDict(a=ARRAY), calls),
    lambda calls: with_calls(LazyTuple([ARRAY]), calls),
]


@pytest.mark.parametrize("make", LAZY)
def test_a_lazy_result_is_not_asked(telemetry, make):
    """A result of the user's own class comes back untouched, in an opaque span."""
    calls = Calls()
    result = make(calls)

    class Lazy(keras.Model):
        def predict(self, x):
            return result

    assert Lazy().predict(rows(2)) is result
    assert calls == []
    attributes = telemetry.span().attributes
    assert attributes["keras.model.task"] == "opaque"
    assert type(result).__name__ in attributes["keras.prediction.opaque_reason"]
    assert attributes["keras.batch.size"] == 2


@pytest.mark.parametrize("make", LAZY)
def test_a_lazy_argument_is_not_asked(telemetry, make):
    """Inputs of the user's own class are asked for nothing, whether the call returns or raises."""
    calls = Calls()
    argument = make(calls)

    class Answers(keras.Model):
        def predict(self, x, fails=False):
            if fails:
                raise ValueError("no")
            return "text"

    model = Answers()
    model.predict(argument)
    with pytest.raises(ValueError, match="no"):
        model.predict(argument, fails=True)
    assert calls == []
    assert len(telemetry.spans()) == 2


class Pair(NamedTuple):
    """A named tuple."""

    first: Any
    second: Any


class ModelOutput(OrderedDict[str, Any]):
    """A dict that is indexed by number too, and iterated as any other."""

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else list(self.values())[key]


@pytest.mark.parametrize(
    ("result", "names"),
    [
        (Pair(ARRAY, ARRAY), ["output_0", "output_1"]),
        (namedtuple("Point", "x y")(ARRAY, ARRAY), ["output_0", "output_1"]),  # noqa: PYI024
        (namedtuple("TopK", "values items")(ARRAY, ARRAY), ["output_0", "output_1"]),  # noqa: PYI024
        ([ARRAY, (ARRAY,)], ["output_0", "output_1.output_0"]),
        ({"a": ARRAY, "b": None, 3: ARRAY}, ["a", "3"]),
        (OrderedDict(b=ARRAY, a=ARRAY), ["b", "a"]),
        (defaultdict(list, a=ARRAY, b=[ARRAY]), ["a", "b.output_0"]),
        (ModelOutput(logits=ARRAY, state=ARRAY), ["logits", "state"]),
        ({"only": ARRAY}, [None]),
        (ARRAY, [None]),
        ([], []),
    ],
)
def test_containers_that_are_looked_into(result, names):
    """Built-in containers, and subclasses that leave iteration alone, are their leaves."""
    leaves = named_leaves(result, None)
    assert [leaf.name for leaf in leaves] == names
    assert all(leaf.array is ARRAY for leaf in leaves)
    assert row_count(result) == (1 if names else None)


def test_classes_of_results_are_not_kept(telemetry):
    """A class made for one request is forgotten with it, as is a container class."""

    class Answers(keras.Model):
        def predict(self, x):
            return x

    model = Answers()

    def answer(*bases: type) -> weakref.ref[type]:
        kind = type("Answer", bases, {})
        model.predict(kind())
        return weakref.ref(kind)

    kinds = [answer(), answer(list), answer(dict), answer(tuple)]
    telemetry.spans()
    gc.collect()
    assert [kind() for kind in kinds] == [None] * 4
