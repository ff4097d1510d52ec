"""Switching the instrumentation on and off."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Collection
from importlib import metadata
from typing import Any, TypeVar

import wrapt
from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,  # the module opts out of type checking
)

from keras_otel import _observer
from keras_otel._guard import guarded
from keras_otel._models import compute_fingerprint, models
from keras_otel._patching import PatchSet
from keras_otel.cards import Card, card_path, write_card
from keras_otel.errors import CardError
from keras_otel.identity import checked_description
from keras_otel.options import Options, resolve
from keras_otel.runtimes.adapter import Adapter, adapter_of, installed
from keras_otel.runtimes.heads import check_description

_log = logging.getLogger("keras_otel")

Model = TypeVar("Model")

# Import name and distribution of each package that an adapter knows.
_PACKAGES = {"keras": "keras", "tf_keras": "tf-keras"}


class _State:
    """What is patched in this process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.patches = PatchSet()
        self.watches_imports = False


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
        options = resolve(kwargs)
        with _state.lock:
            if options.export is not None:
                # The SDK is imported only where it is asked for.
                from keras_otel.export import fill_providers

                fill_providers(options.export)
            _observer.active = _observer.Observer(options)
            _watch_imports()

    def _uninstrument(self, **_kwargs: Any) -> None:
        with _state.lock:
            observer, _observer.active = _observer.active, None
            installed.clear()
            _state.patches.undo()
        if observer is not None:
            observer.flush(1.0)


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
        observer = _observer.active
        if options and observer is not None and resolved != observer.options:
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


def describe(
    model: Model,
    *,
    name: str | None = None,
    version: str | None = None,
    labels: Any = None,
    task: Any = None,
    threshold: Any = None,
) -> Model:
    """Say who a model is and how to read it. What you say goes before what its card says.

    Args:
        model: A Keras model or `TFSMLayer`.
        name: Name of the model in spans and metrics.
        version: Version label.
        labels: Class names in the order of the output's columns; two for a binary head. For a
            model with several outputs a mapping of output name to such a list.
        task: `multiclass`, `binary`, `multilabel`, `regression`, `embedding` or `opaque`; for
            several outputs a mapping of output name to one of these. `binary` and `multilabel`
            say that the output is a probability, unless the model itself shows it is a logit.
        threshold: Probability over which a binary or multilabel class counts, in (0, 1); one
            number, or one for each label. 0.5 where nobody says otherwise.

    Returns:
        The model itself.

    Raises:
        DescriptionError: A part has the wrong type, an impossible value, or does not fit the
            model's outputs.
    """
    described = checked_description(
        name=name, version=version, labels=labels, task=task, threshold=threshold
    )
    known = models.of(model)
    merged = described.over(known.description)
    check_description(model, merged)
    with known.lock:
        known.description = merged
        known.forget_conclusions()
    return model


def refresh(model: Model) -> Model:
    """Compute the model's fingerprint anew at its next inference.

    Needed after weights were changed in a way that Keras does not tell: a custom training loop, or
    assigning to a variable.

    Returns:
        The model itself.
    """
    adapter = _adapter(model)
    parts = guarded("model parts", adapter.parts, model) if adapter is not None else None
    models.forget_weights(model, parts or frozenset())
    return model


def save_card(model: Any, path: Any, *, lineage: dict[str, Any] | None = None) -> str:
    """Write the model's card beside its artefact, for `load_model` to find.

    Args:
        model: A built Keras model, described by `describe()` as far as you like.
        path: Path of the artefact, such as `intent.keras`; its card is `intent.keras.card.json`.
        lineage: Free facts on where the model comes from, for instance the data's date.

    Returns:
        The card's path.

    Raises:
        CardError: The model is no Keras model, or the file cannot be written.
    """
    adapter = _adapter(model)
    if adapter is None:
        raise CardError(f"{type(model).__name__} is no Keras model: pass the model itself")
    known = models.of(model)
    identity = known.identify(model, adapter, _options())
    card = Card(
        description=known.described().over(checked_description(name=identity.name)),
        fingerprint=compute_fingerprint(model, adapter),
        lineage={"keras_version": adapter.version, "backend": adapter.backend, **(lineage or {})},
    )
    target = card_path(path)
    write_card(target, card)
    return str(target)


def patched() -> tuple[str, ...]:
    """What is patched now, as dotted names."""
    return _state.patches.installed


def _options() -> Options:
    return _observer.active.options if _observer.active is not None else Options()


def _adapter(model: Any) -> Adapter | None:
    """The model's adapter, also in a process that is not instrumented."""
    adapter = adapter_of(model)
    if adapter is not None:
        return adapter
    for module in _imported_packages():
        candidate = _adapter_for(module)
        if candidate.owns(model):
            return candidate
    return None


def _imported_packages() -> list[Any]:
    return [sys.modules[name] for name in _PACKAGES if hasattr(sys.modules.get(name), "Model")]


def _adapter_for(module: Any) -> Adapter:
    if int(str(module.__version__).partition(".")[0]) >= 3:
        from keras_otel.runtimes.keras3 import Keras3

        return Keras3(module)
    from keras_otel.runtimes.tf_keras import TfKeras

    return TfKeras(module)


def _watch_imports() -> None:
    """Patch each Keras now if it is imported, else when the program imports it."""
    if not _state.watches_imports:
        # wrapt's hooks cannot be taken out again: set once, they ask whether to patch.
        _state.watches_imports = True
        for name in _PACKAGES:
            wrapt.register_post_import_hook(_imported, name)
        return
    for module in _imported_packages():
        _imported(module)


def _imported(module: Any) -> None:
    guarded("patch Keras", _patch, module)


def _patch(module: Any) -> None:
    with _state.lock:
        if _observer.active is None:
            return
        adapter = _adapter_for(module)
        adapter.install(_state.patches)
        installed.append(adapter)
