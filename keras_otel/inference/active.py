"""The observer of the instrumented process, or None.

Every wrapper looks here first and passes through where it is None. A module of its own, so that
`import keras_otel` needs neither numpy nor a Keras to have it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_otel.inference.observer import Observer

observer: Observer | None = None
