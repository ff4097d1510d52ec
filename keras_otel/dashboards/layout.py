"""Lay out the rows of the Grafana dashboard: the title and expression of each panel."""

from __future__ import annotations

from typing import Final

from keras_otel import semconv
from keras_otel.dashboards import expressions as promql
from keras_otel.dashboards import panels, rules
from keras_otel.dashboards.jaeger import search_tags
from keras_otel.dashboards.panels import Column, Query, Text
from keras_otel.dashboards.series import (
    BIN,
    CLASS,
    ERROR,
    EVALUATION,
    MODEL,
    OPERATION,
    SITE,
    TELEMETRY_DROPPED,
    TELEMETRY_ERRORS,
    VERSION,
)

_PREDICTED: Final = f'{MODEL}="$model", {VERSION}=~"$version"'
_EVALUATED: Final = f'{EVALUATION}="$evaluation", {_PREDICTED}'
_INTERVAL: Final = "$__rate_interval"
_RANGE: Final = "$__range"
_SMOOTH: Final = "5m"  # few evaluations arrive between two points of a panel


def failures() -> list[panels.Panel]:
    """Return the panels on how often answers fail, by the prediction before them."""
    by_class = (MODEL, VERSION, CLASS)
    level = "evaluation_model_version_class:keras_evaluations_failed"
    return [
        panels.ranking(
            Text(
                title="Fail rate by version and class",
                description="Of the evaluations in the time range. A row links to its traces in Jaeger. "
                "Standard errors above the rest are of the last hour, from the recording rules: the alert "
                f"fires above {rules.Z_LIMIT}.",
            ),
            [
                Column(
                    title="Evaluations",
                    expression=promql.evaluated(by_class, _EVALUATED, _RANGE),
                    unit=panels.COUNT,
                ),
                Column(
                    title="Failed",
                    expression=promql.failed(by_class, _EVALUATED, _RANGE),
                    unit=panels.COUNT,
                ),
                Column(
                    title="Fail rate",
                    expression=promql.fail_rate(by_class, _EVALUATED, _RANGE),
                    unit=panels.SHARE,
                ),
                Column(
                    title="Standard errors above the rest",
                    expression=f"max by ({', '.join(by_class)}) ({level}:z1h{{{_EVALUATED}}})",
                    unit=panels.COUNT,
                ),
            ],
            {MODEL: "Model", VERSION: "Version", CLASS: "Class"},
            ("Traces in Jaeger", _traces_of_row()),
        ),
        panels.lines(
            Text(title="Fail rate by class", description="A class that never fails shows as 0."),
            [
                Query(
                    expression=promql.fail_rate((CLASS,), _EVALUATED, _SMOOTH),
                    legend=f"{{{{{CLASS}}}}}",
                    has_exemplars=True,
                )
            ],
            panels.SHARE,
        ),
        panels.lines(
            Text(
                title="Fail rate by version", description="Of all evaluations, whatever the class."
            ),
            [
                Query(
                    expression=promql.fail_rate((VERSION,), _EVALUATED, _SMOOTH),
                    legend=f"{{{{{VERSION}}}}}",
                )
            ],
            panels.SHARE,
        ),
        panels.bars(
            Text(
                title="Fail rate by confidence",
                description="Of the evaluations in the time range, by the confidence of the prediction "
                "before the answer.",
            ),
            Query(expression=promql.fail_rate((BIN,), _EVALUATED, _RANGE), legend="fail rate"),
            BIN,
            panels.SHARE,
        ),
        panels.lines(
            Text(
                title="Evaluations by version",
                description="How many say whether the answer passed: a rate of few is no finding.",
            ),
            [
                Query(
                    expression=promql.evaluated((VERSION,), _EVALUATED, _SMOOTH),
                    legend=f"{{{{{VERSION}}}}} in {_SMOOTH}",
                )
            ],
            panels.COUNT,
        ),
    ]


def predictions() -> list[panels.Panel]:
    """Return the panels on what is predicted."""
    return [
        panels.lines(
            Text(title="Predictions by class", description="Rows predicted per second."),
            [
                Query(
                    expression=promql.predictions((CLASS,), _PREDICTED, _INTERVAL),
                    legend=f"{{{{{CLASS}}}}}",
                )
            ],
            panels.PER_SECOND,
            stacked=True,
        ),
        panels.lines(
            Text(
                title="Predictions by version",
                description="Rows predicted per second: where a new version takes over.",
            ),
            [
                Query(
                    expression=promql.predictions((VERSION,), _PREDICTED, _INTERVAL),
                    legend=f"{{{{{VERSION}}}}}",
                )
            ],
            panels.PER_SECOND,
            stacked=True,
        ),
        panels.lines(
            Text(
                title="Share of each class, by version",
                description="A retrain that prefers other classes shows before its answers are judged.",
            ),
            [
                Query(
                    expression=promql.prediction_share(
                        (VERSION, CLASS), (VERSION,), _PREDICTED, _SMOOTH
                    ),
                    legend=f"{{{{{VERSION}}}}} {{{{{CLASS}}}}}",
                )
            ],
            panels.SHARE,
        ),
    ]


def confidence() -> list[panels.Panel]:
    """Return the panels on the model's confidence and how it differs between versions."""
    level = f"model_version:{semconv.PREDICTION_CONFIDENCE.replace('.', '_')}"
    return [
        panels.lines(
            Text(
                title="Mean confidence by version",
                description="Mean probability of the predicted class; points lead to traces.",
            ),
            [
                Query(
                    expression=promql.mean_confidence((VERSION,), _PREDICTED, _INTERVAL),
                    legend=f"{{{{{VERSION}}}}}",
                    has_exemplars=True,
                )
            ],
            panels.SHARE,
        ),
        panels.lines(
            Text(
                title="Shift of confidence from the other versions",
                description="Kolmogorov-Smirnov distance of the last day, and the limit that chance "
                "exceeds once in a thousand, from the recording rules.",
            ),
            [
                Query(expression=f"{level}:shift1d{{{_PREDICTED}}}", legend=f"{{{{{VERSION}}}}}"),
                Query(
                    expression=f"{level}:shift_limit1d{{{_PREDICTED}}}",
                    legend=f"{{{{{VERSION}}}}}: limit",
                ),
            ],
            panels.SHARE,
        ),
        panels.heat_map(
            Text(
                title="Confidence of $version",
                description="Rows by probability of the predicted class; points lead to traces.",
            ),
            Query(
                expression=promql.confidence_buckets(_PREDICTED, _INTERVAL),
                legend="{{le}}",
                has_exemplars=True,
            ),
            repeated_for="version",
        ),
    ]


def latency() -> list[panels.Panel]:
    """Return the panels on the latency and number of calls."""
    by = (VERSION, OPERATION)
    legend = f"{{{{{VERSION}}}}} {{{{{OPERATION}}}}}"
    return [
        panels.lines(
            Text(
                title="Latency by version",
                description="The call alone: median and the slowest in a hundred; points lead to traces.",
            ),
            [
                Query(
                    expression=promql.latency(quantile, by, _PREDICTED, _INTERVAL),
                    legend=f"{legend} {name}",
                    has_exemplars=True,
                )
                for quantile, name in ((0.5, "p50"), (0.99, "p99"))
            ],
            panels.SECONDS,
        ),
        panels.lines(
            Text(title="Calls", description="Inferences per second, by what they failed with."),
            [
                Query(
                    expression=promql.calls((VERSION, ERROR), _PREDICTED, _INTERVAL),
                    legend=f"{{{{{VERSION}}}}} {{{{{ERROR}}}}}",
                )
            ],
            panels.PER_SECOND,
            stacked=True,
        ),
    ]


def telemetry() -> list[panels.Panel]:
    """Return the panels on errors and losses of keras_otel itself."""
    return [
        panels.number(
            Text(title=title, description=description),
            Query(
                expression=f"sum by ({SITE}) (increase({series}[{_RANGE}])) or vector(0)",
                legend=f"{{{{{SITE}}}}}",
            ),
            panels.COUNT,
        )
        for title, description, series in (
            (
                "Errors inside keras_otel",
                semconv.TELEMETRY_ERRORS.description,
                TELEMETRY_ERRORS,
            ),
            ("Inferences without a span", semconv.TELEMETRY_DROPPED.description, TELEMETRY_DROPPED),
        )
    ]


def _traces_of_row() -> str:
    """Return the address of Jaeger's search for the inference spans of a row, in the dashboard's time range."""
    headings = {
        semconv.MODEL_NAME: "Model",
        semconv.MODEL_VERSION: "Version",
        semconv.PREDICTION_CLASS: "Class",
    }
    tags = {key: f"${{__data.fields.{heading}:percentencode}}" for key, heading in headings.items()}
    # Jaeger takes microseconds, Grafana has milliseconds.
    return (
        f"${{jaeger}}/search?service=${{service:percentencode}}&tags={search_tags(tags)}"
        "&start=${__from}000&end=${__to}000&lookback=custom&limit=20"
    )
