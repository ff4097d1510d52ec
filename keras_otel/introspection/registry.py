"""What this process knows of each model, kept beside the model and never on it."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import weakref
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from typing import Any

from keras_otel import semconv
from keras_otel._forks import run_in_child
from keras_otel._guard import guarded
from keras_otel.decoding.heads import Head
from keras_otel.errors import CardError
from keras_otel.identity.cards import Card, find_card, read_card
from keras_otel.identity.identity import (
    Description,
    identify,
    ledger,
)
from keras_otel.identity.namesakes import NamedModel, NameUsage, name_usages
from keras_otel.identity.naming import is_descriptive, name_from_path, version_from_path
from keras_otel.introspection.adapter import Adapter
from keras_otel.introspection.call_facts import CallFacts
from keras_otel.introspection.hashing import CurrentFingerprint
from keras_otel.introspection.inspection import Shape
from keras_otel.options import Options
from keras_otel.records import ModelIdentity

_log = logging.getLogger("keras_otel")

_numbers = itertools.count(1)

_MAX_READINGS = 256

ReadingKey = tuple[str, bool, str | None, tuple[int, ...]]
"""Operation, whether the array is the model's own, name of the output, shape without the rows."""

Reading = tuple[Head, bool]
"""The head of an output, and whether its scale must show in the values."""


def _common(one: Shape, other: Shape) -> Shape:
    """What two shapes agree on; the newer one where they have not even the same rank."""
    if len(one) != len(other):
        return other
    return tuple([n if n == m else None for n, m in zip(one, other, strict=True)])


class KnownModel:
    """One model: what was said of it, where it was loaded from, and what was found out.

    Attributes:
        number: Counts the models of this process. It tells two that share a name apart, also
            after one is gone, when its `id` is another's.
    """

    def __init__(self, model: Any, forget: Callable[[int], None]) -> None:
        key = id(model)
        self.number = next(_numbers)
        self.ref = weakref.ref(model, lambda _: forget(key))
        # Re-entrant: asking a model for its configuration runs the user's code.
        self.lock = threading.RLock()
        self.description = Description()
        self.card: Card | None = None
        self.source: str | None = None
        self._usage: NameUsage | None = None
        self._label: str | None = None
        self.seen_operations: set[str] = set()
        self.fingerprint = CurrentFingerprint(self.lock, self.forget_conclusions)
        self.seen_shapes: dict[str | None, Shape] = {}
        self.forget_conclusions()

    def forget_conclusions(self) -> None:
        """Drop what follows from description, card and weights; the next inference asks again."""
        self.identity: ModelIdentity | None = None
        self.identity_generation = -1
        self.readings: dict[ReadingKey, Reading] = {}
        self.call_facts: dict[str, CallFacts] = {}

    def note_shapes(self, shapes: dict[str | None, Shape]) -> None:
        """Note the shapes that the model's own outputs have; a length that varies becomes None."""
        seen = self.seen_shapes
        if seen.keys() == shapes.keys():
            shapes = {name: _common(seen[name], shape) for name, shape in shapes.items()}
        if shapes != seen:
            self.seen_shapes = shapes
            self.readings = {}

    def keep_reading(self, key: ReadingKey, reading: Reading) -> Reading:
        """Keep how to read the outputs of one shape, for as many shapes as a service may see."""
        if len(self.readings) >= _MAX_READINGS:
            self.readings = {}
        self.readings[key] = reading
        return reading

    def forget_weights(self) -> None:
        """The weights changed: the fingerprint is no longer theirs."""
        self.fingerprint.forget()
        self.forget_conclusions()

    def look(self, model: Any, adapter: Adapter, written: AbstractSet[int]) -> None:
        """Forget the weights if they changed; `written` is what this inference assigned to."""
        if self.fingerprint.have_weights_changed(model, adapter, written):
            with self.lock:
                self.forget_weights()

    def take_turn(self, identity: ModelIdentity, start_ns: int) -> None:
        """Note that the model was used, by a call that began at `start_ns`."""
        usage = self._usage
        if usage is not None and usage.latest_number != self.number:
            named_model = NamedModel(
                number=self.number,
                fingerprint=identity.fingerprint,
                label=self._label,
                model=self.ref,
            )
            usage.note_use(named_model, start_ns)

    def described(self) -> Description:
        """What is said of the model: by the user first, by its card where the user is silent."""
        if self.card is None:
            return self.description
        return self.description.with_defaults(self.card.description)

    def identify(self, model: Any, adapter: Adapter, options: Options) -> ModelIdentity:
        """The model's identity, computed once and again after anything changed it."""
        identity = self.identity
        if identity is not None and self.identity_generation == ledger.generation:
            return identity
        with self.lock:
            generation = ledger.generation
            identity = self._resolve(model, adapter, options)
            self.identity = identity if self.fingerprint.is_settled else None
            # Read again: what was just noted may itself be the conflict.
            self.identity_generation = max(generation, ledger.generation)
            self.call_facts = {}
            return identity

    def _resolve(self, model: Any, adapter: Adapter, options: Options) -> ModelIdentity:
        described = self.described()
        source = self.source or guarded(semconv.SITE_MODEL_SOURCE, adapter.source, model)
        name = described.name or _name_unsaid(model, adapter, source)
        label = (
            described.version
            or options.version_of(name)
            or (version_from_path(source) if source else None)
        )
        self._usage = name_usages.get(name)
        self._label = label if name != type(model).__name__ else None
        digest = self.fingerprint.value(model, adapter)
        card = self.card
        if (
            label is not None
            and card is not None
            and card.fingerprint is not None
            and card.description.version == label
        ):
            ledger.note(name, label, card.fingerprint)
        identity = identify(name=name, label=label, fingerprint=digest)
        return replace(identity, number=self.number)


def _name_unsaid(model: Any, adapter: Adapter, source: str | None) -> str:
    """The name of a model that nobody described: its own, its path's, its class's."""
    given = guarded(semconv.SITE_MODEL_NAME, adapter.given_name, model)
    if given is not None and is_descriptive(given):
        return given
    return (name_from_path(source) if source else None) or given or type(model).__name__


class KnownModels:
    """Every model that was described, loaded or called, for as long as it lives.

    Keyed by id, because a user's model may define equality without a hash.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: dict[int, KnownModel] = {}

    def of(self, model: Any) -> KnownModel:
        """What is known of this model."""
        known = self._models.get(id(model))
        if known is not None and known.ref() is model:
            return known
        with self._lock:
            known = self._models.get(id(model))
            if known is None or known.ref() is not model:
                known = self._models[id(model)] = KnownModel(model, self._forget)
            return known

    def forget_weights_of(self, model: Any, parts: Callable[[Any], frozenset[int]]) -> None:
        """The weights of this model changed, and so those of every model it shares layers with."""
        changed = (guarded(semconv.SITE_MODEL_PARTS, parts, model) or frozenset()) | {id(model)}
        for known in list(self._models.values()):
            if known.ref() is model or not changed.isdisjoint(known.fingerprint.parts):
                with known.lock:
                    known.fingerprint.note_change()
                    known.forget_weights()

    def note_loaded(self, model: Any, filepath: Any) -> None:
        """Note where a model was loaded from, and what the card beside it says."""
        if not isinstance(filepath, (str, os.PathLike)):
            return
        known = self.of(model)
        card = _card_beside(Path(filepath))
        with known.lock:
            known.source = os.fspath(filepath)
            known.card = card
            known.forget_conclusions()

    def _forget(self, key: int) -> None:
        known = self._models.get(key)
        if known is not None and known.ref() is None:
            self._models.pop(key, None)
            known.fingerprint.stop_watching()

    def __len__(self) -> int:
        return len(self._models)

    def reset_locks(self) -> None:
        """In a forked child: another thread may have held a lock at the fork."""
        self._lock = threading.Lock()
        for known in self._models.values():
            known.lock = threading.RLock()


def _card_beside(artefact: Path) -> Card | None:
    path = find_card(artefact)
    if path is None:
        return None
    try:
        return read_card(path)
    except CardError as error:
        _log.warning("keras_otel: %s; the model is used without its card", error)
        return None


models = KnownModels()
run_in_child(models.reset_locks)
