"""Describe slices and attributes in words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from keras_otel import semconv
from keras_otel.analysis.reports.numbers import duration
from keras_otel.analysis.reports.ranges import Scale, range_ends, range_text
from keras_otel.analysis.rows.feature_columns import MISSING, OTHER

Quote = Callable[[str], str]
"""Marks a user's text as a quotation, in the way of an output."""

_NOUNS: Final[Mapping[str, str]] = {
    semconv.MODEL_VERSION: "version",
    semconv.PREDICTION_CLASS: "class",
    semconv.CONFIDENCE_BIN: "confidence",
    semconv.BACKEND_NAME: "backend",
    semconv.RUNTIME_NAME: "runtime",
    semconv.INFERENCE_COLD: "first call",
    semconv.DURATION_BIN: "latency",
    semconv.MODEL_NAME: "model",
}
_SCALES: Final[Mapping[str, Scale]] = {
    semconv.CONFIDENCE_BIN: Scale(minimum=0, maximum=1),
    semconv.DURATION_BIN: Scale(minimum=0, format_end=lambda text: duration(float(text))),
}
_SPEAKS_FOR_ITSELF: Final = re.compile(r"v\d[\w.+-]*")
_LONGEST: Final = 80
_TAIL: Final = 20
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL", "AN"})
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


def family_name(eval_name: str, model: str, quote: Quote = str) -> str:
    """Name an evaluation and its upstream model."""
    return f"{quote(shown(eval_name))} by upstream model {quote(shown(model))}"


def noun(attribute: str, quote: Quote = str) -> str:
    """Return what an attribute is called in a sentence: its key if it has no word of its own."""
    return _NOUNS.get(attribute) or quote(shown(attribute))


def heading(attribute: str, quote: Quote = str) -> str:
    """Return an attribute as a heading: its word, with the key that `--by` takes."""
    word = noun(attribute, quote)
    return f"{word[0].upper()}{word[1:]} ({attribute})" if attribute in _NOUNS else word


def value_text(attribute: str, value: str, quote: Quote = str) -> str:
    """Write a value as in a table, with its unit: "refund", "below 0.9", "10 ms to 25 ms"."""
    if value == OTHER:
        return "all other values"
    if value == MISSING:
        return "not set"
    return range_text(value, _SCALES.get(attribute)) or quote(shown(value))


def predicate_text(attribute: str, value: str, quote: Quote = str) -> str:
    """Describe one predicate, such as "class refund", "confidence below 0.9" or "user.tier = pro"."""
    if attribute == semconv.INFERENCE_COLD and value in ("true", "false"):
        return "first call" if value == "true" else "not the first call"
    word = noun(attribute, quote)
    if value == OTHER:
        return f"any other {word}"
    if value == MISSING:
        return f"{word} not set"
    if (span := range_text(value, _SCALES.get(attribute), in_sentence=True)) is not None:
        return f"{word} {span}"
    text = value_text(attribute, value, quote)
    if attribute == semconv.MODEL_VERSION and _SPEAKS_FOR_ITSELF.fullmatch(value):
        return text
    return f"{word} {text}" if attribute in _NOUNS else f"{word} = {text}"


def value_ends(attribute: str, value: str) -> tuple[str | None, str | None] | None:
    """Return both ends of a value that is a range, with their unit; None if it is no range."""
    return range_ends(value, _SCALES.get(attribute))


def range_words(attribute: str) -> tuple[str, str]:
    """Return the words before and between the ends of an attribute's range in a sentence."""
    return ("", " to ") if attribute in _SCALES else ("from ", " up to ")


def visible(text: str) -> str:
    """Replace characters that would move the cursor or reverse the direction of the line."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def shown(text: str) -> str:
    """Return a user's text for a sentence: visible, not too long, and not reordering the text around it."""
    line = visible(text) or '""'
    if len(line) > _LONGEST:
        # Both ends are kept: long names often differ at the end.
        line = f"{line[: _LONGEST - _TAIL - 1]}…{line[-_TAIL:]}"
    if any(unicodedata.bidirectional(letter) in _RIGHT_TO_LEFT for letter in line):
        line = f"\N{FIRST STRONG ISOLATE}{line}\N{POP DIRECTIONAL ISOLATE}"
    return line


def listed(parts: Sequence[str]) -> str:
    """Join items as in a sentence: "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
