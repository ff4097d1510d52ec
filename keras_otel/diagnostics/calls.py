"""The calls of models that this process has recorded, and those that it cannot record."""

from __future__ import annotations

import functools
import gc
import types
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from keras_otel._worker import flush_workers
from keras_otel.diagnostics.findings import Findings
from keras_otel.inference.seen import TracedModel, inferences, traced_calls
from keras_otel.introspection.registry import models
from keras_otel.options import in_force
from keras_otel.runtimes.discovery import imported

_RECORD_S: Final = 1.0
"""The longest that pending inferences are waited for."""

_METHODS: Final = ("predict", "predict_on_batch", "__call__")
_MAX_NAMES: Final = 5


class UnpatchedMethod(NamedTuple):
    """A method of Keras's own that was bound before it was patched, and is still referenced."""

    model: Any
    method: str

    @property
    def display_name(self) -> str:
        """Return the method as the program writes it, such as `intent.predict`."""
        return f"{getattr(self.model, 'name', None) or type(self.model).__name__}.{self.method}"


def check_calls(findings: Findings) -> None:
    """Count the inferences of this process, and check for calls that are not recorded."""
    flush_workers(_RECORD_S)  # those that are pending count as well
    counts = inferences.snapshot()
    total, recorded = sum(counts.values()), counts.get("recorded", 0)
    text = f"{total} seen, {recorded} with a recorded span" if total else "none seen so far"
    findings.add_fact("inferences", "Inferences", text, {"seen": total, "recorded": recorded})
    if in_force() is None:
        return
    has_unpatched_methods = _check_unpatched_methods(findings)
    has_compiled_models = _check_compiled_models(findings)
    if imported() and not (total or has_unpatched_methods or has_compiled_models):
        findings.add_problem(
            "no inference has been seen in this process yet",
            "Call a model; where one has been called, it was called in another process, or inside a "
            "function compiled by torch.compile or, before instrument(), by another compiler: wrap "
            "that function with keras_otel.traced(fn, model)",
        )


def unpatched_methods() -> Iterator[UnpatchedMethod]:
    """Yield the bound methods and partial functions of functions that a patch has replaced."""
    originals = list(_patched_originals())
    original_ids = set(map(id, originals))
    # Exact types only: isinstance on an object of the program may run the program's code.
    for referrer in gc.get_referrers(*originals) if originals else ():
        if type(referrer) is types.MethodType and id(referrer.__func__) in original_ids:
            yield UnpatchedMethod(referrer.__self__, referrer.__func__.__name__)
        elif (
            type(referrer) is functools.partial
            and id(referrer.func) in original_ids
            and referrer.args
        ):
            yield UnpatchedMethod(referrer.args[0], referrer.func.__name__)


def _patched_originals() -> Iterator[Any]:
    """Yield the functions that our patches replace, on `Model` and all its subclasses."""
    classes: list[type] = [package.Model for package in imported()]
    while classes:
        model_class = classes.pop()
        classes += type.__subclasses__(model_class)
        for name in _METHODS:
            original = _wrapped_original(vars(model_class).get(name))
            if original is not None:
                yield original


def _wrapped_original(function: Any) -> Any:
    """Return the function that our wrapper calls; None where `function` is no wrapper of ours."""
    module = getattr(function, "__globals__", {}).get("__name__", "")
    return vars(function).get("__wrapped__") if module.startswith("keras_otel.") else None


def _check_unpatched_methods(findings: Findings) -> bool:
    """Report methods that were bound before they were patched; return whether there are any."""
    running = {f"{t.name}.{t.kept_method}" for t in traced_calls.snapshot() if t.kept_method}
    referenced = {method.display_name for method in unpatched_methods()}
    names = sorted(running | referenced)
    if names:
        findings.add_problem(
            f"{_abbreviated(names)} was bound before instrument(): its calls are not recorded, or "
            "only partly",
            "Call keras_otel.instrument() earlier, or look the method up again after it",
        )
    return bool(names)


def _check_compiled_models(findings: Findings) -> bool:
    """Report models called while a function around them was compiled.

    Returns:
        Whether one of them has no inferences at all.
    """
    traced = [model for model in traced_calls.snapshot() if model.kept_method is None]
    never_recorded = sorted({model.name for model in traced if not _has_inferences(model)})
    if never_recorded:
        findings.add_problem(
            f"no spans for {_abbreviated(never_recorded)}: it was called only inside a compiled "
            "function (tf.function, jax.jit, Dataset.map), which runs without Python",
            "Wrap that function: keras_otel.traced(fn, model)",
        )
    partly_recorded = sorted({model.name for model in traced} - set(never_recorded))
    if partly_recorded:
        findings.add_note(
            f"{_abbreviated(partly_recorded)} was also called while a function around it was "
            "compiled. That function's inferences have no span unless it is wrapped: "
            "keras_otel.traced(fn, model)"
        )
    return bool(never_recorded)


def _has_inferences(traced: TracedModel) -> bool:
    model = traced.model()
    return model is None or bool(models.of(model).seen_operations)


def _abbreviated(names: list[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more
