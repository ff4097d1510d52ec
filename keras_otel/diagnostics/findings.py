"""What the checks found, and how it is printed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from keras_otel._secrets import redacted

SCHEMA_VERSION: Final = 1

_LABEL_WIDTH: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of the report.

    Attributes:
        key: Its key in JSON.
        label: Its name in the text.
        text: Its value in the text.
        value: Its value in JSON.
    """

    key: str
    label: str
    text: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong, and how to mend it."""

    what: str
    mend: str


@dataclass(slots=True)
class Findings:
    """Facts, problems and notes, in the order in which they were found."""

    facts: list[Fact] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def fact(self, key: str, label: str, text: str, value: Any = None) -> None:
        """Add a line; in JSON its value is the text unless `value` is given."""
        shown = redacted(text)
        self.facts.append(
            Fact(key=key, label=label, text=shown, value=shown if value is None else value)
        )

    def wrong(self, what: str, mend: str) -> None:
        """Add a problem."""
        self.problems.append(Problem(what=redacted(what), mend=redacted(mend)))

    def note(self, text: str) -> None:
        """Add what is good to know and breaks nothing."""
        self.notes.append(redacted(text))

    def add(self, others: Findings) -> None:
        """Append everything of another."""
        self.facts += others.facts
        self.problems += others.problems
        self.notes += others.notes

    def as_json(self) -> dict[str, Any]:
        """The findings as JSON values."""
        return {
            "schema_version": SCHEMA_VERSION,
            "ok": not self.problems,
            "facts": {fact.key: fact.value for fact in self.facts},
            "problems": [{"what": p.what, "mend": p.mend} for p in self.problems],
            "notes": self.notes,
        }

    def as_text(self, title: str, width: int) -> str:
        """The findings as one screen of text."""
        count = len(self.problems)
        verdict = "nothing is wrong" if not count else f"{count} thing{'s'[: count > 1]} wrong"
        lines = [f"{title}: {verdict}", ""]
        for fact in self.facts:
            lines += _hanging(fact.label.ljust(_LABEL_WIDTH), fact.text, width)
        lines += _listed("Wrong", [f"{p.what}. {p.mend}." for p in self.problems])
        lines += _listed("Good to know", [f"{note}." for note in self.notes])
        return "\n".join(lines)


def _hanging(label: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=label,
        subsequent_indent=" " * len(label),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [label.rstrip()]


def _listed(heading: str, items: Iterable[str]) -> list[str]:
    # One line each, however long: a line can be searched, piped and pasted.
    lines = [f"  {number}. {item}" for number, item in enumerate(items, 1)]
    return ["", heading, *lines] if lines else []
