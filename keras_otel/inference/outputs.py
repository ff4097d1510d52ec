"""What the outputs of a call say: from a model's arrays to `Decoded` records."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_otel._guard import guarded
from keras_otel.decoding.decode import decode
from keras_otel.decoding.heads import Head, Opaque
from keras_otel.inference.call import Call
from keras_otel.inference.own_outputs import has_own_step
from keras_otel.introspection import arrays, structures
from keras_otel.introspection.arrays import Array, Place
from keras_otel.introspection.graph import is_graph
from keras_otel.introspection.inspection import Output, own_shapes
from keras_otel.introspection.output_heads import head_of, outputs_by_shape, task_of
from keras_otel.introspection.registry import KnownModel
from keras_otel.options import Options
from keras_otel.records import Decoded


def as_numpy(leaf: Any) -> Array | None:
    """The numbers of a leaf, or None where they cannot be read."""
    return leaf if type(leaf) is np.ndarray else guarded("read the output", arrays.to_numpy, leaf)


class OutputReader:
    """Reads outputs by the heads of their model, with one set of options."""

    def __init__(self, options: Options) -> None:
        self._max_rows = options.max_rows
        self._count_classes = options.metrics

    def read(
        self, call: Call, known: KnownModel, output: str | None, leaf: Any, place: Place
    ) -> Decoded:
        """Read one output that is at hand."""
        if place is Place.OTHER:
            reason = f"output of type {type(leaf).__name__} is no dense array"
        else:
            array = as_numpy(leaf)
            if array is not None:
                return self.read_array(call, known, output, array)
            reason = f"output of type {type(leaf).__name__} cannot be read"
        rows = structures.row_count(leaf)
        if rows is None:
            rows = structures.row_count((call.args, call.kwargs)) or 0
        return Decoded(task="opaque", rows=rows, output=output, opaque_reason=reason)

    def read_array(
        self, call: Call, known: KnownModel, output: str | None, array: Array
    ) -> Decoded:
        """Read one output's numbers."""
        origin = call.origin
        if origin.doubt is not None:
            rows = structures.row_count(array) or 0
            return Decoded(task="opaque", rows=rows, output=output, opaque_reason=origin.doubt)
        key = (call.operation, origin.is_own, output, array.shape[1:])
        reading = known.readings.get(key)
        if reading is None:
            reading = known.keep_reading(key, self._reading(call, known, output, array))
        head, verify = reading
        if (
            origin.selection is not None
            and not isinstance(head, Opaque)
            and not known.described().names_output(output)
        ):
            head = Opaque(reason=origin.selection)
        decoded = guarded(
            "decode",
            decode,
            head,
            array,
            max_rows=self._max_rows,
            verify=verify,
            count_classes=self._count_classes,
            output=output,
        )
        if decoded is not None:
            return decoded
        rows = structures.row_count(array) or 0
        return Decoded(task="opaque", rows=rows, output=output, opaque_reason="decoding failed")

    def _reading(
        self, call: Call, known: KnownModel, name: str | None, array: Array
    ) -> tuple[Head, bool]:
        """The head of an output, and whether its scale must show in the values."""
        model, origin = call.subject, call.origin
        has_shapes = bool(guarded("inspect the model", own_shapes, model))
        is_own = (
            origin.is_own
            and not (
                call.operation.startswith("predict")
                and guarded("inspect the model", has_own_step, model)
            )
            # A `call` of a subclass's own around a graph may return anything.
            and not (has_shapes and not is_graph(model))
        )
        shape = array.shape[1:]
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
    """What a failed call would have said: its task and rows, and nothing else."""
    rows = structures.row_count((call.args, call.kwargs)) or 0
    shapes = guarded("inspect the model", own_shapes, call.subject) or {None: ()}
    return tuple(
        Decoded(
            task=task_of(head_of(call.subject, known.described(), output)),
            rows=rows,
            output=output.name,
        )
        for output in outputs_by_shape(shapes)
    )
