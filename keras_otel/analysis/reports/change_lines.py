"""Describe what has changed since an earlier report, a sentence for each change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from keras_otel.analysis.reports import wording
from keras_otel.analysis.reports.numbers import count, percent, percent_range
from keras_otel.analysis.reports.slice_lines import slice_name
from keras_otel.analysis.reports.wording import Quote
from keras_otel.analysis.result import Change, ChangeKind, Measured

CHANGES: Final = "Since the earlier report"
NO_CHANGE: Final = "No finding is new, gone, or has another rate."

_WORDS: Final[dict[ChangeKind, str]] = {
    "new": "New",
    "grown": "Grown",
    "shrunk": "Shrunk",
    "gone": "Gone",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeLine:
    """One change: what kind it is, and the rest of the sentence."""

    word: str
    text: str


def change_lines(changes: Sequence[Change], quote: Quote = str) -> Iterator[ChangeLine]:
    """Put changes into words: "New: class refund fails in 31 % (28 % to 34 %) of 900 rows"."""
    several = len({(change.eval, change.model) for change in changes}) > 1
    for change in changes:
        name = slice_name(change.predicates, quote)
        where = ""
        if several:
            where = f", in {wording.family_name(change.eval, change.model, quote)}"
        yield ChangeLine(word=_WORDS[change.change], text=f"{name}{where}: {_rates(change)}")


def _rates(change: Change) -> str:
    before, after = change.before, change.after
    if after is None:
        return f"was {_rate(before)}" if before else ""
    return f"{_rate(after)}, was {_rate(before)}" if before else _rate(after)


def _rate(measured: Measured) -> str:
    interval = percent_range(measured.ci)
    return f"{percent(measured.rate)} of {count(measured.n, 'row')} ({interval})"
