"""What was exported, read back from the OTLP JSON lines and shown as a table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import corpus
from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

_WIDTHS = {"topic": 12, "class": 14, "conf.": 5, "version": 19, "ms": 6}
_GAP = 2
_INDENT = "  "
# On a narrower screen the topic column makes room for the question.
_WIDE = 100
_LEGEND = "! marks a wrong class. The first call of each operation is slower: set-up."


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One inference: what its span says, and the question, which no span carries."""

    question: corpus.Question
    operation: str
    predicted: str
    confidence: float
    version: str
    latency_s: float
    is_cold: bool

    @property
    def is_right(self) -> bool:
        """True if the model found the question's topic."""
        return self.predicted == self.question.topic


def read_rows(path: Path) -> list[Row]:
    """The inferences in a file, each with its question.

    Raises:
        ValueError: The file does not hold one span for each question asked.
    """
    asked = [q for number in range(corpus.ROUNDS) for q in corpus.round_of(number)]
    spans = sorted(_spans(path), key=lambda span: int(span["startTimeUnixNano"]))
    if len(spans) != len(asked):
        raise ValueError(
            f"{path}: {len(spans)} spans for {len(asked)} inferences; OTEL_SDK_DISABLED or "
            "OTEL_TRACES_SAMPLER in the environment may hold them back: unset both"
        )
    return [_row(span, question) for span, question in zip(spans, asked, strict=True)]


def show(rows: Sequence[Row], console: Console) -> None:
    """Print the table, one block for each way of calling the model; `!` marks a wrong class."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    columns = [name for name in _WIDTHS if name != "topic" or console.width >= _WIDE]
    left = console.width - sum(_WIDTHS[name] + _GAP for name in columns)
    longest = max(len(row.question.text) + len(_INDENT) for row in rows)
    table.add_column("operation, question", no_wrap=True, width=max(12, min(left, longest)))
    for name in columns:
        justify: JustifyMethod = "right" if name in ("conf.", "ms") else "left"
        table.add_column(name, no_wrap=True, min_width=_WIDTHS[name], justify=justify)
    operation = ""
    for row in rows:
        if row.operation != operation:
            operation = row.operation
            table.add_row(Text(operation, style="bold"))
        cells = _cells(row)
        table.add_row(Text(_INDENT + row.question.text), *(cells[name] for name in columns))
    console.print(table)
    console.print(_LEGEND, style="dim")


def _cells(row: Row) -> dict[str, Text]:
    # Text, not str: a question may hold square brackets, which rich takes for markup.
    predicted = (
        Text(row.predicted, style="green")
        if row.is_right
        else Text(f"{row.predicted} !", style="bold red")
    )
    return {
        "topic": Text(row.question.topic, style="dim"),
        "class": predicted,
        "conf.": Text(f"{row.confidence:.2f}"),
        "version": Text(row.version, style="cyan"),
        "ms": Text(f"{row.latency_s * 1000:.1f}", style="dim" if row.is_cold else ""),
    }


def _spans(path: Path) -> Iterator[dict[str, Any]]:
    """Inference spans of a file of OTLP JSON lines; its metrics and logs are passed over."""
    for line in path.read_text(encoding="utf-8").splitlines():
        for resource in json.loads(line).get("resourceSpans", ()):
            for scope in resource["scopeSpans"]:
                if scope["scope"]["name"] == "keras_otel":
                    yield from scope["spans"]


def _row(span: dict[str, Any], question: corpus.Question) -> Row:
    facts = {pair["key"]: _value(pair["value"]) for pair in span["attributes"]}
    return Row(
        question=question,
        operation=facts["keras.operation.name"],
        predicted=facts["keras.prediction.class"],
        confidence=facts["keras.prediction.confidence"],
        version=facts["keras.model.version"],
        latency_s=facts["keras.inference.duration"],
        is_cold=facts["keras.inference.cold"],
    )


def _value(value: dict[str, Any]) -> Any:
    """A value of OTLP JSON: `{"doubleValue": 0.93}` is 0.93; its integers are text."""
    ((kind, content),) = value.items()
    return int(content) if kind == "intValue" else content
