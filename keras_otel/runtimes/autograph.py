"""Keeping AutoGraph, and compilers like it, out of keras_otel's own functions.

AutoGraph rewrites the source of every Python function on its way into a `tf.function`. It must
leave our wrappers alone, and go on into a user's method beneath as it would without us.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import wrapt

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel._patching import leave
from keras_otel.inference import active
from keras_otel.inference.own_outputs import note_shapes
from keras_otel.inference.seen import traced_calls
from keras_otel.introspection.scope import current

Function = Callable[..., Any]


class Tracing(NamedTuple):
    """A compiler that follows Python code in order to compile it.

    Attributes:
        is_on: True while it does. Asked before anything else.
        follow: What is called then instead of an original; None for the original itself, and then
            nothing else stands around it: torch.compile follows the wrapper too.
    """

    is_on: Callable[[], bool]
    follow: Callable[[Function], Function] | None = None


class SilentProxy(wrapt.FunctionWrapper):  # type: ignore[type-arg,unused-ignore]  # wrapt 1 takes none
    """A proxy around a user's function; AutoGraph warns of any other that wrapt makes."""

    autograph_info__: ClassVar[dict[str, Any]] = {}


def graph_tracing(tensorflow: Any, model: Any = None) -> Tracing:
    """TensorFlow, which traces wherever it does not execute eagerly.

    Args:
        tensorflow: The imported package.
        model: The model that is called; None for the first argument of each call.
    """
    executing_eagerly: Callable[[], bool] = tensorflow.executing_eagerly

    def follow(original: Function) -> Function:
        @functools.wraps(original)
        def in_graph(*args: Any, **kwargs: Any) -> Any:
            scope = current.get()
            called = args[0] if model is None else model
            if active.observer is not None and (scope is None or not scope.is_open):
                guarded(semconv.SITE_NOTE_A_TRACED_CALL, traced_calls.note, called, kwargs)
            try:
                result = converted_as_its_caller(tensorflow, original)(*args, **kwargs)
            except BaseException as error:
                leave(error)
                raise
            if scope is not None and scope.is_open and scope.model is called:
                guarded(semconv.SITE_NOTE_SHAPES, note_shapes, scope.model, result)
            return result

        return not_converted(in_graph)

    return Tracing(lambda: not executing_eagerly(), follow)


def converted_as_its_caller(tensorflow: Any, function: Function) -> Function:
    """What AutoGraph would make of a user's function where it is called now."""
    if not isinstance(function, types.FunctionType | types.MethodType):
        return function  # compiled already
    if (function.__module__ or "").partition(".")[0] in ("keras", "tf_keras"):
        return function  # AutoGraph leaves Keras itself as it is
    autograph = tensorflow.__internal__.autograph
    converted: Function = autograph.tf_convert(function, autograph.control_status_ctx())
    return converted


def not_converted(wrapper: Any) -> Function:
    """Make a wrapper one that AutoGraph calls as it is, silently, and in the context that it has.

    AutoGraph passes code without a source file by. It looks for its own mark, `autograph_info__`,
    only on what is called, which may be a model; and where it finds it, it forgets whether the
    user's methods beneath are to be converted.
    """
    code: types.CodeType = wrapper.__code__
    # The name is what a traceback shows then.
    wrapper.__code__ = code.replace(co_filename="<string>", co_name="keras_otel_wrapper")
    function: Function = wrapper
    return function
