"""What `keras-otel dashboards export` writes is made of the names that keras_otel emits."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from keras_otel import semconv
from keras_otel.dashboards import Places, documents, export
from keras_otel.dashboards.documents import GRAFANA, JAEGER, PROMETHEUS
from keras_otel.dashboards.rules import Alert, Recording, groups
from keras_otel.dashboards.series import label, series
from keras_otel.errors import DashboardError

STACK = Path(__file__).parents[2] / "stack" / "dashboards"
PLACES = Places(service="chat")
DOCUMENTS = documents(PLACES)

LABELS = {label(key) for key in semconv.ATTRIBUTES}
SERIES = {
    f"{series(metric)}{suffix}"
    for metric in semconv.METRICS.values()
    for suffix in (("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",))
}
RECORDED = {rule.name for group in groups() for rule in group.rules if isinstance(rule, Recording)}


def expressions() -> list[str]:
    """Every PromQL expression of the dashboard and the rules, and the queries of its variables."""
    dashboard = json.loads(DOCUMENTS[GRAFANA])
    rules = yaml.safe_load(DOCUMENTS[PROMETHEUS])
    return [
        *(target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())),
        *(str(each["query"]) for each in dashboard["templating"]["list"] if "query" in each),
        *(rule["expr"] for group in rules["groups"] for rule in group["rules"]),
    ]


@pytest.mark.parametrize("expression", expressions())
def test_every_name_is_one_that_is_emitted(expression: str) -> None:
    """Series and labels come from `semconv`, so that a renamed attribute takes them along."""
    for name in re.findall(r"\w+:\w+:\w+", expression):
        assert name in RECORDED
    for name in re.findall(r"(?<![\w:])(?:keras|gen_ai|error)_\w+(?![\w:])", expression):
        assert name in LABELS | SERIES, name


def test_names_in_prometheus() -> None:
    """As the OTLP receiver of Prometheus was seen to write them."""
    assert {name: series(metric) for name, metric in semconv.METRICS.items()} == {
        "keras.inference.duration": "keras_inference_duration_seconds",
        "keras.prediction.confidence": "keras_prediction_confidence",
        "keras.predictions": "keras_predictions_total",
        "keras.evaluations": "keras_evaluations_total",
        "keras.telemetry.errors": "keras_telemetry_errors_total",
        "keras.telemetry.dropped": "keras_telemetry_dropped_total",
    }


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_the_stack_has_the_newest(name: str) -> None:
    """What Compose mounts is what the package makes: `make dashboards` writes it."""
    assert (STACK / name).read_text(encoding="utf-8") == DOCUMENTS[name]


def test_nothing_old_is_left_in_the_stack() -> None:
    """Each file there is one that the package makes."""
    files = {str(path.relative_to(STACK)) for path in STACK.rglob("*") if path.is_file()}

    assert files == set(DOCUMENTS)


def test_every_alert_says_what_and_why() -> None:
    """Each has a summary and a description, and both name labels that its series have."""
    for rule in (rule for group in groups() for rule in group.rules):
        if isinstance(rule, Alert):
            assert rule.summary
            assert rule.description
            for name in re.findall(r"\$labels\.(\w+)", rule.summary + rule.description):
                assert name in LABELS


def test_every_panel_says_what_it_shows() -> None:
    """Each panel has a title of its own, a description and a place."""
    dashboard = json.loads(DOCUMENTS[GRAFANA])
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    places = [
        (x, y)
        for panel in panels
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len({panel["title"] for panel in panels}) == len(panels)
    assert all(panel["description"] for panel in panels)
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24


def test_every_query_has_its_letter() -> None:
    """Grafana tells the queries of a panel apart by them."""
    for panel in json.loads(DOCUMENTS[GRAFANA])["panels"]:
        letters = [target["refId"] for target in panel.get("targets", ())]

        assert letters == list("ABCDEFGH"[: len(letters)])


def test_points_and_rows_lead_to_traces() -> None:
    """Panels of fail rate, confidence and latency ask for exemplars; the table links to Jaeger."""
    panels = {panel["title"]: panel for panel in json.loads(DOCUMENTS[GRAFANA])["panels"]}
    with_points = {
        title
        for title, panel in panels.items()
        if any(target.get("exemplar") for target in panel.get("targets", ()))
    }
    ((link,),) = [
        panel["fieldConfig"]["defaults"]["links"]
        for panel in panels.values()
        if panel.get("fieldConfig", {}).get("defaults", {}).get("links")
    ]

    assert with_points >= {"Fail rate by class", "Mean confidence by version", "Latency by version"}
    assert link["url"].startswith("${jaeger}/search?service=${service:percentencode}&tags=%7B%22")
    for key in (semconv.MODEL_NAME, semconv.MODEL_VERSION, semconv.PREDICTION_CLASS):
        assert f"%22{key}%22:%22${{__data.fields." in link["url"]


def test_jaeger_links_only_from_what_is_emitted() -> None:
    """Every link hangs on an attribute of ours, and uses no other value than that attribute's."""
    patterns = json.loads(DOCUMENTS[JAEGER])["linkPatterns"]
    for pattern in patterns:
        if pattern["type"] != "traces":
            assert pattern["key"] in semconv.ATTRIBUTES
            used = set(re.findall(r"#\{([^}]+)\}", pattern["url"] + pattern["text"]))
            assert used == {pattern["key"]}

    without_service = json.loads(documents(Places())[JAEGER])["linkPatterns"]
    assert {pattern["url"] for pattern in patterns if "/search" in pattern["url"]}
    assert not [pattern for pattern in without_service if "/search" in pattern["url"]]


def test_places_are_where_the_user_says() -> None:
    """Grafana links to the given Jaeger, Jaeger to the given Grafana and service."""
    made = documents(Places(grafana="https://g.example", jaeger="https://j.example", service="a b"))

    assert "https://j.example" in made[GRAFANA]
    assert "localhost" not in made[GRAFANA] + made[JAEGER]
    assert "https://g.example/d/keras-upstream" in made[JAEGER]
    assert "service=a%20b" in made[JAEGER]


def test_the_same_twice(tmp_path: Path) -> None:
    """Two processes write the same files, and writing again changes nothing."""
    code = (
        "import sys, pathlib; from keras_otel.dashboards import Places, export;"
        "export(pathlib.Path(sys.argv[1]), Places())"
    )
    for folder in ("a", "b"):
        subprocess.run([sys.executable, "-c", code, tmp_path / folder], check=True)
    first = export(tmp_path / "a", Places())

    for path in first:
        other = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == other.read_bytes()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file in the place of the folder is one clear line."""
    (tmp_path / "taken").write_text("")

    with pytest.raises(DashboardError, match=r"taken/grafana/.* cannot be written: "):
        export(tmp_path / "taken", Places())
