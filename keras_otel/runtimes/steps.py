"""Calls whose result is made later, in steps: coroutines, generators, asynchronous generators.

* A coroutine is one inference, from when it is first awaited until it returns.
* A generator is one inference for each item, from when the item is asked for until it is there.

The call is current only while a step runs: between two steps the context belongs to whoever awaits
or consumes, who may go on in another one, or never. What is thrown into a step goes to the user's
own object, which decides what happens.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from concurrent.futures import Future
from typing import Any, Final

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel.inference import active
from keras_otel.inference.call import Call
from keras_otel.introspection import structures
from keras_otel.introspection.arrays import Place, is_array
from keras_otel.introspection.scope import current

Function = Callable[..., Any]

Begin = Callable[[tuple[Any, ...], dict[str, Any]], Call | None]
"""Makes the call under observation; None where there is nothing to observe."""

_KINDS: Final = frozenset({types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType})


def is_made_in_steps(result: Any) -> bool:
    """True for a coroutine or generator; not for a generator that stands for a coroutine."""
    if type(result) not in _KINDS:
        return False
    return not (isinstance(result, types.GeneratorType) and inspect.isawaitable(result))


def in_steps(begin: Begin, function: Function) -> Function | None:
    """A function of the same kind as `function` that observes its steps; None for a plain one."""
    if inspect.iscoroutinefunction(function):
        return _coroutine_function(begin, function)
    if inspect.isgeneratorfunction(function) and not _is_iterable_coroutine(function):
        return _generator_function(begin, function)
    if inspect.isasyncgenfunction(function):
        return _async_generator_function(begin, function)
    return None


def _is_iterable_coroutine(function: Function) -> bool:
    # Made by `types.coroutine`: a generator function to `inspect`, and awaited all the same.
    code: types.CodeType = inspect.unwrap(function).__code__
    return bool(code.co_flags & inspect.CO_ITERABLE_COROUTINE)


def observed_steps(begin: Begin, made: Any) -> Any:
    """An object of the same kind and name as `made` that observes its steps."""
    function_of: dict[type, Callable[[Begin, Function], Function]] = {
        types.CoroutineType: _coroutine_function,
        types.GeneratorType: _generator_function,
        types.AsyncGeneratorType: _async_generator_function,
    }
    function = function_of[type(made)](begin, lambda: made)
    function.__name__, function.__qualname__ = made.__name__, made.__qualname__
    return function()


def finish(call: Call, result: Any) -> None:
    """Record a call that returned, unless what it returned is still to be computed."""
    observer = active.observer
    if observer is None or (not call.inner and is_promise(result)):
        return
    guarded(semconv.SITE_OBSERVE, observer.finished, call, result)


def is_promise(result: Any) -> bool:
    """True for what computes a prediction later: a callable, an iterator, a future."""
    kind = type(result)
    if is_array(kind):
        return False
    return (
        callable(result)
        or hasattr(kind, "__next__")
        or hasattr(kind, "__anext__")
        or hasattr(kind, "__await__")
        or isinstance(result, Future)
    )


# -- functions ---------------------------------------------------------------------------------


def _coroutine_function(begin: Begin, function: Function) -> Function:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        made: Coroutine[Any, Any, Any] = function(*args, **kwargs)
        call = begin(args, kwargs)
        return await (made if call is None else _awaited(call, made))

    return wrapper


def _generator_function(begin: Begin, function: Function) -> Function:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        made: Generator[Any, Any, Any] = function(*args, **kwargs)
        ask: Any = made.__next__
        try:
            while True:
                try:
                    item = _item(begin(args, kwargs), ask)
                except StopIteration as stop:
                    return stop.value
                try:
                    ask = functools.partial(made.send, (yield item))
                except BaseException as error:  # noqa: BLE001 - handed on to the user's generator
                    ask = functools.partial(made.throw, error)
        finally:
            ask = None  # it may hold the exception whose traceback holds this frame

    return wrapper


def _async_generator_function(begin: Begin, function: Function) -> Function:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        made: AsyncGenerator[Any, Any] = function(*args, **kwargs)
        asked: Any = made.__anext__()
        try:
            while True:
                call = begin(args, kwargs)
                try:
                    item = await (asked if call is None else _awaited(call, asked, _finish_item))
                except StopAsyncIteration:
                    return
                try:
                    asked = made.asend((yield item))
                except BaseException as error:  # noqa: BLE001 - handed on to the user's generator
                    asked = made.athrow(error)
        finally:
            asked = None  # as above

    return wrapper


# -- steps -------------------------------------------------------------------------------------


def _item(call: Call | None, ask: Callable[[], Any]) -> Any:
    """Ask a generator for its next item; the time until it is there is the inference's."""
    if call is None:
        return ask()
    call.start_clock()
    try:
        item = _step(call, ask)
    except BaseException as error:
        _failed(call, error)
        raise
    finally:
        call.is_open = False
    call.stop_clock()
    _finish_item(call, item)
    return item


def _finish_item(call: Call, item: Any) -> None:
    """Record an item that is a prediction: it may be progress, or text on the way."""
    if call.inner or guarded(semconv.SITE_LOOK_AT_AN_ITEM, _holds_arrays, call, item):
        finish(call, item)


def _holds_arrays(call: Call, item: Any) -> bool:
    return any(
        place is not Place.OTHER for _, _, place in structures.named_leaves(item, call.subject)
    )


@types.coroutine
def _awaited(
    call: Call, made: Any, record: Callable[[Call, Any], None] = finish
) -> Generator[Any, Any, Any]:
    """Go through the steps of an awaitable; the time until it is done is the inference's."""
    call.start_clock()
    steps = made.__await__()
    advance: Any = functools.partial(steps.send, None)
    try:
        while True:
            try:
                waited_for = _step(call, advance)
            except StopIteration as stop:
                call.stop_clock()
                record(call, stop.value)
                return stop.value
            except BaseException as error:
                _failed(call, error)
                raise
            try:
                advance = functools.partial(steps.send, (yield waited_for))
            except BaseException as error:  # noqa: BLE001 - handed on to the user's coroutine
                advance = functools.partial(steps.throw, error)
    finally:
        advance = None  # it may hold the exception whose traceback holds this frame
        call.is_open = False


def _step(call: Call, advance: Callable[[], Any]) -> Any:
    token = current.set(call)
    try:
        return advance()
    finally:
        current.reset(token)


def _failed(call: Call, error: BaseException) -> None:
    """Record a step that ended in an exception; the end of a generator is no failure."""
    call.stop_clock()
    observer = active.observer
    if observer is None or isinstance(error, GeneratorExit):
        return
    if isinstance(error, StopIteration | StopAsyncIteration):
        # What it computed after its last item.
        value = getattr(error, "value", None)
        if call.inner or value is not None:
            finish(call, value)
        return
    guarded(semconv.SITE_OBSERVE_A_FAILURE, observer.failed, call, error)
