"""The head of an output: what the user or the card says, then what the model itself says."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from keras_otel._guard import guarded
from keras_otel.decoding.heads import (
    DEFAULT_THRESHOLD,
    Binary,
    Embedding,
    Head,
    Multiclass,
    Multilabel,
    Opaque,
    Regression,
    Scale,
    Undetermined,
)
from keras_otel.errors import DescriptionError
from keras_otel.identity import Description
from keras_otel.records import Task
from keras_otel.runtimes.inspection import inspect_head, last_scale, output_columns

_log = logging.getLogger("keras_otel")


def head_of(model: Any, described: Description, output: str | None, columns: int | None) -> Head:
    """The head of one output.

    Args:
        model: The model.
        described: What `describe()` and the card say.
        output: Name of the output; None where there is only one.
        columns: Length of its last axis; None where it has fewer than two axes.
    """
    task = described.task_of(output)
    if task is None:
        head = guarded("inspect the model", inspect_head, model, output, columns) or Undetermined()
    else:
        scale = guarded("inspect the model", last_scale, model, output) or Scale.UNKNOWN
        head = _told(task, scale)
    labels = described.labels_of(output)
    head = _with_threshold(head, described.threshold)
    if labels is None:
        return head
    problem = labels_problem(head, labels, columns)
    if problem is not None:
        _log.warning("keras_otel: %s; class ids are recorded instead", problem)
        return head
    if isinstance(head, (Multiclass, Binary, Multilabel, Undetermined)):
        return replace(head, labels=labels)
    return head


def task_of(head: Head) -> Task:
    """The task that a head is of, before any output was seen."""
    match head:
        case Multiclass():
            return "multiclass"
        case Binary():
            return "binary"
        case Multilabel():
            return "multilabel"
        case Regression():
            return "regression"
        case Embedding():
            return "embedding"
        case Undetermined() | Opaque():
            return "opaque"


def labels_problem(head: Head, labels: tuple[str, ...], columns: int | None) -> str | None:
    """What is wrong with these labels for this head, or None."""
    match head:
        case Binary():
            wanted: int | None = 2
        case Multiclass() | Multilabel() | Undetermined():
            wanted = columns
        case _:
            return f"{len(labels)} labels for an output that has no classes"
    if wanted is not None and len(labels) != wanted:
        return f"{len(labels)} labels for {wanted} classes: give one label for each, in order"
    return None


def check_description(model: Any, described: Description) -> None:
    """Raise at once for what cannot be true of this model, as far as it is built.

    Raises:
        DescriptionError: Labels or thresholds do not fit the model's outputs.
    """
    columns = guarded("inspect the model", output_columns, model) or {}
    for output, width in columns.items():
        labels = described.labels_of(output)
        task = described.task_of(output)
        if task == "binary" and width is not None and width != 1:
            raise DescriptionError(
                f"task 'binary' needs one output column, the model has {width}: "
                "use task='multiclass' (one class of several) or 'multilabel'"
            )
        if task == "multiclass" and width == 1:
            raise DescriptionError(
                "task 'multiclass' needs a column for each class, the model has 1: use task='binary'"
            )
        head = head_of(model, replace(described, labels=None), output, width)
        if labels is not None:
            problem = labels_problem(head, labels, width)
            if problem is not None:
                raise DescriptionError(problem)
        threshold = described.threshold
        if isinstance(threshold, tuple) and width is not None and len(threshold) != width:
            raise DescriptionError(
                f"{len(threshold)} thresholds for {width} labels: give one number, or one for each"
            )


def _told(task: Task, scale: Scale) -> Head:
    match task:
        case "multiclass":
            return Multiclass(scale=scale)
        case "binary":
            return Binary(scale=scale)
        case "multilabel":
            return Multilabel(scale=scale)
        case "regression":
            return Regression()
        case "embedding":
            return Embedding()
        case "opaque":
            return Opaque(reason="described as opaque")


def _with_threshold(head: Head, threshold: float | tuple[float, ...] | None) -> Head:
    if threshold is None:
        return head
    if isinstance(head, Multilabel):
        return replace(head, thresholds=threshold if isinstance(threshold, tuple) else (threshold,))
    if isinstance(head, Binary):
        single = threshold if isinstance(threshold, float) else DEFAULT_THRESHOLD
        return replace(head, threshold=single)
    return head
