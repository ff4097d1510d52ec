"""Compare findings with those of an earlier report: which are new, gone, grown or shrunk."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from keras_otel.analysis.result import Change, ChangeKind, Measured, Predicate, Slice, SliceResult
from keras_otel.errors import SourceError

_SCHEMA_VERSION: Final = 1
_RANGE: Final = re.compile(r"([\[(])([^,\s]+),\s*([^,\s]+)([\])])")
_EXPECTED: Final = "--compare-to takes what 'keras-otel slice --format json' wrote"
_ORDER: Final[tuple[ChangeKind, ...]] = ("new", "grown", "shrunk", "gone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A finding of a report."""

    eval: str
    model: str
    predicates: tuple[Predicate, ...]
    measured: Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierReport:
    """An earlier report.

    Attributes:
        families: Evaluation name and model of each family in it.
        findings: The findings of all families.
    """

    families: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]


def read_report(path: Path) -> EarlierReport:
    """Read a report that `keras-otel slice --format json` wrote.

    Raises:
        SourceError: The file cannot be read, or is no such report.
    """
    try:
        document = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is no JSON: {_EXPECTED}") from error
    try:
        version = document["schema_version"]
        families = [(str(family["eval"]), str(family["model"])) for family in document["evals"]]
        findings = [finding for family in document["evals"] for finding in _findings(family)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceError(f"{path} is no report of findings: {_EXPECTED}") from error
    if version != _SCHEMA_VERSION:
        raise SourceError(
            f"{path} has schema_version {version!r}, not {_SCHEMA_VERSION}: write it again"
        )
    return EarlierReport(families=tuple(families), findings=tuple(findings))


def _findings(family: Mapping[str, Any]) -> Iterator[Finding]:
    """Read the findings of one family of a report."""
    for slice_ in family["slices"]:
        if slice_["significant"] and not slice_.get("explained_by"):
            lower, upper = slice_["ci"]
            yield Finding(
                eval=str(family["eval"]),
                model=str(family["model"]),
                predicates=tuple(_predicate(p) for p in slice_["predicates"]),
                measured=Measured(
                    n=float(slice_["n"]),
                    failed=float(slice_["failed"]),
                    rate=float(slice_["rate"]),
                    ci=(float(lower), float(upper)),
                ),
            )


def _predicate(document: Mapping[str, Any]) -> Predicate:
    """Read one predicate of a report."""
    lower, upper = (
        None if document.get(end) is None else float(document[end]) for end in ("lower", "upper")
    )
    return Predicate(
        attribute=str(document["attribute"]),
        value=str(document["value"]),
        values=tuple(str(value) for value in document.get("values") or ()),
        lower=lower,
        upper=upper,
    )


def changes_since(result: SliceResult, earlier: EarlierReport) -> tuple[Change, ...]:
    """Compare the findings of a result with those of an earlier report.

    Two findings are the same if they have the same values of the same attributes; ranges need only overlap.
    The rate of a finding has grown or shrunk if the two intervals do not overlap. A finding is gone only if
    its family is in both.
    """
    now = [
        Finding(
            eval=family.eval,
            model=family.model,
            predicates=slice_.predicates,
            measured=_measured(slice_),
        )
        for family in result.evals
        for slice_ in family.slices
        if slice_.is_finding
    ]
    families = {(family.eval, family.model) for family in result.evals}
    changes = []
    for finding in now:
        before = _closest(finding, earlier.findings)
        kind = "new" if before is None else _rate_change(before.measured, finding.measured)
        if kind is not None:
            changes.append(_change(kind, finding, before, finding))
    changes += [
        _change("gone", finding, finding, None)
        for finding in earlier.findings
        if (finding.eval, finding.model) in families and _closest(finding, now) is None
    ]
    return tuple(sorted(changes, key=lambda change: _ORDER.index(change.change)))


def comparison_warnings(result: SliceResult, earlier: EarlierReport) -> Iterator[str]:
    """Name the evaluations and models that only one of the two reports has."""
    now = [(family.eval, family.model) for family in result.evals]
    for eval_name, model in earlier.families:
        if (eval_name, model) not in now:
            yield (
                f"{eval_name} by upstream model {model} is in the earlier report and not in what was read: its findings "
                "are not compared"
            )
    for eval_name, model in now:
        if (eval_name, model) not in earlier.families:
            yield f"{eval_name} by upstream model {model} is not in the earlier report: all its findings are new"


def _change(
    kind: ChangeKind, finding: Finding, before: Finding | None, after: Finding | None
) -> Change:
    return Change(
        eval=finding.eval,
        model=finding.model,
        predicates=finding.predicates,
        change=kind,
        before=None if before is None else before.measured,
        after=None if after is None else after.measured,
    )


def _measured(slice_: Slice) -> Measured:
    return Measured(n=slice_.n, failed=slice_.failed, rate=slice_.rate, ci=slice_.ci)


def _rate_change(before: Measured, after: Measured) -> ChangeKind | None:
    """Return how a rate has changed; None if the intervals overlap."""
    if after.ci[0] > before.ci[1]:
        return "grown"
    return "shrunk" if after.ci[1] < before.ci[0] else None


def _closest(finding: Finding, others: Sequence[Finding]) -> Finding | None:
    """Return the same finding of another report: one with equal predicates, else the first that overlaps."""
    same = [other for other in others if _is_same(finding, other)]
    exact = [other for other in same if _predicate_texts(other) == _predicate_texts(finding)]
    return next(iter([*exact, *same]), None)


def _predicate_texts(finding: Finding) -> set[tuple[str, str]]:
    return {(predicate.attribute, predicate.value) for predicate in finding.predicates}


def _is_same(first: Finding, second: Finding) -> bool:
    if (first.eval, first.model) != (second.eval, second.model):
        return False
    in_first = {predicate.attribute: predicate for predicate in first.predicates}
    in_second = {predicate.attribute: predicate for predicate in second.predicates}
    return in_first.keys() == in_second.keys() and all(
        _overlap(predicate, in_second[name]) for name, predicate in in_first.items()
    )


def _overlap(first: Predicate, second: Predicate) -> bool:
    """Return whether two predicates on one attribute have a value in common."""
    if first.value == second.value or not {*first.values}.isdisjoint(second.values):
        return True
    first_bounds, second_bounds = _bounds(first), _bounds(second)
    if first_bounds is None or second_bounds is None:
        return False
    is_below, is_above = first_bounds[1] <= second_bounds[0], second_bounds[1] <= first_bounds[0]
    return not (is_below or is_above)


def _bounds(predicate: Predicate) -> tuple[float, float] | None:
    """Return the bounds of a range or a number, the upper one exclusive; None if the value is neither.

    The bounds of a number are itself and the next larger double.
    """
    if predicate.lower is not None or predicate.upper is not None:
        low = -math.inf if predicate.lower is None else predicate.lower
        return low, math.inf if predicate.upper is None else predicate.upper
    try:
        if match := _RANGE.fullmatch(predicate.value):
            low, high = float(match[2]), float(match[3])
            return low, math.nextafter(high, math.inf) if match[4] == "]" else high
        number = float(predicate.value)
    except ValueError:
        return None
    return number, math.nextafter(number, math.inf)
