"""The trial: one inference of the installed Keras, instrumented, in a child process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Final

from keras_otel import semconv
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.instrumentation import check_counts, group_by_owner
from keras_otel.diagnostics.packages import Runtime
from keras_otel.diagnostics.variables import HOOK_VARIABLE

_PROBE_MODULE: Final = "keras_otel.diagnostics.probe"
_SHOW_TRACEBACK: Final = f"For the full traceback run: python -m {_PROBE_MODULE}"
# On the CPU, as a service may hold the accelerator and its memory at this moment.
_CHILD_VARIABLES: Final = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    "JAX_PLATFORMS": "cpu",
}


def check_trial(
    findings: Findings, environ: Mapping[str, str], runtime: Runtime, timeout_s: float
) -> None:
    """Check that an inference in a child process gives one span, within `timeout_s` seconds."""
    if not runtime.is_ready:
        findings.add_fact("trial", "Trial", "skipped: Keras or its backend is not installed", {})
        return
    result = _run_probe(findings, environ, runtime, timeout_s)
    if result is None:
        findings.add_fact("trial", "Trial", "failed", {})
        return
    spans = result["spans"]
    count = len(spans)
    findings.add_fact(
        "trial",
        "Trial",
        f"{result['package']} {result['version']} on {result['backend']}: 1 inference gave "
        f"{count} span{'s'[: count != 1]}, {result['duration_s']:.1f} s with imports",
        {key: value for key, value in result.items() if key not in ("failures", "dropped")},
    )
    findings.add_fact("patched", "Patched", group_by_owner(result["patched"]), result["patched"])
    if spans:
        findings.add_fact("recorded", "Recorded", _format_span(spans[0]), spans[0])
    check_counts(findings, result["failures"], result["dropped"])
    if count != 1:
        findings.add_problem(
            f"one inference gave {count} spans", f"Report it with this output. {_SHOW_TRACEBACK}"
        )
    if not result["is_undone"]:
        findings.add_problem(
            "uninstrument() did not restore keras.Model", "Report it with this output"
        )


def _format_span(span: Mapping[str, Any]) -> str:
    attributes = span["attributes"]
    labels = {
        semconv.PREDICTION_CLASS: "class",
        semconv.PREDICTION_CONFIDENCE: "confidence",
        semconv.MODEL_VERSION: "version",
    }
    values = [
        f"{label} {_format_value(attributes[key])}"
        for key, label in labels.items()
        if key in attributes
    ]
    return f"{span['name']}: {', '.join(values)} ({len(attributes)} attributes)"


def _format_value(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _run_probe(
    findings: Findings, environ: Mapping[str, str], runtime: Runtime, timeout_s: float
) -> dict[str, Any] | None:
    """Return what the child process printed; None where it failed, which is then a problem."""
    command = [sys.executable, "-m", _PROBE_MODULE, "--package", str(runtime.package)]
    if hook := environ.get(HOOK_VARIABLE, "").strip():
        command += ["--hook", hook]
    # The probe ignores OTEL_ variables; with some values OpenTelemetry could not be imported.
    inherited = {name: value for name, value in environ.items() if not name.startswith("OTEL_")}
    try:
        child = subprocess.run(  # noqa: S603 - our own module under this very interpreter
            command,
            env={**inherited, **_CHILD_VARIABLES},
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        findings.add_problem(
            f"the trial took longer than {timeout_s:.0f} s",
            "Allow more time with --timeout, or skip it with --no-probe",
        )
        return None
    if child.returncode == 0:
        result: dict[str, Any] = json.loads(child.stdout)
        for line in _stripped_lines(child.stderr):
            if line.startswith("keras_otel:"):
                findings.add_note(f"The trial logged: {line.rstrip('.')}")
        return result
    package = "" if runtime.package == "keras" else f" --package {runtime.package}"
    findings.add_problem(
        f"the trial {_describe_failure(child.returncode, child.stderr)}", _SHOW_TRACEBACK + package
    )
    return None


def _describe_failure(code: int, stderr: bytes) -> str:
    if code < 0:
        return f"was terminated by {signal.Signals(-code).name}"
    lines = _stripped_lines(stderr)
    return f"failed: {lines[-1].rstrip('.')}" if lines else f"exited with code {code}"


def _stripped_lines(output: bytes) -> list[str]:
    lines = map(str.strip, output.decode(errors="replace").splitlines())
    return [line for line in lines if line]
