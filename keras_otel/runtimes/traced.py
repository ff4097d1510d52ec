"""Functions that a user compiled around a model: `tf.function`, `jax.jit`, `torch.compile`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel.inference import active
from keras_otel.introspection.scope import current
from keras_otel.runtimes.discovery import owning_adapter

if TYPE_CHECKING:
    from keras_otel.inference.call import Call

F = TypeVar("F", bound=Callable[..., Any])


def traced(fn: F, model: Any) -> F:
    """Make each concrete call of a compiled function an inference of `model`.

    Args:
        fn: A callable around the model, as made by `tf.function`, `jax.jit` or `torch.compile`.
            It need not be compiled. Its output is read as the model's
            where it has the shape of the model's own.
        model: The Keras model (or `TFSMLayer`) whose predictions it returns.

    Returns:
        `fn` itself behind a transparent proxy: its attributes, such as
        `get_concrete_function` or `lower`, stay reachable.

    Raises:
        TypeError: `fn` is not callable, or `model` is nothing whose calls can be recorded.
    """
    if not callable(fn):
        raise TypeError(
            f"traced(fn, model) needs a callable, got {type(fn).__name__}: "
            "pass the compiled function first, its model second"
        )
    # Neither numpy nor wrapt is loaded by `import keras_otel`.
    from keras_otel.inference.call import Origin
    from keras_otel.inference.own_outputs import selection
    from keras_otel.runtimes.autograph import SilentProxy, graph_tracing
    from keras_otel.runtimes.steps import is_made_in_steps, observed_steps
    from keras_otel.runtimes.wrappers import observed

    adapter = owning_adapter(model, "traced(fn, model)")
    inner = _plain(fn)
    is_itself = _is_itself(inner, model)
    found = None if is_itself else guarded(semconv.SITE_INSPECT_THE_MODEL, selection, inner)
    origin = Origin(is_own=is_itself, selection=found)
    is_first = True
    tracing = (
        graph_tracing(sys.modules["tensorflow"], model) if adapter.backend == "tensorflow" else None
    )

    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        nonlocal is_first
        observer = active.observer
        scope = current.get()
        if observer is None or (scope is not None and scope.is_open):
            return None
        call = guarded(semconv.SITE_BEGIN, observer.begin, adapter, "traced", model, args, kwargs)
        if call is not None:
            call.is_cold, is_first = is_first, False
            call.model, call.origin = model, origin
        return call

    def wrapper(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        nonlocal is_first
        if tracing is not None and tracing.follow is not None and tracing.is_on():
            return tracing.follow(wrapped)(*args, **kwargs)
        observer = active.observer
        call = begin(args, kwargs)
        if observer is None or call is None:
            return wrapped(*args, **kwargs)
        result = observed(observer, call, wrapped, args, kwargs)
        if is_made_in_steps(result):
            is_first = bool(call.is_cold)
            return observed_steps(lambda _args, _kwargs: begin(args, kwargs), result)
        return result

    proxy: Any = SilentProxy(fn, wrapper)
    return cast("F", proxy)


def _plain(fn: Any) -> Any:
    """What was compiled."""
    # tf.function, torch.compile, jax.jit, in that order.
    for attribute in ("python_function", "_orig_mod", "__wrapped__"):
        inner = getattr(fn, attribute, None)
        fn = fn if inner is None else inner
    return fn


def _is_itself(fn: Any, model: Any) -> bool:
    """True if a function is the model and nothing around it."""
    is_method = getattr(fn, "__name__", "") in ("call", "__call__")
    return fn is model or (is_method and getattr(fn, "__self__", None) is model)
