"""Every expression of the dashboard and the rules, against what the demo's metrics became."""

from __future__ import annotations

import json
import math
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportions_ztest

from keras_otel.dashboards import Places, documents
from keras_otel.dashboards.documents import GRAFANA
from keras_otel.dashboards.expressions import fail_rate
from keras_otel.dashboards.rules import Alert, Recording, groups
from keras_otel.dashboards.series import BIN, CLASS, SPAN_DIMENSIONS, VERSION
from tests.go_binaries import COLLECTOR_VERSION, JAEGER_VERSION, PROMETHEUS_VERSION
from tests.stack.conftest import DemoRun
from tests.stack.servers import ROOT, ask, pinned

HERE = Path(__file__).parent
RULES = ROOT / "stack" / "dashboards" / "prometheus" / "keras.yaml"
CHOSEN = {
    "$model": "intent",
    "$version": ".*",
    "$evaluation": "answer_correct",
    "$service": "chat",
    "$__rate_interval": "2m",
    "$__range": "15m",
}
CLASSES = {"ai", "coding", "emotion", "psychology", "science", "trivia"}
BY_CLASS = "evaluation_model_version_class:keras_evaluations"


def expressions() -> list[tuple[str, str]]:
    """The title of each panel, and each of its expressions, with values for the variables."""
    dashboard = json.loads(documents(Places())[GRAFANA])
    found = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"]
            for variable, value in CHOSEN.items():
                expression = expression.replace(variable, value)
            found.append((panel["title"], expression))
    return found


def recordings() -> list[Recording]:
    """The recording rules."""
    return [rule for group in groups() for rule in group.rules if isinstance(rule, Recording)]


@pytest.mark.parametrize(("title", "expression"), expressions())
def test_every_panel_has_data(demo: DemoRun, title: str, expression: str) -> None:
    """Each expression is understood and gives finite numbers."""
    assert "$" not in expression
    found = demo.stack.query(expression, demo.end_s)

    assert found, title
    assert all(math.isfinite(float(series["value"][1])) for series in found)


@pytest.mark.parametrize("rule", recordings(), ids=lambda rule: rule.name)
def test_every_recording_has_data(demo: DemoRun, rule: Recording) -> None:
    """Prometheus itself has evaluated each rule that Compose mounts."""
    found = demo.stack.query(rule.name, demo.end_s)

    assert found
    assert all(math.isfinite(float(series["value"][1])) for series in found)


def test_every_variable_has_values(demo: DemoRun) -> None:
    """What can be chosen at the top of the dashboard is there to be chosen."""
    found = {}
    for variable in json.loads(documents(Places())[GRAFANA])["templating"]["list"]:
        if variable["type"] == "query":
            series, label = re.fullmatch(
                r"label_values\((.+), (\w+)\)", variable["query"].replace("$model", "intent")
            ).groups()
            url = f"{demo.stack.prometheus}/api/v1/label/{label}/values"
            found[variable["name"]] = ask(url, **{"match[]": series})

    assert found == {
        "model": ["intent"],
        "version": ["v1", "v2"],
        "evaluation": ["answer_correct"],
        "service": ["chat"],
    }


def test_the_rules_are_healthy(demo: DemoRun) -> None:
    """No rule ended with an error, and all that the package makes are there."""
    loaded = ask(f"{demo.stack.prometheus}/api/v1/rules")["groups"]
    rules = [rule for group in loaded for rule in group["rules"]]

    assert {rule["health"] for rule in rules} == {"ok"}
    assert {rule["name"] for rule in rules} == {
        rule.name for group in groups() for rule in group.rules
    }


def test_what_never_fails_shows_as_0(demo: DemoRun) -> None:
    """Each class of a version, in each bin of confidence, has a fail rate: also without failures."""
    by = (VERSION, CLASS, BIN)

    def cells(expression: str) -> dict[tuple[str, ...], float]:
        return {
            tuple(series["metric"][label] for label in by): float(series["value"][1])
            for series in demo.stack.query(expression, demo.end_s)
        }

    rates = cells(fail_rate(by, "", "1h"))
    evaluated = cells(f"sum by ({', '.join(by)}) (keras_evaluations_total)")
    failed = cells(
        f'sum by ({", ".join(by)}) (keras_evaluations_total{{keras_evaluation_passed="false"}})'
    )
    never_failed = set(evaluated) - set(failed)

    assert set(rates) == set(evaluated)
    assert {class_name for _, class_name, _ in rates} == CLASSES
    assert len(never_failed) > 10
    assert {rates[cell] for cell in never_failed} == {0.0}
    assert all(rates[cell] > 0 for cell in failed)


def test_the_alert_compares_as_statistics_do(demo: DemoRun) -> None:
    """The recorded z is that of statsmodels' test of two proportions, on the recorded counts."""
    at = {}
    for name in (":increase1h", "_failed:increase1h", "_failed:z1h"):
        for series in demo.stack.query(f"{BY_CLASS}{name}", demo.end_s):
            metric = series["metric"]
            key = metric["keras_model_version"], metric["keras_prediction_class"]
            at.setdefault(key, {})[name] = float(series["value"][1])
    count = np.array([row[":increase1h"] for row in at.values()])
    failed = np.array([row["_failed:increase1h"] for row in at.values()])

    for index, row in enumerate(at.values()):
        z, _ = proportions_ztest(
            [failed[index], failed.sum() - failed[index]],
            [count[index], count.sum() - count[index]],
        )
        assert row["_failed:z1h"] == pytest.approx(z, rel=1e-6)


def test_the_shift_is_smirnov_s(demo: DemoRun) -> None:
    """The recorded distance is scipy's, of rows put on the boundaries of their buckets."""
    rows: dict[str, list[float]] = {}
    for version in ("v1", "v2"):
        buckets = sorted(
            (float(series["metric"]["le"]), float(series["value"][1]))
            for series in demo.stack.query(
                "sum by (le) (keras_prediction_confidence_bucket"
                f'{{keras_model_version="{version}"}})',
                demo.end_s,
            )
        )
        below = 0.0
        rows[version] = []
        for boundary, count in buckets:
            rows[version] += [min(boundary, 1.0)] * round(count - below)
            below = count
    name = "model_version:keras_prediction_confidence:shift1d"
    recorded = demo.stack.query(f'{name}{{keras_model_version="v2"}}', demo.end_s)

    distance = stats.ks_2samp(rows["v1"], rows["v2"]).statistic
    # Prometheus extrapolates counts of a window, each version's a little differently.
    assert float(recorded[0]["value"][1]) == pytest.approx(distance, abs=0.02)


def test_the_alerts_see_the_bad_retrain(demo: DemoRun) -> None:
    """On the demo's data, behind v2 and the class that takes other topics in, answers fail more."""
    alerts = {
        rule.name: rule.expression
        for group in groups()
        for rule in group.rules
        if isinstance(rule, Alert)
    }
    found = {
        (series["metric"]["keras_model_version"], series["metric"]["keras_prediction_class"])
        for series in demo.stack.query(alerts["KerasUpstreamClassFailsMore"], demo.end_s)
    }
    versions = {
        series["metric"]["keras_model_version"]
        for series in demo.stack.query(alerts["KerasUpstreamVersionFailsMore"], demo.end_s)
    }

    assert ("v2", "ai") in found
    assert {version for version, _ in found} == {"v2"}
    assert versions == {"v2"}
    assert demo.stack.query(alerts["KerasSilentRetrain"], demo.end_s) == []


def test_points_lead_to_traces(demo: DemoRun) -> None:
    """Exemplars of confidence and latency carry ids of traces that Jaeger has."""
    for metric in ("keras_prediction_confidence_bucket", "keras_inference_duration_seconds_bucket"):
        question = {"query": metric, "start": demo.end_s - 600, "end": demo.end_s}
        found = ask(f"{demo.stack.prometheus}/api/v1/query_exemplars", **question)
        ids = {
            exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]
        }
        (trace,) = ask(f"{demo.stack.jaeger}/api/traces/{min(ids)}")

        assert any(span["operationName"] == "call intent" for span in trace["spans"])


def test_span_metrics_arrive(demo: DemoRun) -> None:
    """The Collector counts each request's spans: inferences by version, LLM calls by class."""
    (total,) = demo.stack.query('sum(traces_span_metrics_calls_total{span_name="call intent"})')
    by_class = demo.stack.query(
        "sum by (keras_upstream_intent_class, keras_upstream_intent_version)"
        ' (traces_span_metrics_calls_total{gen_ai_operation_name="chat"})'
    )

    assert total["value"][1] == "1600"
    assert {series["metric"]["keras_upstream_intent_class"] for series in by_class} == CLASSES
    assert sum(float(series["value"][1]) for series in by_class) == 1600


def test_the_collector_counts_by_what_the_alert_needs() -> None:
    """The span metrics connector has the dimensions that the rules group by."""
    text = (ROOT / "stack" / "collector.yaml").read_text(encoding="utf-8")

    assert [key for key in SPAN_DIMENSIONS if f"- name: {key}\n" not in text] == []


def test_promtool_accepts_the_rules(promtool: Path) -> None:
    """`promtool check rules` has nothing to say."""
    done = subprocess.run(
        [promtool, "check", "rules", "--lint=all", RULES],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_when_it_should_and_only_then(promtool: Path) -> None:
    """`promtool test rules`, with a case of each alert."""
    cases = HERE / "alerts.yaml"
    alerts = {rule.name for group in groups() for rule in group.rules if isinstance(rule, Alert)}
    done = subprocess.run(
        [promtool, "test", "rules", cases], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert alerts == set(re.findall(r'alertname="(\w+)"', cases.read_text(encoding="utf-8")))


def test_what_is_tried_is_what_compose_starts() -> None:
    """The versions built here are those of the images."""
    # Prometheus's module is v0.315.0 where its release is 3.15.0.
    major_minor, patch = PROMETHEUS_VERSION.removeprefix("v0.").split(".")

    assert pinned("collector") == COLLECTOR_VERSION
    assert pinned("prometheus") == f"{major_minor[0]}.{major_minor[1:]}.{patch}"
    assert (pinned("jaeger"), JAEGER_VERSION) == ("2.13.0", "v1.76.0")
