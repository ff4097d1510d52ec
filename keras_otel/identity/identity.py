"""Who a model is: its name, its version, and whether that version is told the truth about.

Plain facts in, a `ModelIdentity` out; no Keras object is held here.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from keras_otel._forks import run_in_child
from keras_otel._unicode import name_of
from keras_otel.errors import DescriptionError
from keras_otel.records import TASKS, ModelIdentity, Task

_log = logging.getLogger("keras_otel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What `describe()` or a card says of a model; None where it says nothing.

    Labels and tasks of a model with several outputs are mappings by output name.
    """

    name: str | None = None
    version: str | None = None
    labels: tuple[str, ...] | Mapping[str, tuple[str, ...]] | None = None
    task: Task | Mapping[str, Task] | None = None
    threshold: float | tuple[float, ...] | None = None

    def over(self, other: Description) -> Description:
        """This description, with `other` filling what it leaves open."""
        return Description(
            **{
                key: mine if (mine := getattr(self, key)) is not None else getattr(other, key)
                for key in self.__dataclass_fields__
            }
        )

    def labels_of(self, output: str | None) -> tuple[str, ...] | None:
        """The labels of one output."""
        if isinstance(self.labels, Mapping):
            return self.labels.get(output) if output is not None else None
        return self.labels if output is None else None

    def task_of(self, output: str | None) -> Task | None:
        """The task of one output."""
        if isinstance(self.task, Mapping):
            return self.task.get(output) if output is not None else None
        return self.task

    def speaks_of(self, output: str | None) -> bool:
        """True if labels or a task are given for this output by its name."""
        return any(
            isinstance(part, Mapping) and output in part for part in (self.labels, self.task)
        )


def checked_description(
    *,
    name: object = None,
    version: object = None,
    labels: object = None,
    task: object = None,
    threshold: object = None,
) -> Description:
    """Check each part of a description.

    Raises:
        DescriptionError: A part has the wrong type or an impossible value.
    """
    return Description(
        name=_text("name", name),
        version=_text("version", version),
        labels=_by_output("labels", labels, _labels),
        task=_by_output("task", task, _task),
        threshold=_threshold(threshold),
    )


def _text(what: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise DescriptionError(f"{what} must be non-empty text, got {value!r}")
    return name_of(value)


def _by_output(what: str, value: object, check: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): check(f"{what} of output {key!r}", part) for key, part in value.items()}
    return None if value is None else check(what, value)


def _labels(what: str, value: object) -> tuple[str, ...]:
    # A set has no order, and its labels would stand for other columns in every process.
    if isinstance(value, (str, bytes, set, frozenset)) or not isinstance(value, Iterable):
        raise DescriptionError(f"{what} must be a list of text, got {type(value).__name__}")
    given = tuple(value)
    for label in given:
        if not isinstance(label, str):
            raise DescriptionError(
                f"{what} must be text, got {label!r}: write labels=[str(x) for x in labels]"
            )
    labels = tuple(name_of(label) for label in given)
    if len(set(labels)) != len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise DescriptionError(f"{what} must differ from one another, {twice!r} is there twice")
    return labels


def _task(what: str, value: object) -> Task:
    if value not in TASKS:
        raise DescriptionError(f"{what} must be one of {', '.join(TASKS)}, got {value!r}")
    return value


def _threshold(value: object) -> float | tuple[float, ...] | None:
    if value is None:
        return None
    values = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    numbers = []
    for number in values:
        try:
            checked = float("nan") if isinstance(number, (bool, str)) else float(number)  # type: ignore[arg-type]
        except (OverflowError, TypeError, ValueError):
            checked = float("nan")
        if not 0.0 < checked < 1.0:
            raise DescriptionError(
                f"threshold must be a probability between 0 and 1, both excluded, got {number!r}"
            )
        numbers.append(checked)
    if not numbers:
        raise DescriptionError("threshold must be a number or one number for each label, got none")
    return numbers[0] if len(numbers) == 1 else tuple(numbers)


# -- conflicts ---------------------------------------------------------------------------------


class VersionLedger:
    """Which fingerprints were seen under each version label of each model, in this process.

    The same label with other weights is a retrain that nobody announced.
    """

    # More models than one process serves; a process that makes models without end stays small.
    _MAX_LABELS = 4096
    _MAX_FINGERPRINTS = 16

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[str, str], OrderedDict[str, None]] = OrderedDict()
        self.generation = 0
        """Counts new conflicts, so that spans made before one know to look again."""

    def note(self, name: str, version: str, fingerprint: str) -> bool:
        """Note that this label stands for these weights; True if it also stood for others."""
        with self._lock:
            seen = self._seen.setdefault((name, version), OrderedDict())
            is_new = fingerprint not in seen
            seen[fingerprint] = None
            if is_new and len(seen) == 2:
                self.generation += 1
            if len(seen) > self._MAX_FINGERPRINTS:
                seen.popitem(last=False)
            if len(self._seen) > self._MAX_LABELS:
                self._seen.popitem(last=False)
            conflict = len(seen) > 1
        if is_new and len(seen) == 2:
            _log.warning(
                "keras_otel: model %r version %r was seen with fingerprint %s and now has %s: "
                "give the retrained model a version of its own",
                name,
                version,
                next(iter(seen)),
                fingerprint,
            )
        return conflict

    def reset_lock(self) -> None:
        """In a forked child: another thread may have held the lock at the fork."""
        self._lock = threading.Lock()


ledger = VersionLedger()
run_in_child(ledger.reset_lock)


def without_fingerprint(identity: ModelIdentity) -> ModelIdentity:
    """The identity of a model that had one of two sets of weights, nobody knows which."""
    is_label = identity.version != identity.fingerprint
    return ModelIdentity(name=identity.name, version=identity.version if is_label else None)


def identify(
    *,
    name: str,
    label: str | None,
    fingerprint: str | None,
    versions: VersionLedger = ledger,
) -> ModelIdentity:
    """Name, label and fingerprint as one identity; the fingerprint is the version of last resort."""
    name = name_of(name)
    label = None if label is None else name_of(label)
    conflict = False
    if label is not None and fingerprint is not None and label != fingerprint:
        conflict = versions.note(name, label, fingerprint)
    return ModelIdentity(
        name=name,
        version=label if label is not None else fingerprint,
        fingerprint=fingerprint,
        version_conflict=conflict,
    )
