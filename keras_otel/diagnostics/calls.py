"""Which calls of models this process has seen, and which it cannot see."""

from __future__ import annotations

import functools
import gc
import types
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from keras_otel.diagnostics.findings import Findings
from keras_otel.inference.seen import TracedModel, inferences, traced_calls
from keras_otel.introspection.registry import models
from keras_otel.options import in_force
from keras_otel.runtimes.discovery import imported

_METHODS: Final = ("predict", "predict_on_batch", "__call__")
_SHOWN: Final = 5


class KeptMethod(NamedTuple):
    """A method of Keras's own that was looked up before it was patched, and is still held."""

    model: Any
    method: str

    @property
    def shown(self) -> str:
        """As the user would write it."""
        return f"{getattr(self.model, 'name', None) or type(self.model).__name__}.{self.method}"


def check_calls(findings: Findings) -> None:
    """How many inferences there were, and the calls that give no span."""
    counts = inferences.snapshot()
    total, recorded = sum(counts.values()), counts.get("recorded", 0)
    text = f"{total} seen, {recorded} with a recorded span" if total else "none seen so far"
    findings.fact("inferences", "Inferences", text, {"seen": total, "recorded": recorded})
    if in_force() is None:
        return
    kept = _report_kept(findings)
    unseen = _report_traced(findings)
    if imported() and not (total or kept or unseen):
        findings.wrong(
            "no inference has been seen in this process yet",
            "Call a model; where one has been called, either it was in another process, or inside "
            "a function that torch.compile or, before instrument(), another compiler has compiled: "
            "wrap that function with keras_otel.traced(fn, model)",
        )


def kept_methods() -> Iterator[KeptMethod]:
    """Bound methods, and partial functions, of a function that a patch has replaced."""
    originals = list(_originals())
    known = set(map(id, originals))
    # Exact types only: asking an object of somebody's what it is may run their code.
    for held in gc.get_referrers(*originals) if originals else ():
        if type(held) is types.MethodType and id(held.__func__) in known:
            yield KeptMethod(held.__self__, held.__func__.__name__)
        elif type(held) is functools.partial and id(held.func) in known and held.args:
            yield KeptMethod(held.args[0], held.func.__name__)


def _originals() -> Iterator[Any]:
    kinds: list[type] = [package.Model for package in imported()]
    while kinds:
        kind = kinds.pop()
        kinds += type.__subclasses__(kind)
        for name in _METHODS:
            original = _original(vars(kind).get(name))
            if original is not None:
                yield original


def _original(function: Any) -> Any:
    """What our wrapper calls; None where the function is no wrapper of ours."""
    module = getattr(function, "__globals__", {}).get("__name__", "")
    return vars(function).get("__wrapped__") if module.startswith("keras_otel.") else None


def _report_kept(findings: Findings) -> bool:
    """Methods that were looked up before they were patched."""
    traced = [f"{t.name}.{t.kept_method}" for t in traced_calls.snapshot() if t.kept_method]
    names = sorted({*(method.shown for method in kept_methods()), *traced})
    if names:
        findings.wrong(
            f"{_some(names)} was looked up before instrument(): its calls are not seen, or only "
            "in part",
            "Call keras_otel.instrument() first, or look the method up again",
        )
    return bool(names)


def _report_traced(findings: Findings) -> bool:
    """Models that were called while a function around them was compiled."""
    alive = [traced for traced in traced_calls.snapshot() if traced.kept_method is None]
    without = sorted({traced.name for traced in alive if not _has_inferences(traced)})
    if without:
        findings.wrong(
            f"0 spans of {_some(without)}: it was only seen inside a compiled function "
            "(tf.function, jax.jit, Dataset.map), which never comes back to Python",
            "Wrap that function: keras_otel.traced(fn, model)",
        )
    beside = sorted({traced.name for traced in alive} - set(without))
    if beside:
        findings.note(
            f"{_some(beside)} was also called while a function around it was compiled. What that "
            "function computes has no span unless it is wrapped: keras_otel.traced(fn, model)"
        )
    return bool(without)


def _has_inferences(traced: TracedModel) -> bool:
    model = traced.model()
    return model is None or bool(models.of(model).seen_operations)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
