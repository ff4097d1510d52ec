"""`keras-otel doctor` from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest

HEAVY = ("keras", "tf_keras", "tensorflow", "jax", "torch", "openvino")


def run_python(code: str, environ) -> str:
    """Run a program, which must succeed, and return what it printed."""
    child = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr
    return child.stdout


def test_a_healthy_setup_fits_one_screen(keras_otel_cli, http_server):
    """With a Keras that gives a span and a receiver that responds, there is no problem."""
    if find_spec("keras") is None:
        pytest.skip("Keras is not installed")
    outcome = keras_otel_cli("doctor", "--endpoint", http_server.url)
    lines = outcome.stdout.splitlines()
    assert outcome.code == 0, outcome.stdout + outcome.stderr
    assert outcome.stderr == ""
    assert lines[0].endswith(": no problems found")
    assert len(lines) <= 40
    shown = outcome.stdout
    assert "1 inference gave 1 span" in shown
    assert "keras.Model: predict, predict_on_batch, __call__" in shown
    assert "predict_on_batch doctor: class yes, confidence 0.88" in shown
    assert "Endpoint       responded 200" in shown
    assert "Dropped        none" in shown
    assert "Problems" not in shown


def test_many_problems_still_fit_one_screen(keras_otel_cli, closed_address):
    """Many problems at once are one line each, and the exit code is 2."""
    outcome = keras_otel_cli(
        "doctor",
        env={
            "KERAS_BACKEND": "tensorflo",
            "OTEL_PYTHON_KERAS_EXPORT": f"http://me:s3cret@{closed_address}",
            "OTEL_PYTHON_KERAS_MAX_ROW": "4",
            "OTEL_PYTHON_KERAS_METRICS": "perhaps",
            "OTEL_TRACES_SAMPLER": "always_off",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=s3cret",
        },
    )
    assert outcome.code == 2
    assert outcome.stdout.splitlines()[0].endswith(": 5 problems found")
    assert len(outcome.stdout.splitlines()) <= 40
    assert "s3cret" not in outcome.stdout + outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert "Did you mean 'tensorflow'?" in outcome.stdout


def test_limits_that_the_sdk_stops_at(environ):
    """A limit that is no number is one problem, though OpenTelemetry's SDK raises at its import."""
    code = 'from keras_otel.cli import main; main(["doctor"])'
    limits = {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "lots", "OTEL_SPAN_LINK_COUNT_LIMIT": "-1"}
    shown = run_python(code, {**environ, **limits})
    assert "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=lots is not a non-negative integer" in shown
    assert "OTEL_SPAN_LINK_COUNT_LIMIT=-1 is not a non-negative integer" in shown
    assert "1 inference gave 1 span" in shown
    assert "Traceback" not in shown


def test_json_has_the_same_findings(keras_otel_cli, closed_address):
    """`--json` is one object with facts, problems and notes."""
    outcome = keras_otel_cli(
        "doctor", "--no-probe", "--json", "--endpoint", f"grpc://{closed_address}"
    )
    assert outcome.code == 2
    found = outcome.json
    assert found["schema_version"] == 1
    assert found["ok"] is False
    assert found["facts"]["target"] == {
        "url": f"grpc://{closed_address}",
        "protocol": "grpc",
        "source": "--endpoint",
    }
    (problem,) = found["problems"]
    assert {"message", "fix"} <= set(problem)


def test_imports_neither_keras_nor_a_backend(environ, tmp_path):
    """The doctor's own process stays light, though the environment names a hook of the user."""
    (tmp_path / "hooks.py").write_text("raise SystemExit('the hook was imported')")
    code = f"""
import json, sys
from keras_otel.cli import main
main(["doctor", "--no-probe", "--json"])
print()
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""
    shown = run_python(
        code,
        {
            **environ,
            "PYTHONPATH": str(tmp_path),
            "OTEL_PYTHON_KERAS_ON_PREDICTION": "hooks:annotate",
        },
    )
    assert json.loads(shown.splitlines()[-1]) == []


def test_reports_a_running_program(environ, tmp_path):
    """`report()` describes the process that calls it."""
    path = tmp_path / "traces.jsonl"
    code = f"""
import keras_otel
from keras_otel.diagnostics import report
keras_otel.instrument(export="file:{path}", max_rows=8)
print(report())
"""
    shown = run_python(code, environ)
    assert ": no problems found" in shown
    assert "Instrumented   yes, Keras not imported yet" in shown
    assert "max_rows=8" in shown
    assert str(path) in shown
    assert "traces TracerProvider" in shown


def test_reports_a_program_that_lacks_everything(environ):
    """A process without instrumentation and SDK has a problem for each, with its fix."""
    shown = run_python("from keras_otel.diagnostics import report; print(report())", environ)
    assert ": 2 problems found" in shown
    assert "Call keras_otel.instrument()" in shown
    assert "no OpenTelemetry SDK is set up" in shown


def test_reports_failures_and_drops(environ):
    """Failures and drops in this process are problems."""
    code = """
import logging, os
logging.disable()
import keras_otel
from keras_otel._guard import guarded
from keras_otel.metrics import count_dropped
from keras_otel.diagnostics import report
keras_otel.instrument(export="http://me:s3cret@127.0.0.1:9")
guarded("decode", int, "x")
count_dropped("queue")
print(report(), flush=True)
os._exit(0)  # without the exporter's last attempts
"""
    shown = run_python(code, environ)
    assert "keras_otel failed internally: decode 1" in shown
    assert "inferences without a span: queue 1" in shown
    assert "http://127.0.0.1:9/v1/traces" in shown
    assert "s3cret" not in shown


def test_reports_a_provider_that_leads_nowhere(environ):
    """A provider without processor, and a sampler that drops all, are named."""
    code = """
import keras_otel
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from keras_otel.diagnostics import report
trace.set_tracer_provider(TracerProvider(sampler=ALWAYS_OFF))
keras_otel.instrument()
print(report())
"""
    shown = run_python(code, environ)
    assert "no span processor" in shown
    assert "the sampler drops every span" in shown


def test_reports_a_provider_that_cannot_be_stamped(environ):
    """A provider without a place for processors makes LLM spans without labels: that is named."""
    code = """
import keras_otel
from opentelemetry import trace
from keras_otel.diagnostics import report
class Foreign(trace.TracerProvider):
    def get_tracer(self, *args, **kwargs):
        return trace.NoOpTracer()
trace.set_tracer_provider(Foreign())
keras_otel.instrument()
print(report())
"""
    shown = run_python(code, environ)
    assert "Foreign takes no span processors" in " ".join(shown.split())


def test_checks_what_the_launcher_sets_up(environ, http_server):
    """Under opentelemetry-instrument the doctor checks the endpoint of the exporter that is set up."""
    if find_spec("opentelemetry.distro") is None:
        pytest.skip("opentelemetry-distro is not installed")
    launcher = Path(sysconfig.get_path("scripts")) / "opentelemetry-instrument"
    command = [launcher, sys.executable, "-m", "keras_otel.cli", "doctor", "--no-probe"]
    child = subprocess.run(
        command,
        env={
            **environ,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": http_server.url,
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stdout + child.stderr
    assert f"Spans go to    OTLPSpanExporter to {http_server.url}/v1/traces" in child.stdout
    assert "Endpoint       responded 200" in child.stdout


@pytest.mark.parametrize("probe", [(), ("--no-probe",)])
def test_survives_a_propagator_that_is_not_installed(keras_otel_cli, probe):
    """OpenTelemetry raises for it as it is imported; the doctor names it and goes on."""
    if not probe and find_spec("keras") is None:
        pytest.skip("Keras is not installed")
    outcome = keras_otel_cli(
        "doctor", *probe, env={"OTEL_PROPAGATORS": "tracecontext,bagage,keras"}
    )
    assert outcome.code == 2
    assert "Traceback" not in outcome.stderr
    assert outcome.stdout.splitlines()[0].endswith(": 1 problem found")
    assert "OTEL_PROPAGATORS names 'bagage'" in outcome.stdout


def test_another_command_survives_it_too(keras_otel_cli):
    """The other commands run nevertheless."""
    outcome = keras_otel_cli("slice", "--help", env={"OTEL_PROPAGATORS": "bagage"})
    assert outcome.code == 0, outcome.stderr


def test_former_paths_still_work(environ):
    """`report` and the probe moved from the command line to the diagnostics."""
    run_python(
        "import keras_otel.cli.doctor, keras_otel.diagnostics as new\n"
        "assert keras_otel.cli.doctor.report is new.report",
        environ,
    )
    child = subprocess.run(
        [sys.executable, "-m", "keras_otel.cli.probe", "--help"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    assert "--package" in child.stdout
