"""Who a model is: its name, its version, and whether one version label covers different weights.

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
    """What `describe()` or a card says about a model; None for what it leaves open.

    Attributes:
        name: Name of the model.
        version: Version label.
        labels: Class names in the order of the output's columns; for a model with several outputs
            a mapping of output name to such a tuple.
        task: What kind of output it is; for several outputs a mapping of output name to task.
        threshold: Probability over which a binary or multilabel class counts, in (0, 1); one, or
            one for each label.
    """

    name: str | None = None
    version: str | None = None
    labels: tuple[str, ...] | Mapping[str, tuple[str, ...]] | None = None
    task: Task | Mapping[str, Task] | None = None
    threshold: float | tuple[float, ...] | None = None

    def with_defaults(self, other: Description) -> Description:
        """Return this description, with what it leaves open taken from `other`."""
        return Description(
            **{
                field: own if (own := getattr(self, field)) is not None else getattr(other, field)
                for field in self.__dataclass_fields__
            }
        )

    def labels_of(self, output: str | None) -> tuple[str, ...] | None:
        """Return the labels of one output; None is the only output, which has no name."""
        if isinstance(self.labels, Mapping):
            return self.labels.get(output) if output is not None else None
        return self.labels if output is None else None

    def task_of(self, output: str | None) -> Task | None:
        """Return the task of one output; None is the only output, which has no name."""
        if isinstance(self.task, Mapping):
            return self.task.get(output) if output is not None else None
        return self.task

    def names_output(self, output: str | None) -> bool:
        """Return True if labels or a task are given for this output by its name."""
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
    """Return a description whose parts are checked, each of the right type and possible.

    Raises:
        DescriptionError: A part has the wrong type or an impossible value.
    """
    return Description(
        name=_checked_text("name", name),
        version=_checked_text("version", version),
        labels=_checked_by_output("labels", labels, _checked_labels),
        task=_checked_by_output("task", task, _checked_task),
        threshold=_checked_threshold(threshold),
    )


def _checked_text(argument: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise DescriptionError(f"{argument} must be non-empty text, got {value!r}")
    return name_of(value)


def _checked_by_output(argument: str, value: object, check: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            str(output): check(f"{argument} of output {output!r}", part)
            for output, part in value.items()
        }
    return None if value is None else check(argument, value)


def _checked_labels(argument: str, value: object) -> tuple[str, ...]:
    # A set has no order: its labels would be assigned to other columns in every process.
    if isinstance(value, (str, bytes, set, frozenset)) or not isinstance(value, Iterable):
        raise DescriptionError(f"{argument} must be a list of text, got {type(value).__name__}")
    given = tuple(value)
    for label in given:
        if not isinstance(label, str):
            raise DescriptionError(
                f"{argument} must be text, got {label!r}: write labels=[str(x) for x in labels]"
            )
    labels = tuple(name_of(label) for label in given)
    if len(set(labels)) != len(labels):
        duplicate = next(label for label in labels if labels.count(label) > 1)
        raise DescriptionError(
            f"{argument} must differ from one another, {duplicate!r} is there twice"
        )
    return labels


def _checked_task(argument: str, value: object) -> Task:
    if value not in TASKS:
        raise DescriptionError(f"{argument} must be one of {', '.join(TASKS)}, got {value!r}")
    return value


def _checked_threshold(value: object) -> float | tuple[float, ...] | None:
    if value is None:
        return None
    values = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    thresholds = []
    for number in values:
        try:
            threshold = float("nan") if isinstance(number, (bool, str)) else float(number)  # type: ignore[arg-type]
        except (OverflowError, TypeError, ValueError):
            threshold = float("nan")
        if not 0.0 < threshold < 1.0:
            raise DescriptionError(
                f"threshold must be a probability between 0 and 1, both excluded, got {number!r}"
            )
        thresholds.append(threshold)
    if not thresholds:
        raise DescriptionError("threshold must be a number or one number for each label, got none")
    return thresholds[0] if len(thresholds) == 1 else tuple(thresholds)


# -- conflicts ---------------------------------------------------------------------------------


class VersionLedger:
    """The fingerprints that this process saw under each version label of each model.

    One label with two fingerprints is a retrained model that was given no version of its own.
    """

    # More models than one process serves; bounded for a process that creates them without end.
    _MAX_LABELS = 4096
    _MAX_FINGERPRINTS = 16

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fingerprints: OrderedDict[tuple[str, str], OrderedDict[str, None]] = OrderedDict()
        self.generation = 0
        """Number of conflicts so far; an identity computed before the latest one is outdated."""

    def note(self, name: str, version: str, fingerprint: str) -> bool:
        """Note that a label has these weights; return True if it also had others: a conflict."""
        with self._lock:
            fingerprints = self._fingerprints.setdefault((name, version), OrderedDict())
            is_new = fingerprint not in fingerprints
            fingerprints[fingerprint] = None
            if is_new and len(fingerprints) == 2:
                self.generation += 1
            if len(fingerprints) > self._MAX_FINGERPRINTS:
                fingerprints.popitem(last=False)
            if len(self._fingerprints) > self._MAX_LABELS:
                self._fingerprints.popitem(last=False)
            conflict = len(fingerprints) > 1
        if is_new and len(fingerprints) == 2:
            _log.warning(
                "keras_otel: model %r version %r was seen with fingerprint %s and now has %s: "
                "give the retrained model a version of its own",
                name,
                version,
                next(iter(fingerprints)),
                fingerprint,
            )
        return conflict

    def reset_lock(self) -> None:
        """Replace the lock in a forked child: another thread may have held it at the fork."""
        self._lock = threading.Lock()


ledger = VersionLedger()
run_in_child(ledger.reset_lock)


def without_fingerprint(identity: ModelIdentity) -> ModelIdentity:
    """Return the identity for a call around which the weights changed: which it used is unknown."""
    is_label = identity.version != identity.fingerprint
    return ModelIdentity(name=identity.name, version=identity.version if is_label else None)


def identify(
    *,
    name: str,
    label: str | None,
    fingerprint: str | None,
    versions: VersionLedger = ledger,
) -> ModelIdentity:
    """Return the identity of a model, with any conflict of its version label.

    Args:
        name: Name of the model.
        label: Version label, if there is one.
        fingerprint: Fingerprint of the weights, if it is known; the version where no label is.
        versions: Where the labels of this process are noted.
    """
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
