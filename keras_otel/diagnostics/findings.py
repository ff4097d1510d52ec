"""The findings of all checks, as text and as JSON."""

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
    """One problem.

    Attributes:
        message: What is wrong, as a clause without a full stop.
        fix: How to fix it, as an imperative without a full stop.
    """

    message: str
    fix: str


@dataclass(slots=True)
class Findings:
    """Facts, problems and notes, in the order in which they were found.

    Secrets in URLs are removed from every text as it is added.
    """

    facts: list[Fact] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add_fact(self, key: str, label: str, text: str, value: Any = None) -> None:
        """Add a line to the report; in JSON its value is the text unless `value` is given."""
        safe_text = redacted(text)
        self.facts.append(
            Fact(key=key, label=label, text=safe_text, value=safe_text if value is None else value)
        )

    def add_problem(self, message: str, fix: str) -> None:
        """Add a problem; any problem makes the exit code 2."""
        self.problems.append(Problem(message=redacted(message), fix=redacted(fix)))

    def add_note(self, text: str) -> None:
        """Add a remark on something that is not a problem."""
        self.notes.append(redacted(text))

    def as_json(self) -> dict[str, Any]:
        """Return the findings as JSON values."""
        return {
            "schema_version": SCHEMA_VERSION,
            "ok": not self.problems,
            "facts": {fact.key: fact.value for fact in self.facts},
            "problems": [_problem_as_json(problem) for problem in self.problems],
            "notes": self.notes,
        }

    def as_text(self, title: str, width: int) -> str:
        """Return the findings as one screen of text, its facts wrapped at `width` columns."""
        count = len(self.problems)
        summary = f"{count} problem{'s'[: count > 1]} found" if count else "no problems found"
        lines = [f"{title}: {summary}", ""]
        for fact in self.facts:
            lines += _wrapped(fact.label.ljust(_LABEL_WIDTH), fact.text, width)
        lines += _numbered("Problems", [f"{p.message}. {p.fix}." for p in self.problems])
        lines += _numbered("Notes", [f"{note}." for note in self.notes])
        return "\n".join(lines)


def _problem_as_json(problem: Problem) -> dict[str, str]:
    # `what` and `mend` are the former keys, kept for programs that read them.
    return {
        "message": problem.message,
        "fix": problem.fix,
        "what": problem.message,
        "mend": problem.fix,
    }


def _wrapped(label: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=label,
        subsequent_indent=" " * len(label),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [label.rstrip()]


def _numbered(heading: str, items: Iterable[str]) -> list[str]:
    # Not wrapped: an item on one line can be searched, piped and pasted.
    lines = [f"  {number}. {item}" for number, item in enumerate(items, 1)]
    return ["", heading, *lines] if lines else []
