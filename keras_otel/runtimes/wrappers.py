"""Wrappers around a user's calls.

Each is a plain function that calls the original once and returns the original's own object. Nothing
that passes through keras_otel ever becomes the user's result.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel._patching import Wrap, leave
from keras_otel.inference import active
from keras_otel.inference.call import Call
from keras_otel.inference.observer import Observer
from keras_otel.inference.own_outputs import has_own_step, note_shapes
from keras_otel.introspection.adapter import Adapter
from keras_otel.introspection.registry import models
from keras_otel.introspection.scope import Scope, current
from keras_otel.runtimes.autograph import Tracing, not_converted
from keras_otel.runtimes.steps import (
    finish,
    in_steps,
    is_made_in_steps,
    is_promise,
    observed_steps,
)

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
        call.start_clock()
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            call.stop_clock()
            guarded(semconv.SITE_OBSERVE_A_FAILURE, observer.failed, call, error)
            leave(error)
            raise
        call.stop_clock()
        if call.inner is not None or call.operation == "traced":
            finish(call, result)  # a function of the user's, which may return anything
        elif not is_made_in_steps(result):
            guarded(semconv.SITE_OBSERVE, observer.finished, call, result)
        return result
    finally:
        # Also where Ctrl-C lands in our own code: an open scope would silence what follows.
        call.is_open = False
        current.reset(token)


def inference(
    operation: str, runtime: Adapter, *, tracing: Tracing | None = None, is_override: bool = False
) -> Wrap:
    """Wrap a method whose outermost concrete call is an inference.

    Args:
        operation: `predict`, `predict_on_batch` or `call`.
        runtime: The adapter of the model's runtime.
        tracing: The compiler that may follow the Python code. It is asked first and alone, so
            that it sees nothing of ours.
        is_override: True for a subclass's own method, whose result may be anything, and may come
            later. A coroutine function or generator function is replaced by one of its kind.
    """
    method = _Method(operation, runtime, is_override)

    def wrap(original: Function) -> Function:
        stepping = in_steps(method.begin_step, original) if is_override else None
        return not_converted(stepping or _wrapped(method, original, tracing))

    return wrap


class _Method(NamedTuple):
    """A method that is an inference."""

    operation: str
    runtime: Adapter
    is_override: bool

    def begin(
        self, observer: Observer, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Call | None:
        """The call to observe, or None if it cannot be an inference."""
        call = guarded(
            semconv.SITE_BEGIN, observer.begin, self.runtime, self.operation, model, args, kwargs
        )
        if call is None:
            return None
        if self.is_override:
            call.model, call.inner = model, []
        elif self.operation != "call" and guarded(
            semconv.SITE_INSPECT_THE_MODEL, has_own_step, model
        ):
            call.model = model
        return call

    def begin_step(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        """The same where the call runs in steps; None inside another call too."""
        observer = active.observer
        scope = current.get()
        if observer is None or (scope is not None and scope.is_open):
            return None
        return self.begin(observer, args[0], args[1:], kwargs)


def _wrapped(method: _Method, original: Function, tracing: Tracing | None) -> Function:
    # Variables of their own: what torch.compile finds here must be plain functions.
    is_compiling = None if tracing is None or tracing.follow is not None else tracing.is_on
    is_in_graph = None if tracing is None or tracing.follow is None else tracing.is_on
    in_graph = original if tracing is None or tracing.follow is None else tracing.follow(original)

    @functools.wraps(original)
    def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if is_compiling is not None and is_compiling():
            return original(self, *args, **kwargs)
        try:
            if is_in_graph is not None and is_in_graph():
                return in_graph(self, *args, **kwargs)
            observer = active.observer
            if observer is None:
                return original(self, *args, **kwargs)
            scope = current.get()
            if scope is not None and scope.is_open:
                if scope.model is not self:
                    return original(self, *args, **kwargs)
                return _kept(scope, original, self, args, kwargs)
            call = method.begin(observer, self, args, kwargs)
            if call is None:
                return original(self, *args, **kwargs)
            result = observed(observer, call, original, (self, *args), kwargs)
        except BaseException as error:
            leave(error)
            raise
        if not is_made_in_steps(result):
            return result
        return observed_steps(lambda *_: method.begin_step((self, *args), kwargs), result)

    return wrapper


def _kept(
    scope: Scope, original: Function, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """A call inside the same model's overridden method: its result may be the prediction."""
    # Of its own: other threads of the same outer call may be in `scope` as well.
    nested = Scope()  # what it calls in turn is its own business
    token = current.set(nested)
    try:
        result = original(model, *args, **kwargs)
    except BaseException as error:
        leave(error)
        raise
    finally:
        nested.is_open = False
        current.reset(token)
    if scope.inner is None:
        guarded(semconv.SITE_NOTE_SHAPES, note_shapes, model, result)
    elif not is_promise(result):
        scope.inner.append(result)
    return result


def outside(original: Function) -> Function:
    """Wrap a method whose model calls are no inferences: evaluate, test_on_batch, export, save."""

    @functools.wraps(original)
    def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if active.observer is None:
            return original(self, *args, **kwargs)
        scope = Scope()
        token = current.set(scope)
        try:
            return original(self, *args, **kwargs)
        except BaseException as error:
            leave(error)
            raise
        finally:
            scope.is_open = False
            current.reset(token)

    return not_converted(wrapper)


def changing_weights(parts: Callable[[Any], frozenset[int]]) -> Wrap:
    """Wrap a method after which the model is another one: fit, load_weights, quantize."""

    def wrap(original: Function) -> Function:
        scoped = outside(original)

        @functools.wraps(original)
        def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            try:
                return scoped(self, *args, **kwargs)
            except BaseException as error:
                leave(error)
                raise
            finally:
                if active.observer is not None:
                    guarded(semconv.SITE_FORGET_WEIGHTS, models.forget_weights_of, self, parts)

        return not_converted(wrapper)

    return wrap


def loading(load: Function) -> Function:
    """Wrap the function behind `load_model`: note the path, read the card beside it."""

    @functools.wraps(load)
    def wrapper(filepath: Any, *args: Any, **kwargs: Any) -> Any:
        if active.observer is None:
            return load(filepath, *args, **kwargs)
        scope = Scope()
        token = current.set(scope)
        try:
            model = load(filepath, *args, **kwargs)
        except BaseException as error:
            leave(error)
            raise
        finally:
            scope.is_open = False
            current.reset(token)
        guarded(semconv.SITE_NOTE_A_LOADED_MODEL, models.note_loaded, model, filepath)
        return model

    return not_converted(wrapper)
