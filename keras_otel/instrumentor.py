"""Switching the instrumentation on and off."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection
from importlib import metadata
from typing import Any

import wrapt
from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,  # the module opts out of type checking
)

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel._patching import PatchSet
from keras_otel.inference import active
from keras_otel.introspection.adapter import installed
from keras_otel.options import in_force, put_in_force, resolve
from keras_otel.runtimes import discovery

_log = logging.getLogger("keras_otel")


class _State:
    """What is patched in this process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.patches: list[PatchSet] = []
        self.watches_imports = False
        self.ignored: list[tuple[str, ...]] = []


_state = _State()


class KerasInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # untyped upstream
    """OpenTelemetry's handle on keras_otel: entry point `opentelemetry_instrumentor: keras`.

    `keras_otel.instrument()` is the same with options checked first. Both take the options of
    `keras_otel.options.Options`, and so does the declarative configuration file under
    `instrumentation/development: python: keras`.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """The Keras that is installed; OpenTelemetry requires every one that is returned."""
        for distribution, requirement in (
            ("keras", "keras >= 2.15"),
            ("tf-keras", "tf-keras >= 2.15"),
        ):
            try:
                metadata.version(distribution)
            except metadata.PackageNotFoundError:
                continue
            return (requirement,)
        return ("keras >= 2.15",)

    def _instrument(self, **kwargs: Any) -> None:
        # numpy is imported where Keras has it, or soon will: not by `import keras_otel`.
        from keras_otel.inference.observer import Observer

        options = resolve(kwargs)
        with _state.lock:
            if options.export is not None:
                # The SDK is imported only where it is asked for.
                from keras_otel.export.providers import fill_providers

                fill_providers(options.export)
            active.observer = Observer(options)
            put_in_force(options)
            _watch_imports()

    def _uninstrument(self, **_kwargs: Any) -> None:
        with _state.lock:
            observer, active.observer = active.observer, None
            put_in_force(None)
            installed.clear()
            _state.ignored.clear()
            while _state.patches:
                _state.patches.pop().undo()
        if observer is not None:
            observer.close()


def instrument(**options: Any) -> None:
    """Make every Keras inference of this process an OpenTelemetry span.

    Call it before or after importing Keras, once; a second call changes nothing. See
    `keras_otel.options.Options` for the options, which are also read from the environment.

    Raises:
        OptionError: An option is unknown or has a bad value.
    """
    instrumentor = KerasInstrumentor()
    if instrumentor.is_instrumented_by_opentelemetry:
        resolved = resolve(options)
        if options and resolved != in_force():
            _state.ignored.append(tuple(sorted(options)))
            _log.warning(
                "keras_otel: already instrumented, the new options are not used: "
                "call keras_otel.uninstrument() first"
            )
        return
    # Keras may be installed under another name or not yet: patching waits for its import anyway.
    instrumentor.instrument(skip_dep_check=True, **options)


def uninstrument() -> None:
    """Take the instrumentation out again; `keras.Model` is then as it was. Harmless twice."""
    instrumentor = KerasInstrumentor()
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


def patched() -> tuple[str, ...]:
    """What is patched now, as dotted names."""
    return tuple(name for patches in _state.patches for name in patches.installed)


def ignored_options() -> tuple[tuple[str, ...], ...]:
    """The names of the options of each later `instrument()` whose options were not used."""
    return tuple(_state.ignored)


def _watch_imports() -> None:
    """Patch each Keras now if it is imported, else when the program imports it."""
    if not _state.watches_imports:
        # wrapt's hooks cannot be taken out again: set once, they ask whether to patch.
        _state.watches_imports = True
        for name in discovery.PACKAGES:
            wrapt.register_post_import_hook(_imported, name)
        return
    for module in discovery.imported():
        _imported(module)


def _imported(module: Any) -> None:
    guarded(semconv.SITE_PATCH_KERAS, _patch, module)


def _patch(module: Any) -> None:
    with _state.lock:
        if active.observer is None:
            return
        adapter = discovery.adapter_for(module)
        patches = PatchSet()
        try:
            adapter.install(patches)
        except BaseException:
            patches.undo()  # all of a package or nothing
            raise
        _state.patches.append(patches)
        installed.append(adapter)
