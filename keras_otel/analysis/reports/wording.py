"""Slices and attributes in words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from keras_otel import semconv
from keras_otel.analysis.reports.numbers import duration
from keras_otel.analysis.reports.ranges import Scale, range_ends, range_text
from keras_otel.analysis.rows.feature_columns import MISSING, OTHER

Quoted = Callable[[str], str]
"""How an output sets off a text that a user chose."""

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
    semconv.CONFIDENCE_BIN: Scale(least=0, most=1),
    semconv.DURATION_BIN: Scale(least=0, written=lambda text: duration(float(text))),
}
_SPEAKS_FOR_ITSELF: Final = re.compile(r"v\d[\w.+-]*")
_LONGEST: Final = 80
_TAIL: Final = 20
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL", "AN"})
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


def noun(attribute: str, quoted: Quoted = str) -> str:
    """What an attribute is called in a sentence; its key where it has no word of its own."""
    return _NOUNS.get(attribute) or quoted(shown(attribute))


def heading(attribute: str, quoted: Quoted = str) -> str:
    """An attribute as a heading: its word with the key, so that `--by` can be given it."""
    word = noun(attribute, quoted)
    return f"{word[0].upper()}{word[1:]} ({attribute})" if attribute in _NOUNS else word


def value_text(attribute: str, value: str, quoted: Quoted = str) -> str:
    """A value as it stands in a table, with its unit: "refund", "below 0.9", "10 ms to 25 ms"."""
    if value == OTHER:
        return "all other values"
    if value == MISSING:
        return "not set"
    return range_text(value, _SCALES.get(attribute)) or quoted(shown(value))


def predicate_text(attribute: str, value: str, quoted: Quoted = str) -> str:
    """One predicate, such as "class refund", "confidence below 0.9" or "user.tier = pro"."""
    if attribute == semconv.INFERENCE_COLD and value in ("true", "false"):
        return "first call" if value == "true" else "not the first call"
    word = noun(attribute, quoted)
    if value == OTHER:
        return f"any other {word}"
    if value == MISSING:
        return f"{word} not set"
    if (span := range_text(value, _SCALES.get(attribute), in_sentence=True)) is not None:
        return f"{word} {span}"
    text = value_text(attribute, value, quoted)
    if attribute == semconv.MODEL_VERSION and _SPEAKS_FOR_ITSELF.fullmatch(value):
        return text
    return f"{word} {text}" if attribute in _NOUNS else f"{word} = {text}"


def value_ends(attribute: str, value: str) -> tuple[str | None, str | None] | None:
    """Both ends of a value that is a range, with their unit; None for another."""
    return range_ends(value, _SCALES.get(attribute))


def range_words(attribute: str) -> tuple[str, str]:
    """What stands before and between the ends of an attribute's range in a sentence."""
    return ("", " to ") if attribute in _SCALES else ("from ", " up to ")


def visible(text: str) -> str:
    """Text without characters that would move the cursor or turn the line around."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def shown(text: str) -> str:
    """A user's text inside our own: visible, not too long, and not reordering what is around it."""
    line = visible(text) or '""'
    if len(line) > _LONGEST:
        # Both ends: what tells long names apart is often at the end.
        line = f"{line[: _LONGEST - _TAIL - 1]}…{line[-_TAIL:]}"
    if any(unicodedata.bidirectional(each) in _RIGHT_TO_LEFT for each in line):
        line = f"\N{FIRST STRONG ISOLATE}{line}\N{POP DIRECTIONAL ISOLATE}"
    return line


def listed(parts: Sequence[str]) -> str:
    """Items as in a sentence: "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
