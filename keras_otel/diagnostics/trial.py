"""A trial: the installed Keras, instrumented, in a child process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

from keras_otel import semconv
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.packages import Runtime
from keras_otel.diagnostics.propagators import VARIABLE
from keras_otel.diagnostics.variable_values import unreadable_limits
from keras_otel.diagnostics.variables import HOOK

_SEE_IT: Final = "See it whole: python -m keras_otel.diagnostics.probe"


def check_trial(
    findings: Findings, environ: Mapping[str, str], runtime: Runtime, timeout_s: float
) -> None:
    """Run one inference in a child process and say what came of it."""
    if not runtime.is_ready:
        findings.fact("trial", "Trial", "not run: Keras or its backend is missing", {})
        return
    outcome = _run(findings, environ, runtime, timeout_s)
    if outcome is None:
        findings.fact("trial", "Trial", "failed", {})
        return
    spans = outcome["spans"]
    count = len(spans)
    findings.fact(
        "trial",
        "Trial",
        f"{outcome['package']} {outcome['version']} on {outcome['backend']}: 1 inference gave "
        f"{count} span{'s'[: count != 1]}, {outcome['duration_s']:.1f} s with imports",
        {key: value for key, value in outcome.items() if key not in ("failures", "dropped")},
    )
    findings.fact("patched", "Patched", grouped(outcome["patched"]), outcome["patched"])
    if spans:
        findings.fact("recorded", "Recorded", _recorded(spans[0]), spans[0])
    check_counts(findings, outcome["failures"], outcome["dropped"])
    if count != 1:
        findings.wrong(
            f"one inference gave {count} spans", f"Report it with this output. {_SEE_IT}"
        )
    if not outcome["is_undone"]:
        findings.wrong("uninstrument() left something on keras.Model", "Report it with this output")


def check_counts(
    findings: Findings, failures: Mapping[str, int], dropped: Mapping[str, int]
) -> None:
    """What keras_otel could not do, and which inferences got no span."""
    findings.fact("dropped", "Dropped", _counts(dropped), dict(dropped))
    findings.fact("failures", "Failures", _counts(failures), dict(failures))
    if failures:
        findings.wrong(
            f"keras_otel failed inside: {_counts(failures)} (predictions are not affected)",
            "Set the logger keras_otel to DEBUG and report the traceback",
        )
    if dropped:
        findings.wrong(
            f"inferences without a span: {_counts(dropped)}",
            "More were waiting for the accelerator than the queue holds; call models in larger "
            "batches or with less concurrency",
        )


def grouped(patched: Iterable[str]) -> str:
    """Dotted names as `keras.Model: predict, fit; ...`, the owner said once."""
    owners: dict[str, list[str]] = {}
    for name in patched:
        owner, _, attribute = name.rpartition(".")
        shown = f"{owner.partition('.')[0]}.{owner.rpartition('.')[2]}"
        owners.setdefault(shown, []).append(attribute)
    return "; ".join(f"{owner}: {', '.join(group)}" for owner, group in owners.items()) or "nothing"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{site} {count}" for site, count in counts.items()) or "none"


def _recorded(span: Mapping[str, Any]) -> str:
    attributes = span["attributes"]
    known = (
        ("class", semconv.PREDICTION_CLASS),
        ("confidence", semconv.PREDICTION_CONFIDENCE),
        ("version", semconv.MODEL_VERSION),
    )
    parts = [f"{word} {_brief(attributes[key])}" for word, key in known if key in attributes]
    return f"{span['name']}: {', '.join(parts)} ({len(attributes)} attributes)"


def _brief(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _run(
    findings: Findings, environ: Mapping[str, str], runtime: Runtime, timeout_s: float
) -> dict[str, Any] | None:
    command = [
        sys.executable,
        "-m",
        "keras_otel.diagnostics.probe",
        "--package",
        str(runtime.package),
    ]
    if hook := environ.get(HOOK, "").strip():
        command += ["--hook", hook]
    # On the CPU: a service may hold the accelerator, and its memory, at this moment.
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
    left_out = {VARIABLE, *unreadable_limits(environ)}  # they are found by another check
    try:
        child = subprocess.run(  # noqa: S603 - our own module under this very interpreter
            command,
            env={k: v for k, v in {**environ, **quiet}.items() if k not in left_out},
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        findings.wrong(
            f"the trial took longer than {timeout_s:.0f} s",
            "Allow it more with --timeout, or leave it out with --no-probe",
        )
        return None
    if child.returncode == 0:
        outcome: dict[str, Any] = json.loads(child.stdout)
        for line in _lines(child.stderr):
            if line.startswith("keras_otel:"):
                findings.note(f"The trial logged: {line.rstrip('.')}")
        return outcome
    package = "" if runtime.package == "keras" else f" --package {runtime.package}"
    findings.wrong(f"the trial {_death(child.returncode, child.stderr)}", _SEE_IT + package)
    return None


def _death(code: int, stderr: bytes) -> str:
    if code < 0:
        return f"died of {signal.Signals(-code).name}"
    lines = _lines(stderr)
    return f"failed: {lines[-1].rstrip('.')}" if lines else f"ended with code {code}"


def _lines(stderr: bytes) -> list[str]:
    lines = map(str.strip, stderr.decode(errors="replace").splitlines())
    return [line for line in lines if line]
