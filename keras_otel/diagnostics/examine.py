"""Run all checks, of the environment or of the current process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from typing import Final, ParamSpec, TypeVar

from keras_otel._guard import guarded
from keras_otel.diagnostics.endpoint import check_endpoint
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.packages import check_packages
from keras_otel.diagnostics.target import check_target
from keras_otel.diagnostics.trial import check_trial
from keras_otel.diagnostics.variables import check_variables
from keras_otel.options import Options
from keras_otel.version import __version__

TITLE: Final = f"keras_otel {__version__}"

_MIN_WIDTH: Final = 60
_MAX_WIDTH: Final = 110

P = ParamSpec("P")
R = TypeVar("R")


def examine(
    environ: Mapping[str, str], *, endpoint: str | None = None, trial_timeout_s: float | None = None
) -> Findings:
    """Run every check that is possible from outside the program.

    Args:
        environ: The environment that the program would get.
        endpoint: A target to check instead of the environment's, as for `instrument(export=)`.
        trial_timeout_s: The longest time for the trial; None skips it.
    """
    # Here and not above: it loads OpenTelemetry's propagators, by a name that may be misspelt.
    from keras_otel.diagnostics.providers import check_providers, is_set_up, process_target

    findings = Findings()
    runtime = _run_check(findings, "packages", check_packages, findings, environ)
    _run_check(findings, "variables", check_variables, findings, environ)
    if endpoint is None and is_set_up():
        # Started by opentelemetry-instrument: what it set up here, it sets up for the program.
        _run_check(findings, "providers", check_providers, findings, Options())
        target = _run_check(findings, "exporters", process_target)
    else:
        target = _run_check(findings, "target", check_target, findings, environ, endpoint)
    if target is not None:
        _run_check(findings, "endpoint", check_endpoint, findings, environ, target)
    if runtime is not None and trial_timeout_s is not None:
        _run_check(findings, "trial", check_trial, findings, environ, runtime, trial_timeout_s)
    return findings


def report() -> str:
    """Return, as text, how the current process is instrumented and what is wrong.

    It covers what is patched, the options, providers and exporters, the inferences seen, and what
    failed or was dropped. No endpoint is contacted.
    """
    # Here for the same reason as in `examine`.
    from keras_otel.diagnostics.process import check_process

    findings = Findings()
    _run_check(findings, "this process", check_process, findings)
    return findings.as_text(f"{TITLE} in process {os.getpid()}", terminal_width())


def terminal_width() -> int:
    """Return the columns to print in: those of the terminal, within bounds that read well."""
    columns = shutil.get_terminal_size((100, 40)).columns
    return min(max(columns, _MIN_WIDTH), _MAX_WIDTH)


def _run_check(
    findings: Findings, name: str, check: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> R | None:
    """Run one check; where it raises, add a problem and return None, so that the others still run."""
    # A check may return None, so its result does not say whether it raised.
    is_complete = False

    def run() -> R:
        nonlocal is_complete
        result = check(*args, **kwargs)
        is_complete = True
        return result

    result = guarded(f"doctor: {name}", run)
    if not is_complete:
        findings.add_problem(f"the check of {name} failed", "Report it with the line in the log")
    return result
