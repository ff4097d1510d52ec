"""Build Prometheus's recording and alerting rules.

Alerts compare recorded series, so that these can be looked up and plotted. They answer four questions: Does a
class or version fail more often than the rest? Did the confidence shift between versions? Is a version slow?
Was a model retrained under the same version label?
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from keras_otel.dashboards import expressions as promql
from keras_otel.dashboards.series import (
    CLASS,
    CONFLICT,
    DURATION,
    EVALUATION,
    MODEL,
    OPERATION,
    SPAN_CALLS,
    VERSION,
)

_COUNT: Final = "keras_evaluations"
_FAILURES: Final = "keras_evaluations_failed"
_EVALUATIONS_WINDOW: Final = "1h"
_CONFIDENCE_WINDOW: Final = "1d"
_LATENCY_WINDOW: Final = "30m"
_LATENCY_BASE: Final = "1d"

Z_LIMIT: Final = 4
"""Standard errors above the rest: chance exceeds it once in 30 000 comparisons, since many are made."""

LEAST_EVALUATIONS: Final = 30
LEAST_DIFFERENCE: Final = 0.05
LEAST_SHIFT: Final = 0.1
LEAST_CALLS: Final = 100
SLOWER: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recorded series; `name` is `level:metric:operation`."""

    name: str
    expression: str

    def as_dict(self) -> dict[str, Any]:
        """Return the rule as in Prometheus's rule files."""
        return {"record": self.name, "expr": self.expression}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert: its condition, for how long that must hold, and its message."""

    name: str
    expression: str
    holds_for: str
    summary: str
    description: str
    labels: dict[str, str] = field(default_factory=lambda: {"severity": "warning"})

    def as_dict(self) -> dict[str, Any]:
        """Return the rule as in Prometheus's rule files."""
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": self.holds_for,
            "labels": self.labels,
            "annotations": {"summary": self.summary, "description": self.description},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules that are evaluated one after the other."""

    name: str
    rules: tuple[Recording | Alert, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the group as in Prometheus's rule files."""
        return {"name": self.name, "rules": [rule.as_dict() for rule in self.rules]}


def groups() -> tuple[Group, ...]:
    """Return all groups of rules."""
    return (
        _failures("class", (MODEL, VERSION, CLASS), f"class {{{{ $labels.{CLASS} }}}} of "),
        _failures("version", (MODEL, VERSION), ""),
        _confidence(),
        _latency(),
        _retrains(),
    )


def rule_file() -> dict[str, Any]:
    """Return the content of a file for Prometheus's `rule_files`."""
    return {"groups": [group.as_dict() for group in groups()]}


def _failures(subject: str, by: tuple[str, ...], prefix: str) -> Group:
    """Alert if answers fail more often after one class or version than after the rest.

    The test is that of two proportions p1 of n1 and p2 of n2 evaluations, with the pooled rate p:
    z = (p1 - p2) / sqrt(p * (1 - p) * (1 / n1 + 1 / n2)).
    """
    level = f"evaluation_model_version{'_class' if CLASS in by else ''}"
    over = _EVALUATIONS_WINDOW
    count, failures = f"{level}:{_COUNT}:increase{over}", f"{level}:{_FAILURES}:increase{over}"
    all_, all_failures = f"{level}:{_COUNT}:total{over}", f"{level}:{_FAILURES}:total{over}"
    rate, rest, z = (
        f"{level}:{_FAILURES}:{operation}{over}" for operation in ("ratio", "ratio_rest", "z")
    )
    total = f"sum by ({EVALUATION}, {MODEL})"
    times_total = f"* on ({EVALUATION}, {MODEL}) group_left () {total}"
    pooled = f"({all_failures} / {all_})"
    return Group(
        name=f"keras_failures_by_{subject}",
        rules=(
            Recording(name=count, expression=promql.evaluated((EVALUATION, *by), "", over)),
            Recording(name=failures, expression=promql.failed((EVALUATION, *by), "", over)),
            # The total gets the labels of each series, so that the rest is a difference of matching series.
            Recording(name=all_, expression=f"{count} ^ 0 {times_total} ({count})"),
            Recording(name=all_failures, expression=f"{count} ^ 0 {times_total} ({failures})"),
            Recording(name=rate, expression=f"{failures} / ({count} > 0)"),
            Recording(
                name=rest, expression=f"({all_failures} - {failures}) / (({all_} - {count}) > 0)"
            ),
            Recording(
                name=z,
                expression=f"({rate} - {rest}) / sqrt({pooled} * (1 - {pooled})"
                f" * (1 / {count} + 1 / ({all_} - {count})))",
            ),
            Alert(
                name=f"KerasUpstream{subject.title()}FailsMore",
                expression=f"{z} > {Z_LIMIT} and {count} >= {LEAST_EVALUATIONS}"
                f" and {rate} > {rest} + {LEAST_DIFFERENCE}",
                holds_for="5m",
                summary=f"{{{{ $labels.{EVALUATION} }}}} fails more often after {prefix}"
                f"{{{{ $labels.{MODEL} }}}} {{{{ $labels.{VERSION} }}}} than after the rest",
                description="It is {{ $value | humanize }} standard errors above the rest in the last "
                f"{over}. keras-otel slice tells whether it holds, and for what else.",
            ),
        ),
    )


def _confidence() -> Group:
    """Alert if the confidences of a version differ from those of the others."""
    level = "model_version:keras_prediction_confidence"
    window = _CONFIDENCE_WINDOW
    shift, limit = f"{level}:shift{window}", f"{level}:shift_limit{window}"
    return Group(
        name="keras_confidence",
        rules=(
            Recording(
                name=f"{level}:mean1h",
                expression=promql.mean_confidence((MODEL, VERSION), "", "1h"),
            ),
            Recording(name=shift, expression=promql.confidence_shift("", window)),
            Recording(name=limit, expression=promql.confidence_shift_limit("", window)),
            Alert(
                name="KerasConfidenceShift",
                expression=f"{shift} > {limit} and {shift} > {LEAST_SHIFT}",
                holds_for="10m",
                summary=f"{{{{ $labels.{MODEL} }}}} {{{{ $labels.{VERSION} }}}} is not as sure, or surer, "
                "than the model's other versions",
                description="The distributions of confidence of the last day are "
                "{{ $value | humanizePercentage }} apart (Kolmogorov-Smirnov distance), more than chance.",
            ),
        ),
    )


def _latency() -> Group:
    """Alert if a version is slower than usual."""
    by = (MODEL, VERSION, OPERATION)
    calls = f"model_version_operation:{DURATION}_count:increase{_LATENCY_WINDOW}"
    now = f"model_version_operation:{DURATION}:p99_{_LATENCY_WINDOW}"
    usual = f"model_operation:{DURATION}:p99_usual{_LATENCY_BASE}"
    return Group(
        name="keras_latency",
        rules=(
            Recording(name=calls, expression=promql.completed(by, "", _LATENCY_WINDOW)),
            Recording(
                name=now,
                expression=f"{promql.latency(0.99, by, '', _LATENCY_WINDOW)} and {calls} > 0",
            ),
            # The median over a day, of the fastest version: neither a slow hour nor a new version that
            # has always been slow becomes the usual latency.
            Recording(
                name=usual,
                expression=f"min by ({MODEL}, {OPERATION}) "
                f"(quantile_over_time(0.5, {now}[{_LATENCY_BASE}]))",
            ),
            Alert(
                name="KerasInferenceSlow",
                expression=f"{now} > on ({MODEL}, {OPERATION}) group_left () ({SLOWER} * {usual})"
                f" and {calls} >= {LEAST_CALLS}",
                holds_for="10m",
                summary=f"{{{{ $labels.{OPERATION} }}}} of {{{{ $labels.{MODEL} }}}} "
                f"{{{{ $labels.{VERSION} }}}} is slow",
                description="One call in a hundred takes {{ $value | humanizeDuration }} or longer, more "
                f"than {SLOWER} times as long as is usual.",
            ),
        ),
    )


def _retrains() -> Group:
    """Alert if one version label has several fingerprints."""
    count = "model_version:keras_model_fingerprints:count1d"
    conflicts = "model_version:keras_model_version_conflicts:increase1d"
    return Group(
        name="keras_retrains",
        rules=(
            Recording(name=count, expression=promql.fingerprints("1d")),
            Recording(
                name=conflicts,
                expression=f"sum by ({MODEL}, {VERSION}) "
                f'(increase({SPAN_CALLS}{{{CONFLICT}="true"}}[1d]))'
                f" or 0 * {count}",
            ),
            Alert(
                name="KerasSilentRetrain",
                expression=f"{count} > 1 or {conflicts} > 0",
                holds_for="0m",
                summary=f"{{{{ $labels.{MODEL} }}}} {{{{ $labels.{VERSION} }}}} has other weights under "
                "the same version",
                description="In the last day the same version label was seen with more than one "
                "fingerprint: a retrain, a quantisation or a broken deployment that nobody announced.",
            ),
        ),
    )
