"""Decide whether an evaluation failed: by its own verdict, else by a rule of the user."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import ibis
import ibis.expr.types as ir

from keras_otel.errors import SourceError

PASSING: Final = ("pass", "passed", "true")
FAILING: Final = ("fail", "failed", "false")

Operator = Literal["<", "<=", ">", ">=", "==", "!="]

_RULE = re.compile(
    r"\s*(?P<name>.+?)\s*:\s*(?P<field>score|label)\s*(?P<operator><=|>=|==|!=|=|<|>)\s*(?P<bound>.+?)\s*"
)
_EXAMPLE: Final = "write it as 'faithfulness: score<0.5' or 'verdict: label=no'"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailRule:
    """A rule that marks an evaluation as failed, by a comparison of its score or label.

    Attributes:
        name: Name of the evaluation.
        field: The field that is compared.
        operator: The comparison.
        bound: The value it is compared with; a number for a score.
    """

    name: str
    field: Literal["score", "label"]
    operator: Operator
    bound: float | str

    @classmethod
    def parse(cls, text: str) -> FailRule:
        """Parse a rule such as `faithfulness: score<0.5`.

        Raises:
            SourceError: The text is no rule.
        """
        match = _RULE.fullmatch(text)
        if match is None:
            raise SourceError(f"the rule {text!r} cannot be read: {_EXAMPLE}")
        operator = cast("Operator", "==" if match["operator"] == "=" else match["operator"])
        if match["field"] == "label":
            if operator not in ("==", "!="):
                raise SourceError(f"the rule {text!r} compares a label by {operator}: {_EXAMPLE}")
            return cls(name=match["name"], field="label", operator=operator, bound=match["bound"])
        try:
            bound = float(match["bound"])
        except ValueError:
            bound = math.nan
        if not math.isfinite(bound):
            raise SourceError(f"the rule {text!r} compares a score with no number: {_EXAMPLE}")
        return cls(name=match["name"], field="score", operator=operator, bound=bound)

    def failed(self, evaluations: ir.Table) -> ir.BooleanValue:
        """Return whether each evaluation failed; null where it has no such score or label."""
        left: Any = evaluations.score
        right: Any = self.bound
        if self.field == "label":
            left, right = _word(evaluations.label), str(self.bound).strip().lower()
        match self.operator:
            case "<":
                return cast("ir.BooleanValue", left < right)
            case "<=":
                return cast("ir.BooleanValue", left <= right)
            case ">":
                return cast("ir.BooleanValue", left > right)
            case ">=":
                return cast("ir.BooleanValue", left >= right)
            case "==":
                return cast("ir.BooleanValue", left == right)
            case "!=":
                return cast("ir.BooleanValue", left != right)


def failed(evaluations: ir.Table, rules: Sequence[FailRule]) -> ir.BooleanValue:
    """Return whether each evaluation failed; null where neither it nor a rule decides.

    In this order: a rule for the label, the boolean, a label such as `pass` or `fail`, a rule for the score. Pass or
    fail is never guessed from a score.
    """
    word = _word(evaluations.label)
    return cast(
        "ir.BooleanValue",
        ibis.coalesce(
            _by_rules(evaluations, [rule for rule in rules if rule.field == "label"]),
            ~evaluations.passed,
            ibis.cases((word.isin(FAILING), True), (word.isin(PASSING), False)),
            _by_rules(evaluations, [rule for rule in rules if rule.field == "score"]),
        ),
    )


def _by_rules(evaluations: ir.Table, rules: Sequence[FailRule]) -> ir.Value:
    if not rules:
        return ibis.null("boolean")
    return ibis.cases(
        *((evaluations.name == rule.name, rule.failed(evaluations)) for rule in rules)
    )


def _word(label: ir.StringValue) -> ir.StringValue:
    return label.strip().lower()
