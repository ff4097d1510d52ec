"""What was seen of the calls of models, for whoever asks why there are no spans."""

from __future__ import annotations

import sys
import threading
import weakref
from typing import Any, Final, NamedTuple

from keras_otel._guard import SiteCounts

inferences: Final = SiteCounts()
"""How many inferences there were, by what became of them: `recorded`, `not sampled`."""

_MAX_MODELS: Final = 64
_MAX_FRAMES: Final = 100


class TracedModel(NamedTuple):
    """A model that was called while a function around it was compiled.

    Attributes:
        model: The model, or what is left of it.
        name: Its own name.
        calls: How often.
        kept_method: The method of Keras's that called it, which was looked up before it was patched.
    """

    model: weakref.ref[Any]
    name: str
    calls: int
    kept_method: str | None


class TracedCalls:
    """Calls whose result was symbolic: the function around them never comes back to Python."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: dict[int, TracedModel] = {}

    def note(self, model: Any, kwargs: dict[str, Any]) -> None:
        """Note one, unless it is training. Runs once for each compilation."""
        if kwargs.get("training"):
            return
        kept = _calling_method(model)
        with self._lock:
            known = self._models.get(id(model))
            if known is not None and known.model() is model:
                self._models[id(model)] = known._replace(calls=known.calls + 1)
            elif len(self._models) < _MAX_MODELS:
                name = str(getattr(model, "name", None) or type(model).__name__)
                self._models[id(model)] = TracedModel(weakref.ref(model), name, 1, kept)

    def snapshot(self) -> tuple[TracedModel, ...]:
        """All so far."""
        with self._lock:
            return tuple(self._models.values())


def _calling_method(model: Any) -> str | None:
    """The method of Keras's trainer that is running below this call for this model, if any."""
    frame = sys._getframe(1)  # noqa: SLF001 - public but for its name
    for _ in range(_MAX_FRAMES):
        if frame.f_back is None:
            return None
        frame = frame.f_back
        code = frame.f_code
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        if package in ("keras", "tf_keras") and code.co_name in ("predict", "predict_on_batch"):
            return code.co_name if frame.f_locals.get("self") is model else None
    return None


traced_calls: Final = TracedCalls()
