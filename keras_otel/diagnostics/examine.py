"""What is patched, where spans go, and what is wrong."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from typing import Final, ParamSpec, TypeVar

from keras_otel._guard import guarded
from keras_otel.diagnostics.endpoint import check_answer
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.packages import check_packages
from keras_otel.diagnostics.target import check_target
from keras_otel.diagnostics.trial import check_trial
from keras_otel.diagnostics.variables import check_variables
from keras_otel.options import Options
from keras_otel.version import __version__

TITLE: Final = f"keras_otel {__version__}"
_WIDTHS: Final = (60, 110)

P = ParamSpec("P")
R = TypeVar("R")


def examine(
    environ: Mapping[str, str], *, endpoint: str | None = None, trial_timeout_s: float | None = None
) -> Findings:
    """Everything that can be found from outside the program.

    Args:
        environ: The environment that the program would get.
        endpoint: A target to ask instead of the environment's, as for `instrument(export=)`.
        trial_timeout_s: The longest time for the trial; None leaves it out.
    """
    # Here and not above: it loads OpenTelemetry's propagators, by a name that may be misspelt.
    from keras_otel.diagnostics.process import check_providers, is_set_up, process_target

    findings = Findings()
    runtime = _checked(findings, "packages", check_packages, findings, environ)
    _checked(findings, "variables", check_variables, findings, environ)
    if endpoint is None and is_set_up():
        # Started by opentelemetry-instrument: what it set up here, it sets up for the program.
        _checked(findings, "providers", check_providers, findings, Options())
        target = _checked(findings, "exporters", process_target)
    else:
        target = _checked(findings, "target", check_target, findings, environ, endpoint)
    if target is not None:
        _checked(findings, "endpoint", check_answer, findings, environ, target)
    if runtime is not None and trial_timeout_s is not None:
        _checked(findings, "trial", check_trial, findings, environ, runtime, trial_timeout_s)
    return findings


def report() -> str:
    """What is switched on in the current process, as text.

    For a program that runs: whether it is instrumented, what is patched, its options, providers
    and exporters, what failed and what was dropped. Asks no endpoint.
    """
    from keras_otel.diagnostics.process import check_process

    findings = Findings()
    _checked(findings, "this process", check_process, findings)
    return findings.as_text(f"{TITLE} in process {os.getpid()}", terminal_width())


def _checked(
    findings: Findings, name: str, check: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> R | None:
    """One check; where it breaks, the others still run."""
    has_run = False

    def attempt() -> R:
        nonlocal has_run
        result = check(*args, **kwargs)
        has_run = True
        return result

    result = guarded(f"doctor: {name}", attempt)
    if not has_run:
        findings.wrong(f"the check of {name} broke", "Report it with the line in the log")
    return result


def terminal_width() -> int:
    """Return the columns to print in: those of the terminal, within bounds that read well."""
    narrowest, widest = _WIDTHS
    return min(max(shutil.get_terminal_size((100, 40)).columns, narrowest), widest)
