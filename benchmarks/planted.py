"""Generate rows with known causes of failure, to check which slices are found.

Each kind is a function of a random generator. Features are independent unless the kind says otherwise,
and the rate of failures is that of the kind's causes and of nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from keras_otel.analysis.result import Predicate, Slice

Truth = frozenset[tuple[str, str]]
"""A slice: names of features and values. `*` is any range; `from 54.6` one that starts about there."""

_ABOUT: Final = 0.1
"""Tolerance of an end of a range, as a share of the true one."""

BASE: Final = 0.08


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """Rows, their failure rate, and what makes them fail.

    Attributes:
        rows: The features.
        rate: Probability of failure of each row.
        causes: The slices that should be found.
        also: Slices that may be found too: intersections of causes.
    """

    rows: pd.DataFrame
    rate: npt.NDArray[np.float64]
    causes: tuple[Truth, ...]
    also: tuple[Truth, ...] = ()

    def count_found(self, findings: Sequence[Slice]) -> tuple[int, int]:
        """Count the causes that are among the findings, and the findings that are neither cause nor intersection."""
        causes = [cause for cause in self.causes if any(is_slice(cause, f) for f in findings)]
        first = {
            next(n for n, finding in enumerate(findings) if is_slice(cause, finding))
            for cause in causes
        }
        others = [
            finding
            for n, finding in enumerate(findings)
            if n not in first and not any(is_slice(joint, finding) for joint in self.also)
        ]
        return len(causes), len(others)


Kind = Callable[[np.random.Generator], Planted]


def is_slice(truth: Truth, finding: Slice) -> bool:
    """Return whether a finding is this slice."""
    expected = dict(truth)
    return {p.attribute for p in finding.predicates} == set(expected) and all(
        _is_value(expected[predicate.attribute], predicate) for predicate in finding.predicates
    )


def _is_value(expected: str, predicate: Predicate) -> bool:
    if expected == "*":
        return predicate.lower is not None or predicate.upper is not None
    if expected.startswith("from "):
        start = float(expected.removeprefix("from "))
        lower = predicate.lower
        return lower is not None and predicate.upper is None and abs(lower / start - 1) <= _ABOUT
    return expected == predicate.value


def slice_of(**values: str) -> Truth:
    """Name a slice."""
    return frozenset((name.rstrip("_"), value) for name, value in values.items())


def joints(*causes: Truth) -> tuple[Truth, ...]:
    """List the slices in which several causes hold together."""
    return tuple(
        frozenset().union(*several)
        for size in range(2, len(causes) + 1)
        for several in combinations(causes, size)
        if len({name for name, _ in frozenset().union(*several)})
        == len(frozenset().union(*several))
    )


def features(rng: np.random.Generator, rows: int = 6000, count: int = 8) -> pd.DataFrame:
    """Draw independent features of three to five values."""
    return pd.DataFrame(
        {f"f{n}": rng.choice([f"v{k}" for k in range(3 + n % 3)], rows) for n in range(count)}
    )


def one_pair(rng: np.random.Generator) -> Planted:
    """Plant a cause of two predicates with a risk ratio of 3."""
    rows = features(rng)
    inside = (rows.f2 == "v1") & (rows.f5 == "v2")
    return Planted(
        rows=rows,
        rate=np.where(inside, 3 * BASE, BASE),
        causes=(slice_of(f2="v1", f5="v2"),),
    )


def two_causes(rng: np.random.Generator) -> Planted:
    """Plant two independent causes, each with a risk ratio of 2.2."""
    rows = features(rng)
    rate = BASE * np.where(rows.f2 == "v1", 2.2, 1) * np.where(rows.f5 == "v2", 2.2, 1)
    causes = (slice_of(f2="v1"), slice_of(f5="v2"))
    return Planted(rows=rows, rate=rate, causes=causes, also=joints(*causes))


def correlated_causes(rng: np.random.Generator) -> Planted:
    """Plant two causes, of which one comes with the other 60 % of the time."""
    rows = features(rng)
    together = (rows.f2 == "v1") & (rng.random(len(rows)) < 0.6)
    rows.loc[together, "f5"] = "v2"
    rate = np.asarray(BASE + 0.10 * (rows.f2 == "v1") + 0.10 * (rows.f5 == "v2"))
    causes = (slice_of(f2="v1"), slice_of(f5="v2"))
    return Planted(rows=rows, rate=rate, causes=causes, also=joints(*causes))


def three_classes(rng: np.random.Generator) -> Planted:
    """Plant three classes of twelve that fail at 22 % instead of 8 %."""
    rows = features(rng)
    rows["class"] = rng.choice([f"c{n}" for n in range(12)], len(rows))
    bad = ("c1", "c2", "c3")
    return Planted(
        rows=rows,
        rate=np.where(rows["class"].isin(bad), 0.22, BASE),
        causes=tuple(slice_of(class_=name) for name in bad),
    )


def worse_version(rng: np.random.Generator) -> Planted:
    """Plant a version with a risk ratio of 1.5 in every class, where four of ten classes are hard."""
    count = 12_000
    rows = pd.DataFrame(
        {
            "class": rng.choice([f"c{n}" for n in range(10)], count),
            "version": rng.choice(["v1", "v2"], count),
            "confidence": rng.choice(["low", "middle", "high"], count),
            "backend": rng.choice(["jax", "torch"], count),
        }
    )
    hard = ("c0", "c1", "c2", "c3")
    rate = np.where(rows["class"].isin(hard), 0.20, 0.05)
    causes = (slice_of(version="v2"), *(slice_of(class_=name) for name in hard))
    return Planted(
        rows=rows,
        rate=rate * np.where(rows.version == "v2", 1.5, 1.0),
        causes=causes,
        also=joints(*causes),
    )


def exclusive_or(rng: np.random.Generator) -> Planted:
    """Plant failures of either of two values, but not both: no value alone fails more often."""
    rows = features(rng, 8000)
    rows["a"], rows["b"] = rng.choice(["0", "1"], len(rows)), rng.choice(["0", "1"], len(rows))
    return Planted(
        rows=rows,
        rate=np.where(rows.a != rows.b, 0.16, BASE),
        causes=(slice_of(a="0", b="1"), slice_of(a="1", b="0")),
    )


def nested(rng: np.random.Generator) -> Planted:
    """Plant a value with a risk ratio of 2, and in a part of it another one of 2.5."""
    rows = features(rng, 10_000)
    outer = rows.f2 == "v1"
    inner = outer & (rows.f4 == "v0")
    return Planted(
        rows=rows,
        rate=BASE * np.where(outer, 2.0, 1.0) * np.where(inner, 2.5, 1.0),
        causes=(slice_of(f2="v1"), slice_of(f2="v1", f4="v0")),
    )


def three_way(rng: np.random.Generator) -> Planted:
    """Plant a cause of three predicates with a risk ratio of 4."""
    rows = features(rng, 12_000)
    inside = (rows.f0 == "v1") & (rows.f1 == "v2") & (rows.f3 == "v0")
    return Planted(
        rows=rows,
        rate=np.where(inside, 4 * BASE, BASE),
        causes=(slice_of(f0="v1", f1="v2", f3="v0"),),
    )


def confounded(rng: np.random.Generator) -> Planted:
    """Plant two hard classes, nine of ten of whose rows go to the new version, which has no effect."""
    rows = features(rng, 10_000, 5)
    rows["class"] = rng.choice([f"c{n}" for n in range(8)], len(rows))
    hard = rows["class"].isin(["c0", "c1"])
    to_new = rng.random(len(rows)) < np.where(hard, 0.9, 0.3)
    rows["version"] = np.where(to_new, "v2", "v1")
    causes = (slice_of(class_="c0"), slice_of(class_="c1"))
    return Planted(rows=rows, rate=np.where(hard, 0.25, BASE), causes=causes)


def reversed_version(rng: np.random.Generator) -> Planted:
    """Plant a version that is worse in every class and looks better, because it gets the easy ones."""
    rows = features(rng, 12_000, 5)
    rows["class"] = rng.choice([f"c{n}" for n in range(6)], len(rows))
    hard = rows["class"].isin(["c0", "c1", "c2"])
    to_new = rng.random(len(rows)) < np.where(hard, 0.2, 0.8)
    rows["version"] = np.where(to_new, "v2", "v1")
    causes = (slice_of(version="v2"), *(slice_of(class_=f"c{n}") for n in range(3)))
    return Planted(
        rows=rows,
        rate=np.where(hard, 0.30, 0.08) * np.where(to_new, 1.6, 1.0),
        causes=causes,
        also=joints(*causes),
    )


def fading(rng: np.random.Generator) -> Planted:
    """Plant a failure rate that falls from 35 % to 5 % as the confidence rises."""
    rows = features(rng, 8000, 5)
    rows["confidence"] = rng.uniform(0.4, 1.0, len(rows))
    rate = 0.05 + 0.30 * (1.0 - rows.confidence.to_numpy()) / 0.6
    return Planted(rows=rows, rate=rate, causes=(slice_of(confidence="*"),))


def low_confidence(rng: np.random.Generator) -> Planted:
    """Plant a risk ratio of 2.5 for confidence below 0.9."""
    rows = features(rng, 8000, 5)
    confidence = np.clip(1 - rng.gamma(1.2, 0.09, len(rows)), 0.3, 1.0)
    rows["confidence"] = confidence
    return Planted(
        rows=rows,
        rate=np.where(confidence < 0.9, 2.5 * BASE, BASE),
        causes=(slice_of(confidence="[0,0.9)"),),
    )


def slow_and_new(rng: np.random.Generator) -> Planted:
    """Plant a version with a risk ratio of 3 where its latency is above the median."""
    rows = features(rng, 10_000, 5)
    rows["version"] = rng.choice(["v1", "v2"], len(rows))
    rows["latency_ms"] = rng.lognormal(4, 0.7, len(rows))
    inside = (rows.version == "v2") & (rows.latency_ms > np.exp(4))
    return Planted(
        rows=rows,
        rate=np.where(inside, 3 * BASE, BASE),
        causes=(slice_of(version="v2", latency_ms="from 54.6"),),
    )


def wide(rng: np.random.Generator) -> Planted:
    """Plant one cause among forty features."""
    rows = features(rng, 6000, 40)
    return Planted(
        rows=rows, rate=np.where(rows.f31 == "v1", 2.5 * BASE, BASE), causes=(slice_of(f31="v1"),)
    )


KINDS: Final[dict[str, Kind]] = {
    "one slice of two predicates, RR 3": one_pair,
    "two independent causes, RR 2.2 each": two_causes,
    "two causes, 60 % correlated": correlated_causes,
    "three of twelve classes, 22 % against 8 %": three_classes,
    "version 1.5 times as bad among hard classes": worse_version,
    "either of two values, not both (XOR)": exclusive_or,
    "a cause within a cause": nested,
    "three predicates together, RR 4": three_way,
    "version confounded by class": confounded,
    "Simpson: version worse in each class, better over all": reversed_version,
    "confidence below 0.9, RR 2.5": low_confidence,
    "failures fade along the confidence": fading,
    "version and a latency above its median, RR 3": slow_and_new,
    "one of forty features": wide,
}
