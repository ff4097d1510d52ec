"""What the outputs of a call say: from a model's arrays to `Decoded` records."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_otel._call import Call
from keras_otel._guard import guarded
from keras_otel._models import KnownModel
from keras_otel.decoding.decode import decode
from keras_otel.decoding.heads import Head
from keras_otel.options import Options
from keras_otel.records import Decoded
from keras_otel.runtimes import arrays, structures
from keras_otel.runtimes.arrays import Array, Place
from keras_otel.runtimes.heads import head_of, task_of
from keras_otel.runtimes.inspection import output_columns
from keras_otel.runtimes.structures import Leaf


def leaves_of(call: Call, result: Any) -> list[Leaf]:
    """The outputs of a call.

    Those of the one model call inside an overridden `predict` that returns no arrays itself,
    but for instance label texts.
    """
    leaves = structures.named_leaves(result, call.subject)
    inner = call.inner
    if inner is not None and len(inner) == 1 and not _are_arrays(leaves):
        return structures.named_leaves(inner[0], call.subject)
    return leaves


def _are_arrays(leaves: list[Leaf]) -> bool:
    return any(place is not Place.OTHER for _, _, place in leaves)


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
        columns = array.shape[-1] if array.ndim > 1 else None
        head: Head | None = known.heads.get((output, columns))
        if head is None:
            head = head_of(call.subject, known.described(), output, columns)
            known.heads[output, columns] = head
        decoded = guarded(
            "decode",
            decode,
            head,
            array,
            max_rows=self._max_rows,
            verify=call.model is not None or call.operation == "traced",
            count_classes=self._count_classes,
            output=output,
        )
        if decoded is not None:
            return decoded
        rows = structures.row_count(array) or 0
        return Decoded(task="opaque", rows=rows, output=output, opaque_reason="decoding failed")


def undecoded(call: Call, known: KnownModel) -> tuple[Decoded, ...]:
    """What a failed call would have said: its task and rows, and nothing else."""
    rows = structures.row_count((call.args, call.kwargs)) or 0
    columns = guarded("inspect the model", output_columns, call.subject) or {None: None}
    heads = {name: head_of(call.subject, known.described(), name, n) for name, n in columns.items()}
    return tuple(
        Decoded(task=task_of(head), rows=rows, output=name) for name, head in heads.items()
    )
