"""`keras-otel doctor`: what is patched, where spans go, and what is wrong."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Callable, Mapping
from typing import Final, ParamSpec, TypeVar

from keras_otel._guard import guarded
from keras_otel._secrets import redacted
from keras_otel.cli.checks.answers import check_answer
from keras_otel.cli.checks.findings import Findings
from keras_otel.cli.checks.packages import check_packages
from keras_otel.cli.checks.propagators import VARIABLE, without_unknown
from keras_otel.cli.checks.targets import check_target
from keras_otel.cli.checks.trial import check_trial
from keras_otel.cli.checks.values import unreadable_limits
from keras_otel.cli.checks.variables import check_variables
from keras_otel.cli.command import Command
from keras_otel.errors import OptionError
from keras_otel.options import Options, resolve
from keras_otel.version import __version__

_TITLE: Final = f"keras_otel {__version__}"
_WIDTHS: Final = (60, 110)

P = ParamSpec("P")
R = TypeVar("R")


def add_options(command: argparse.ArgumentParser) -> None:
    """The options of `keras-otel doctor`."""
    command.add_argument(
        "--endpoint",
        metavar="URL",
        type=_endpoint,
        help="ask this target instead of the environment's: http://host:4318, "
        "grpc://host:4317 or file:traces.jsonl",
    )
    command.add_argument(
        "--no-probe", action="store_true", help="leave the trial with the installed Keras out"
    )
    command.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=60.0,
        help="longest time for the trial (default: 60)",
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(parsed: argparse.Namespace) -> int:
    """Look, print, and return 0 if nothing is wrong, else 2."""
    environ = dict(os.environ)
    # What cannot be read is said of `environ`; here it would only keep OpenTelemetry from loading.
    loadable = without_unknown(environ)
    if loadable is not None:
        os.environ[VARIABLE] = loadable
    for limit in unreadable_limits(environ):
        del os.environ[limit]
    findings = examine(
        environ,
        endpoint=parsed.endpoint,
        trial_timeout_s=None if parsed.no_probe else parsed.timeout,
    )
    if parsed.json:
        print(json.dumps(findings.as_json(), indent=2))
    else:
        print(findings.as_text(_TITLE, _width()))
    return 2 if findings.problems else 0


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
    from keras_otel.cli.checks.process import check_providers, is_set_up, process_target

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
    from keras_otel.cli.checks.process import check_process

    findings = Findings()
    _checked(findings, "this process", check_process, findings)
    return findings.as_text(f"{_TITLE} in process {os.getpid()}", _width())


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


def _endpoint(text: str) -> str:
    try:
        resolve({"export": text}, {})
    except OptionError as error:
        said = redacted(str(error)).removeprefix("option 'export' ")
        raise argparse.ArgumentTypeError(said) from error
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"write a number of seconds over 0, not {text!r}")
    return seconds


def _width() -> int:
    narrowest, widest = _WIDTHS
    return min(max(shutil.get_terminal_size((100, 40)).columns, narrowest), widest)


DOCTOR: Final = Command(
    name="doctor",
    help="Say what is patched, where spans go, and how to mend what is wrong.",
    add_options=add_options,
    run=run,
)
