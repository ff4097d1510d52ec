"""What the outputs of a call say: from a model's arrays to `Decoded` records.

In two steps, as a call may be recorded later than it returns. `OutputReader.note` does at once what
may be different later: how the model is described, and the numbers of an array that the program may
change. `OutputReader.decode` does the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel.decoding.decode import decode
from keras_otel.decoding.heads import Opaque
from keras_otel.inference.call import Call
from keras_otel.inference.own_outputs import has_own_step
from keras_otel.introspection import arrays, structures
from keras_otel.introspection.arrays import Array, Pending, Place
from keras_otel.introspection.graph import is_graph
from keras_otel.introspection.inspection import Output, own_shapes
from keras_otel.introspection.output_heads import head_of, outputs_by_shape, task_of
from keras_otel.introspection.registry import KnownModel, Reading
from keras_otel.introspection.structures import Leaf
from keras_otel.options import Options
from keras_otel.records import Decoded


class NotedOutput:
    """One output of a call, with all that is needed to decode it later.

    Attributes:
        name: Name of the output; None where there is only one.
        call: The call.
        known: Its model.
        readings: How to read the model's outputs, as it was described at the call.
        description: How the user described it then, to see whether it was described anew since.
        card: The card that it had then.
        numbers: The array, or its copy; None where there are no numbers to decode.
        pending: The numbers on an accelerator, which are not there yet.
        decoded: What the output says, once that is known.
    """

    __slots__ = (
        "call",
        "card",
        "decoded",
        "description",
        "known",
        "name",
        "numbers",
        "pending",
        "readings",
    )

    def __init__(self, name: str | None, call: Call, known: KnownModel, numbers: Any) -> None:
        self.name = name
        self.call = call
        self.known = known
        self.readings = known.readings
        self.description = known.description
        self.card = known.card
        self.numbers = numbers
        self.pending: Pending | None = None
        self.decoded: Decoded | None = None

    def wait(self) -> None:
        """Wait for the numbers of an accelerator."""
        if self.pending is not None:
            self.numbers, self.pending = self.pending.wait(), None

    def array(self) -> Array | None:
        """Return the numbers, or None where there are none that can be read."""
        return None if self.numbers is None else as_numpy(self.numbers)


def as_numpy(leaf: Any) -> Array | None:
    """Return the numbers of a leaf, or None where they cannot be read."""
    return (
        leaf
        if type(leaf) is np.ndarray
        else guarded(semconv.SITE_READ_THE_OUTPUT, arrays.to_numpy, leaf)
    )


class OutputReader:
    """Reads outputs by the heads of their model, with one set of options."""

    def __init__(self, options: Options) -> None:
        self._max_rows = options.max_rows
        self._count_classes = options.metrics

    def note(self, call: Call, known: KnownModel, leaf: Leaf, *, is_later: bool) -> NotedOutput:
        """Note an output, and decode what cannot be decoded later.

        Args:
            call: The call, with the origin of its outputs.
            known: Its model.
            leaf: The output.
            is_later: Whether it is decoded after the call has returned to the program.
        """
        name, array, place = leaf
        noted = NotedOutput(name, call, known, array)
        if place is Place.OTHER or call.origin.doubt is not None:
            noted.numbers, noted.decoded = None, _undecodable(noted, array, place)
            return noted
        if not noted.readings:
            # The first one: whoever describes the model next does not describe this call.
            _reading(noted, tuple(array.shape)[1:])
        if place is Place.DEVICE:
            noted.numbers, noted.pending = None, arrays.pending(array)
        elif is_later:
            noted.numbers = arrays.kept(array)
            if noted.numbers is None:
                noted.decoded = self._decoded(noted, as_numpy(array))
        return noted

    def decode(self, output: NotedOutput) -> Decoded:
        """Decode an output whose numbers are there."""
        if output.decoded is None:
            output.decoded = self._decoded(output, output.array())
        return output.decoded

    def decode_row(self, output: NotedOutput, row: Array) -> Decoded:
        """Decode one row of an output, given as an array of one row."""
        return self._decoded(output, row)

    def _decoded(self, output: NotedOutput, array: Array | None) -> Decoded:
        if array is None:
            reason = f"output of type {type(output.numbers).__name__} cannot be read"
            return _opaque(output.name, structures.row_count(output.numbers) or 0, reason)
        head, verify = _reading(output, array.shape[1:])
        decoded = guarded(
            semconv.SITE_DECODE,
            decode,
            head,
            array,
            max_rows=self._max_rows,
            verify=verify,
            count_classes=self._count_classes,
            output=output.name,
        )
        if decoded is not None:
            return decoded
        return _opaque(output.name, structures.row_count(array) or 0, "decoding failed")


def _undecodable(output: NotedOutput, leaf: Any, place: Place) -> Decoded:
    call = output.call
    rows = structures.row_count(leaf)
    if place is Place.OTHER:
        if rows is None:
            rows = structures.row_count((call.args, call.kwargs))
        reason = f"output of type {type(leaf).__name__} is no dense array"
    else:
        reason = call.origin.doubt or ""
    return _opaque(output.name, rows or 0, reason)


def _reading(output: NotedOutput, shape: tuple[int, ...]) -> Reading:
    """Return how to read an output, and whether its scale must show in the values."""
    call, known, name = output.call, output.known, output.name
    origin = call.origin
    key = (call.operation, origin.is_own, name, shape)
    reading = output.readings.get(key)
    if reading is None:
        if output.description is not known.description or output.card is not known.card:
            return Opaque(reason="the model was described anew just after the call"), False
        reading = known.keep_reading(key, _find_reading(call, known, name, shape))
        output.readings = known.readings
    head, verify = reading
    if (
        origin.selection is not None
        and not isinstance(head, Opaque)
        and not known.described().names_output(name)
    ):
        head = Opaque(reason=origin.selection)
    return head, verify


def _opaque(name: str | None, rows: int, reason: str) -> Decoded:
    return Decoded(task="opaque", rows=rows, output=name, opaque_reason=reason)


def _find_reading(
    call: Call, known: KnownModel, name: str | None, shape: tuple[int, ...]
) -> Reading:
    model, origin = call.subject, call.origin
    has_shapes = bool(guarded(semconv.SITE_INSPECT_THE_MODEL, own_shapes, model))
    is_own = (
        origin.is_own
        and not (
            call.operation.startswith("predict")
            and guarded(semconv.SITE_INSPECT_THE_MODEL, has_own_step, model)
        )
        # A `call` of a subclass's own around a graph may return anything.
        and not (has_shapes and not is_graph(model))
    )
    if is_own and not has_shapes and len(origin.names) == 1:
        known.note_shapes({name: shape})
    output = Output(
        name=name,
        index=origin.names.index(name),
        count=len(origin.names),
        shape=shape,
        is_own=is_own,
    )
    return head_of(model, known.described(), output, known.seen_shapes), not is_own


def undecoded(call: Call, known: KnownModel) -> tuple[Decoded, ...]:
    """Return what a failed call would have said: its task and rows, and nothing else."""
    rows = structures.row_count((call.args, call.kwargs)) or 0
    shapes = guarded(semconv.SITE_INSPECT_THE_MODEL, own_shapes, call.subject) or {None: ()}
    return tuple(
        Decoded(
            task=task_of(head_of(call.subject, known.described(), output)),
            rows=rows,
            output=output.name,
        )
        for output in outputs_by_shape(shapes)
    )
