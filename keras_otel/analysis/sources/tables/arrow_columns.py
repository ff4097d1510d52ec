"""Spans and evaluations, collected row by row and handed on as Arrow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa

from keras_otel import semconv
from keras_otel.analysis.sources.tables.normalise import number
from keras_otel.analysis.sources.tables.schema import (
    EVALUATIONS,
    LONGEST_EXPLANATION,
    LONGEST_VALUE,
    PROMOTED,
    SPANS,
    TEXT_MAP,
)
from keras_otel.analysis.sources.tables.telemetry import Attributes, Evaluation, Span

_UPSTREAM: Final = f"{semconv.UPSTREAM_PREFIX}."
_OUTPUT: Final = f"{semconv.OUTPUT_PREFIX}."
_NESTED: Final = (_UPSTREAM, _OUTPUT)
_INT64: Final = 2**63
_FIXED_COLUMNS: Final = 10  # columns of SPANS before the promoted ones


def _integer(text: str) -> int | None:
    value = number(text)
    return None if value is None or abs(value) >= _INT64 else int(value)


def _boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


_READERS: Final[dict[pa.DataType, Callable[[str], Any]]] = {
    pa.string(): str,
    pa.float64(): number,
    pa.int64(): _integer,
    pa.bool_(): _boolean,
}
_PROMOTED: Final = [(key, _READERS[type_]) for key, type_ in PROMOTED.items()]


class TextMaps:
    """A column of maps from text to text; where it is nullable, an empty map is null."""

    def __init__(self, *, is_nullable: bool) -> None:
        self._is_nullable = is_nullable
        self.keys: list[str] = []
        self.values: list[str] = []
        self._offsets: list[int | None] = [0]

    def close_row(self) -> None:
        """End a row: its map holds the keys and values appended since the last row."""
        end = len(self.keys)
        if self._is_nullable and end == self._offsets[-1]:
            # Arrow marks a null map by the null offset at which it would start.
            self._offsets[-1] = None
        self._offsets.append(end)

    def array(self) -> pa.MapArray:
        """Return the rows so far."""
        offsets = pa.array(self._offsets, pa.int32())
        return pa.MapArray.from_arrays(offsets, text_array(self.keys), text_array(self.values))


def text_array(values: list[Any]) -> pa.Array:
    """Return text as an Arrow array; half a surrogate pair, which JSON can write, becomes `?`."""
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        valid = [v if v is None else v.encode("utf-8", "replace").decode() for v in values]
        return pa.array(valid, pa.string())


class SpanColumns:
    """Spans, column by column."""

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []
        self._promoted: list[tuple[Any, ...]] = []
        self._upstream = TextMaps(is_nullable=True)
        self._outputs = TextMaps(is_nullable=True)
        self._attributes = TextMaps(is_nullable=False)
        self._resource = TextMaps(is_nullable=False)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, span: Span) -> None:
        """Append a span."""
        attributes = span.attributes
        self._rows.append(span[:_FIXED_COLUMNS])
        if semconv.MODEL_NAME in attributes:
            self._promoted.append(
                tuple(
                    None if (text := attributes.get(key)) is None else read(text)
                    for key, read in _PROMOTED
                )
            )
        else:
            self._promoted.append(_NO_PROMOTED)
        self._add_attributes(attributes)
        resource = self._resource
        for key, text in span.resource.items():
            if len(text) <= LONGEST_VALUE:
                resource.keys.append(key)
                resource.values.append(text)
        resource.close_row()

    def _add_attributes(self, attributes: Attributes) -> None:
        """Put each attribute that has no column of its own into its map."""
        is_prediction = semconv.MODEL_NAME in attributes
        others = self._attributes
        for key, text in attributes.items():
            if key.startswith(_NESTED):
                mapped = self._upstream if key.startswith(_UPSTREAM) else self._outputs
                mapped.keys.append(key)
                mapped.values.append(text)
            elif len(text) <= LONGEST_VALUE and not (is_prediction and key in PROMOTED):
                others.keys.append(key)
                others.values.append(text)
        self._upstream.close_row()
        self._outputs.close_row()
        others.close_row()

    def batch(self) -> pa.RecordBatch:
        """Return the spans so far, by `SPANS`."""
        fixed = list(zip(*self._rows, strict=True)) or [()] * _FIXED_COLUMNS
        promoted = list(zip(*self._promoted, strict=True)) or [()] * len(PROMOTED)
        arrays: list[pa.Array] = []
        for field, values in zip(SPANS, [*fixed, *promoted], strict=False):
            is_text = field.type == pa.string()
            arrays.append(text_array(list(values)) if is_text else pa.array(values, field.type))
        maps = (self._upstream, self._outputs, self._attributes, self._resource)
        return pa.RecordBatch.from_arrays(
            [*arrays, *(column.array() for column in maps)], schema=SPANS
        )


_NO_PROMOTED: Final = (None,) * len(PROMOTED)


class EvaluationColumns:
    """Evaluations, column by column."""

    def __init__(self) -> None:
        self._rows: list[Evaluation] = []
        self._upstream = TextMaps(is_nullable=True)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, evaluation: Evaluation) -> None:
        """Append an evaluation."""
        if evaluation.explanation is not None:
            shortened = evaluation.explanation[:LONGEST_EXPLANATION]
            evaluation = evaluation._replace(explanation=shortened)
        self._rows.append(evaluation)
        if evaluation.upstream:
            self._upstream.keys.extend(evaluation.upstream.keys())
            self._upstream.values.extend(evaluation.upstream.values())
        self._upstream.close_row()

    def batch(self) -> pa.RecordBatch:
        """Return the evaluations so far, by `EVALUATIONS`."""
        columns = list(zip(*self._rows, strict=True)) or [()] * len(EVALUATIONS)
        arrays = [
            text_array(list(values)) if field.type == pa.string() else pa.array(values, field.type)
            for field, values in zip(EVALUATIONS, columns, strict=False)
            if field.type != TEXT_MAP
        ]
        return pa.RecordBatch.from_arrays([*arrays, self._upstream.array()], schema=EVALUATIONS)
