"""The Grafana dashboard: LLM failures by upstream prediction, and the predictions themselves."""

from __future__ import annotations

import json
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from keras_otel import semconv as names
from keras_otel.dashboards import expressions as promql
from keras_otel.dashboards import panels, rules
from keras_otel.dashboards.jaeger import DASHBOARD_UID, search_tags
from keras_otel.dashboards.panels import Column, Query, Text
from keras_otel.dashboards.series import (
    BIN,
    CLASS,
    ERROR,
    EVALUATION,
    EVALUATIONS,
    MODEL,
    OPERATION,
    PREDICTIONS,
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


def dashboard_model(jaeger: str) -> dict[str, Any]:
    """The dashboard, as Grafana imports it.

    Args:
        jaeger: Where Jaeger's page is; the dashboard has a field to change it.
    """
    board = (
        dashboard.Dashboard("Keras upstream of the LLM")
        .uid(DASHBOARD_UID)
        .description("LLM failures by upstream Keras prediction; predictions, confidence, latency.")
        .tags(["keras", "llm", "opentelemetry"])
        .time("now-1h", "now")
        .refresh("30s")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .variables(_variables(jaeger))
    )
    for title, row in (
        ("Which predictions do the failing answers follow?", _failures()),
        ("What is predicted", _predictions()),
        ("How sure the model is", _confidence()),
        ("How long it takes", _latency()),
        ("The telemetry itself", _telemetry()),
    ):
        board = board.with_row(dashboard.Row(title))
        for panel in row:
            board = board.with_panel(panel)
    model: dict[str, Any] = json.loads(JSONEncoder().encode(board.build()))
    return model


def _variables(jaeger: str) -> list[Any]:
    return [
        dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"),
        _labels_of("model", "Model", f"label_values({PREDICTIONS}, {MODEL})"),
        _labels_of(
            "version", "Version", f'label_values({PREDICTIONS}{{{MODEL}="$model"}}, {VERSION})'
        )
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(models.VariableOption(selected=True, text="All", value="$__all")),
        _labels_of("evaluation", "Evaluation", f"label_values({EVALUATIONS}, {EVALUATION})"),
        _labels_of("service", "Service", f"label_values({PREDICTIONS}, job)"),
        dashboard.TextBoxVariable("jaeger").label("Jaeger").default_value(jaeger),
    ]


def _labels_of(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .query(query)
        .datasource(panels.DATA_SOURCE)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )


def _failures() -> list[panels.Panel]:
    by_class = (MODEL, VERSION, CLASS)
    level = "evaluation_model_version_class:keras_evaluations_failed"
    return [
        panels.rows(
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


def _predictions() -> list[panels.Panel]:
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


def _confidence() -> list[panels.Panel]:
    level = f"model_version:{names.PREDICTION_CONFIDENCE.replace('.', '_')}"
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


def _latency() -> list[panels.Panel]:
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


def _telemetry() -> list[panels.Panel]:
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
                names.TELEMETRY_ERRORS.description,
                TELEMETRY_ERRORS,
            ),
            ("Inferences without a span", names.TELEMETRY_DROPPED.description, TELEMETRY_DROPPED),
        )
    ]


def _traces_of_row() -> str:
    """Jaeger's search for the inference spans of a table's row, in the dashboard's time range."""
    headings = {
        names.MODEL_NAME: "Model",
        names.MODEL_VERSION: "Version",
        names.PREDICTION_CLASS: "Class",
    }
    tags = {key: f"${{__data.fields.{heading}:percentencode}}" for key, heading in headings.items()}
    # Jaeger takes microseconds, Grafana has milliseconds.
    return (
        f"${{jaeger}}/search?service=${{service:percentencode}}&tags={search_tags(tags)}"
        "&start=${__from}000&end=${__to}000&lookback=custom&limit=20"
    )
