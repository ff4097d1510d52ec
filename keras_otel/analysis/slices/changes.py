"""What is new, gone, grown or shrunk since an earlier report."""

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
_ORDER: Final[tuple[ChangeKind, ...]] = ("new", "grown", "shrunk", "gone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A finding of a report."""

    eval: str
    model: str
    predicates: tuple[Predicate, ...]
    measured: Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """An earlier report.

    Attributes:
        families: Evaluation name and model of each family that it is about.
        findings: In all of them.
    """

    families: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]


def read_report(path: Path) -> Earlier:
    """Read a report that `keras-otel slice --format json` wrote.

    Raises:
        SourceError: It is not there, or is none.
    """
    try:
        document = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is no JSON: {_WANTED}") from error
    try:
        version = document["schema_version"]
        families = [(str(each["eval"]), str(each["model"])) for each in document["evals"]]
        findings = [found for each in document["evals"] for found in _findings(each)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceError(f"{path} is no report of findings: {_WANTED}") from error
    if version != _SCHEMA_VERSION:
        raise SourceError(
            f"{path} has schema_version {version!r}, not {_SCHEMA_VERSION}: write it again"
        )
    return Earlier(families=tuple(families), findings=tuple(findings))


_WANTED: Final = "--compare-to takes what 'keras-otel slice --format json' wrote"


def _findings(family: Mapping[str, Any]) -> Iterator[Finding]:
    for each in family["slices"]:
        if each["significant"] and not each.get("explained_by"):
            lower, upper = each["ci"]
            yield Finding(
                eval=str(family["eval"]),
                model=str(family["model"]),
                predicates=tuple(_predicate(p) for p in each["predicates"]),
                measured=Measured(
                    n=float(each["n"]),
                    failed=float(each["failed"]),
                    rate=float(each["rate"]),
                    ci=(float(lower), float(upper)),
                ),
            )


def _predicate(told: Mapping[str, Any]) -> Predicate:
    lower, upper = (
        None if told.get(end) is None else float(told[end]) for end in ("lower", "upper")
    )
    return Predicate(
        attribute=str(told["attribute"]),
        value=str(told["value"]),
        values=tuple(str(value) for value in told.get("values") or ()),
        lower=lower,
        upper=upper,
    )


def changes_since(result: SliceResult, earlier: Earlier) -> tuple[Change, ...]:
    """Compare findings: the same ones have the same values, and ranges of the same attributes that overlap.

    The rate of a finding has grown or shrunk where the two intervals do not overlap. Families that are in
    one of the two only have no findings that are gone.
    """
    now = [
        Finding(
            eval=family.eval,
            model=family.model,
            predicates=found.predicates,
            measured=_measured(found),
        )
        for family in result.evals
        for found in family.slices
        if found.is_finding
    ]
    there = {(family.eval, family.model) for family in result.evals}
    changes = []
    for finding in now:
        before = _closest(finding, earlier.findings)
        kind = "new" if before is None else _moved(before.measured, finding.measured)
        if kind is not None:
            changes.append(_change(kind, finding, before, finding))
    changes += [
        _change("gone", finding, finding, None)
        for finding in earlier.findings
        if (finding.eval, finding.model) in there and _closest(finding, now) is None
    ]
    return tuple(sorted(changes, key=lambda change: _ORDER.index(change.change)))


def comparison_warnings(result: SliceResult, earlier: Earlier) -> Iterator[str]:
    """What cannot be compared, because only one of the two reports is about it."""
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


def _change(kind: ChangeKind, of: Finding, before: Finding | None, after: Finding | None) -> Change:
    return Change(
        eval=of.eval,
        model=of.model,
        predicates=of.predicates,
        change=kind,
        before=None if before is None else before.measured,
        after=None if after is None else after.measured,
    )


def _measured(found: Slice) -> Measured:
    return Measured(n=found.n, failed=found.failed, rate=found.rate, ci=found.ci)


def _moved(before: Measured, after: Measured) -> ChangeKind | None:
    if after.ci[0] > before.ci[1]:
        return "grown"
    return "shrunk" if after.ci[1] < before.ci[0] else None


def _closest(finding: Finding, others: Sequence[Finding]) -> Finding | None:
    """The same finding in another report: with the very same predicates, else the first that overlaps."""
    same = [other for other in others if _is_same(finding, other)]
    exact = [other for other in same if _texts(other) == _texts(finding)]
    return next(iter([*exact, *same]), None)


def _texts(finding: Finding) -> set[tuple[str, str]]:
    return {(predicate.attribute, predicate.value) for predicate in finding.predicates}


def _is_same(one: Finding, other: Finding) -> bool:
    if (one.eval, one.model) != (other.eval, other.model):
        return False
    mine, theirs = ({p.attribute: p for p in each.predicates} for each in (one, other))
    return mine.keys() == theirs.keys() and all(
        _overlap(predicate, theirs[name]) for name, predicate in mine.items()
    )


def _overlap(one: Predicate, other: Predicate) -> bool:
    if one.value == other.value or not {*one.values}.isdisjoint(other.values):
        return True
    mine, theirs = _ends(one), _ends(other)
    if mine is None or theirs is None:
        return False
    is_below, is_above = mine[1] <= theirs[0], theirs[1] <= mine[0]
    return not (is_below or is_above)


def _ends(predicate: Predicate) -> tuple[float, float] | None:
    """A range's ends, the upper one exclusive, or a number and the next one; None for what is neither."""
    if predicate.lower is not None or predicate.upper is not None:
        low = -math.inf if predicate.lower is None else predicate.lower
        return low, math.inf if predicate.upper is None else predicate.upper
    try:
        if found := _RANGE.fullmatch(predicate.value):
            low, high = float(found[2]), float(found[3])
            return low, math.nextafter(high, math.inf) if found[4] == "]" else high
        number = float(predicate.value)
    except ValueError:
        return None
    return number, math.nextafter(number, math.inf)
