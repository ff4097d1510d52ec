"""The Grafana dashboard: LLM failures by upstream prediction, and the predictions themselves."""

from __future__ import annotations

import json
from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from keras_otel.dashboards import layout, panels
from keras_otel.dashboards.jaeger import DASHBOARD_UID
from keras_otel.dashboards.series import (
    EVALUATION,
    EVALUATIONS,
    MODEL,
    PREDICTIONS,
    VERSION,
)


def dashboard_model(jaeger: str) -> dict[str, Any]:
    """Return the dashboard as Grafana imports it.

    Args:
        jaeger: Address of Jaeger; the dashboard has a field to change it.
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
        ("Which predictions do the failing answers follow?", layout.failures()),
        ("What is predicted", layout.predictions()),
        ("How sure the model is", layout.confidence()),
        ("How long it takes", layout.latency()),
        ("The telemetry itself", layout.telemetry()),
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
