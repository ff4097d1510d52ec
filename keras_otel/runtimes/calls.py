"""Wrappers around a user's calls.

Each is a plain function that calls the original once and returns the original's own object. Nothing
that passes through keras_otel ever becomes the user's result.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

from keras_otel import _active
from keras_otel._call import Call
from keras_otel._guard import guarded
from keras_otel._models import models
from keras_otel._observer import Observer
from keras_otel._patching import Wrap
from keras_otel._scope import Scope, current
from keras_otel.runtimes.adapter import Adapter

Function = Callable[..., Any]


def observed(
    observer: Observer,
    call: Call,
    original: Function,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Call the original once, give back its own object or exception, and record it."""
    token = current.set(call)
    try:
        call.start_ns = time.time_ns()
        started = time.perf_counter_ns()
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            call.duration_s = (time.perf_counter_ns() - started) / 1e9
            guarded("observe a failure", observer.failed, call, error)
            raise
        call.duration_s = (time.perf_counter_ns() - started) / 1e9
        guarded("observe", observer.finished, call, result)
        return result
    finally:
        # Also where Ctrl-C lands in our own code: an open scope would silence what follows.
        call.is_open = False
        current.reset(token)


def inference(
    operation: str,
    runtime: Adapter,
    *,
    is_override: bool = False,
    is_tracing: Callable[[], bool] | None = None,
) -> Wrap:
    """Wrap a method whose outermost concrete call is an inference.

    Args:
        operation: `predict`, `predict_on_batch` or `call`.
        runtime: The adapter of the model's runtime.
        is_override: True for a subclass's own method, whose result may be anything.
        is_tracing: True while a compiler follows the Python code. It is asked first and alone,
            so that torch.compile sees nothing of ours.
    """

    def wrap(original: Function) -> Function:
        @functools.wraps(original)
        def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            if is_tracing is not None and is_tracing():
                return original(self, *args, **kwargs)
            observer = _active.observer
            if observer is None:
                return original(self, *args, **kwargs)
            scope = current.get()
            if scope is not None and scope.is_open:
                if scope.model is not self:
                    return original(self, *args, **kwargs)
                return _kept(scope, original, self, args, kwargs)
            call = guarded("begin", observer.begin, runtime, operation, self, args, kwargs)
            if call is None:
                return original(self, *args, **kwargs)
            if is_override:
                call.model, call.inner = self, []
            return observed(observer, call, original, (self, *args), kwargs)

        return _marked(wrapper)

    return wrap


def _kept(
    scope: Scope, original: Function, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """A call inside the same model's overridden method: its result may be the prediction."""
    scope.model = None  # what it calls in turn is its own business
    try:
        result = original(model, *args, **kwargs)
    finally:
        scope.model = model
    if scope.inner is not None:
        scope.inner.append(result)
    return result


def outside(original: Function) -> Function:
    """Wrap a method whose model calls are no inferences: evaluate, test_on_batch, export, save."""

    @functools.wraps(original)
    def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if _active.observer is None:
            return original(self, *args, **kwargs)
        scope = Scope()
        token = current.set(scope)
        try:
            return original(self, *args, **kwargs)
        finally:
            scope.is_open = False
            current.reset(token)

    return _marked(wrapper)


def changing_weights(parts: Callable[[Any], frozenset[int]]) -> Wrap:
    """Wrap a method after which the model is another one: fit, load_weights, quantize."""

    def wrap(original: Function) -> Function:
        scoped = outside(original)

        @functools.wraps(original)
        def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            try:
                return scoped(self, *args, **kwargs)
            finally:
                if _active.observer is not None:
                    guarded("forget weights", models.forget_weights_of, self, parts)

        return _marked(wrapper)

    return wrap


def loading(load: Function) -> Function:
    """Wrap the function behind `load_model`: note the path, read the card beside it."""

    @functools.wraps(load)
    def wrapper(filepath: Any, *args: Any, **kwargs: Any) -> Any:
        if _active.observer is None:
            return load(filepath, *args, **kwargs)
        scope = Scope()
        token = current.set(scope)
        try:
            model = load(filepath, *args, **kwargs)
        finally:
            scope.is_open = False
            current.reset(token)
        guarded("note a loaded model", models.note_loaded, model, filepath)
        return model

    return _marked(wrapper)


def _marked(wrapper: Function) -> Function:
    # AutoGraph rewrites the source of every Python function on its way into a tf.function, unless
    # it carries this attribute; what the user's own `call` gets is then as without us.
    wrapper.autograph_info__ = {}  # type: ignore[attr-defined]  # a function takes attributes
    return wrapper
