"""The public functions that take a model: `describe`, `refresh`, `save_card`."""

from __future__ import annotations

from typing import Any, TypeVar

from keras_otel.errors import CardError
from keras_otel.identity.cards import Card, card_path, write_card
from keras_otel.identity.identity import checked_description
from keras_otel.introspection.hashing import compute_fingerprint
from keras_otel.introspection.output_heads import check_description
from keras_otel.introspection.registry import models
from keras_otel.options import Options, in_force
from keras_otel.runtimes.discovery import adapter_of, owning_adapter

Model = TypeVar("Model")


def describe(
    model: Model,
    *,
    name: str | None = None,
    version: str | None = None,
    labels: Any = None,
    task: Any = None,
    threshold: Any = None,
) -> Model:
    """Describe a model and how to read its output; the arguments override the model's card.

    Args:
        model: A Keras model or `TFSMLayer`.
        name: Name of the model in spans and metrics.
        version: Version label.
        labels: Class names in the order of the output's columns; two for a binary head. For a
            model with several outputs a mapping of output name to such a list.
        task: `multiclass`, `binary`, `multilabel`, `sequence` (a class for each position),
            `regression`, `embedding` or `opaque`; for several outputs a mapping of output name to
            one of these. With `binary` and `multilabel` the output is read as a probability,
            unless the model itself shows that it is a logit.
        threshold: Probability over which a binary or multilabel class counts, in (0, 1); one
            number, or one for each label. 0.5 by default.

    Returns:
        The model itself.

    Raises:
        DescriptionError: A part has the wrong type, an impossible value, or does not fit the
            model's outputs.
        TypeError: `model` is not of a kind whose calls can be recorded.
    """
    owning_adapter(model, "describe(model)")
    description = checked_description(
        name=name, version=version, labels=labels, task=task, threshold=threshold
    )
    known = models.of(model)
    merged = description.with_defaults(known.description)
    check_description(model, merged)
    with known.lock:
        known.description = merged
        known.forget_conclusions()
    return model


def refresh(model: Model) -> Model:
    """Compute the model's fingerprint anew at its next inference.

    Changed weights are detected without it, except in the few cases that `docs/attributes.md`
    lists, such as sparse updates by compiled code, or another vocabulary.

    Args:
        model: A Keras model.

    Returns:
        The model itself.
    """
    adapter = adapter_of(model)
    models.forget_weights_of(model, adapter.parts if adapter is not None else _no_parts)
    return model


def save_card(model: Any, path: Any, *, lineage: dict[str, Any] | None = None) -> str:
    """Write the model's card beside its artefact, for `load_model` to find.

    Args:
        model: A built Keras model; what `describe()` was called with goes into the card.
        path: Path of the artefact, such as `intent.keras`; its card is `intent.keras.card.json`.
        lineage: Where the model comes from, in any fields, such as the date of its data.

    Returns:
        The path of the card.

    Raises:
        CardError: The model is no Keras model, or the file cannot be written.
    """
    adapter = adapter_of(model)
    if adapter is None:
        raise CardError(f"{type(model).__name__} is no Keras model: pass the model itself")
    known = models.of(model)
    identity = known.identify(model, adapter, _options())
    card = Card(
        description=known.described().with_defaults(checked_description(name=identity.name)),
        fingerprint=compute_fingerprint(model, adapter),
        lineage={"keras_version": adapter.version, "backend": adapter.backend, **(lineage or {})},
    )
    target = card_path(path)
    write_card(target, card)
    return str(target)


def _options() -> Options:
    return in_force() or Options()


def _no_parts(_model: Any) -> frozenset[int]:
    return frozenset()
