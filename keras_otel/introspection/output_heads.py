"""The head of an output: what the user or the card says, then what the model itself says.

A head belongs to an output of the model. A result of something else (an overridden method, a
wrapped function, a `predict_step` of one's own) is read by it only where it has the shape of that
output, and values decide only for a single output of shape (rows, columns). The table is in
docs/attributes.md.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from keras_otel import semconv
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
    Sequence,
    Undetermined,
)
from keras_otel.errors import DescriptionError
from keras_otel.identity.identity import Description
from keras_otel.introspection.inspection import Output, Shape, inspect_head, last_scale, own_shapes
from keras_otel.records import Task

_log = logging.getLogger("keras_otel")

Shapes = Mapping[str | None, Shape]
"""Shapes of a model's own outputs by name."""


def head_of(model: Any, described: Description, output: Output, seen: Shapes | None = None) -> Head:
    """The head of one output.

    Args:
        model: The model.
        described: What `describe()` and the card say.
        output: The output, as the result shows it.
        seen: Shapes that the model's own outputs were seen to have, for one without a graph.
    """
    stated = guarded(semconv.SITE_INSPECT_THE_MODEL, own_shapes, model) or {}
    foreign = _foreign(described, output, stated or seen or {})
    if foreign is not None:
        return Opaque(reason=foreign)
    head = _labelled(_unlabelled(model, described, output), described, output)
    is_described = described.task_of(output.name) is not None
    return _by_position(head, output, stated.get(output.name), is_described=is_described)


def task_of(head: Head) -> Task:
    """The task that a head is of, before any output was seen."""
    match head:
        case Multiclass():
            return "multiclass"
        case Binary():
            return "binary"
        case Multilabel():
            return "multilabel"
        case Sequence():
            return "sequence"
        case Regression():
            return "regression"
        case Embedding():
            return "embedding"
        case Undetermined() | Opaque():
            return "opaque"


def labels_problem(head: Head, labels: tuple[str, ...], columns: int | None) -> str | None:
    """What is wrong with these labels for this head, or None."""
    match head:
        case Sequence(inner=inner):
            return labels_problem(inner, labels, columns)
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
    shapes = guarded(semconv.SITE_INSPECT_THE_MODEL, own_shapes, model) or {}
    for output in outputs_by_shape(shapes):
        width = output.columns
        task = described.task_of(output.name)
        if task == "binary" and width is not None and width != 1:
            raise DescriptionError(
                f"task 'binary' needs one output column, the model has {width}: "
                "use task='multiclass' (one class of several) or 'multilabel'"
            )
        if task == "multiclass" and width == 1:
            raise DescriptionError(
                "task 'multiclass' needs a column for each class, the model has 1: use task='binary'"
            )
        labels = described.labels_of(output.name)
        if labels is not None:
            head = head_of(model, replace(described, labels=None), output)
            problem = labels_problem(head, labels, width)
            if problem is not None:
                raise DescriptionError(problem)
        threshold = described.threshold
        if isinstance(threshold, tuple) and width is not None and len(threshold) != width:
            raise DescriptionError(
                f"{len(threshold)} thresholds for {width} labels: give one number, or one for each"
            )


def outputs_by_shape(shapes: Shapes) -> list[Output]:
    """The outputs of these shapes, in their order."""
    return [
        Output(name=name, index=index, count=len(shapes), shape=shape)
        for index, (name, shape) in enumerate(shapes.items())
    ]


def _foreign(described: Description, output: Output, own: Shapes) -> str | None:
    """Why an output cannot be read as the model's own, or None."""
    if output.is_own or described.names_output(output.name):
        return None
    if not own:
        if output.count == 1 and described.task_of(None) is not None:
            return None  # what the user says of the model's prediction is all there is
        return "not known to be the model's own output: it came from a function of the program"
    shape = own.get(output.name)
    if len(own) != output.count or shape is None:
        return f"one of {output.count} results of a model with {len(own)} outputs"
    if len(shape) == len(output.shape) and all(
        there in (None, here) for here, there in zip(output.shape, shape, strict=True)
    ):
        return None
    return f"shape {_rows_of(output.shape)} is not that of the model's output, {_rows_of(shape)}"


def _rows_of(shape: Shape) -> str:
    lengths = ", ".join("?" if length is None else str(length) for length in shape)
    return f"(rows, {lengths})" if lengths else "(rows,)"


def _unlabelled(model: Any, described: Description, output: Output) -> Head:
    task = described.task_of(output.name)
    if task is None:
        return (
            guarded(semconv.SITE_INSPECT_THE_MODEL, inspect_head, model, output) or Undetermined()
        )
    if output.count > 1 and not described.names_output(output.name):
        stated = (
            guarded(semconv.SITE_INSPECT_THE_MODEL, inspect_head, model, output) or Undetermined()
        )
        if task_of(stated) == task:
            return stated
        if isinstance(stated, (Opaque, Undetermined)):
            return Opaque(reason=f"task {task!r} is described, and for which output is not")
    scale = guarded(semconv.SITE_INSPECT_THE_MODEL, last_scale, model, output) or Scale.UNKNOWN
    return _described(task, scale, output)


def _described(task: Task, scale: Scale, output: Output) -> Head:
    match task:
        case "multiclass":
            return Multiclass(scale=scale)
        case "binary":
            return Binary(scale=scale)
        case "multilabel":
            return Multilabel(scale=scale)
        case "sequence":
            return Sequence(
                inner=Binary(scale=scale) if output.columns == 1 else Multiclass(scale=scale)
            )
        case "regression":
            return Regression()
        case "embedding":
            return Embedding()
        case "opaque":
            return Opaque(reason="described as opaque")


def _labelled(head: Head, described: Description, output: Output) -> Head:
    head = _with_threshold(head, described.threshold)
    labels = described.labels_of(output.name)
    if labels is None:
        return head
    problem = labels_problem(head, labels, output.columns)
    if problem is None:
        return _with_labels(head, labels)
    if isinstance(head, Sequence) and isinstance(head.inner, Multiclass) and len(output.shape) == 1:
        return _with_labels(head, labels)  # class ids, one for each position
    _log.warning("keras_otel: %s; class ids are recorded instead", problem)
    return head


def _with_labels(head: Head, labels: tuple[str, ...]) -> Head:
    if isinstance(head, Sequence):
        return Sequence(inner=replace(head.inner, labels=labels))
    if isinstance(head, (Multiclass, Binary, Multilabel, Undetermined)):
        return replace(head, labels=labels)
    return head


def _by_position(head: Head, output: Output, own: Shape | None, *, is_described: bool) -> Head:
    """A class for each position, where a row holds more than one vector or may hold more."""
    shape = output.shape if own is None else own
    if len(shape) < 2 or not isinstance(head, (Multiclass, Binary, Multilabel)):
        return head
    # Of a text of one token the shape alone does not say that there may be more.
    is_sure = own is not None or is_described
    return head if is_sure and all(length == 1 for length in shape[:-1]) else Sequence(inner=head)


def _with_threshold(head: Head, threshold: float | tuple[float, ...] | None) -> Head:
    if threshold is None:
        return head
    if isinstance(head, Sequence):
        inner = _with_threshold(head.inner, threshold)
        return (
            Sequence(inner=inner) if isinstance(inner, (Multiclass, Binary, Multilabel)) else head
        )
    if isinstance(head, Multilabel):
        return replace(head, thresholds=threshold if isinstance(threshold, tuple) else (threshold,))
    if isinstance(head, Binary):
        single = threshold if isinstance(threshold, float) else DEFAULT_THRESHOLD
        return replace(head, threshold=single)
    return head
