"""pytest plugin: write every outcome as one JSON line, so that a crash loses nothing before it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

with contextlib.suppress(ImportError):
    # Some of Keras's tests import PyTorch after TensorFlow, which may abort the process.
    import torch  # noqa: F401 - imported for its order alone

OUTCOMES_VARIABLE = "KERAS_SUITE_OUTCOMES"
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(?=:|$)")


class Recorder:
    """Appends one record for each report to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._started = time.perf_counter()

    def write(self, **record: Any) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            lines = str(report.longrepr).strip().splitlines()
            self.write(test="<collection>", outcome="error", detail=lines[-1].lstrip("E ").strip())

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        outcome: str = report.outcome
        if hasattr(report, "wasxfail"):
            outcome = "xfailed" if report.skipped else "xpassed"
        elif report.failed:
            outcome = f"{'failed' if report.when == 'call' else 'error'} {_raised(report)}"
        self.write(test=report.nodeid.partition("::")[2], outcome=outcome)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        self.write(exit=int(exitstatus), seconds=time.perf_counter() - self._started)


def _raised(report: pytest.TestReport) -> str:
    """The class of the exception; its message may hold addresses and times."""
    crash = getattr(report.longrepr, "reprcrash", None)
    found = _EXCEPTION.match(crash.message) if crash is not None else None
    return found.group() if found else "AssertionError"


def pytest_configure(config: pytest.Config) -> None:
    """Record into the file that the environment names."""
    config.pluginmanager.register(Recorder(Path(os.environ[OUTCOMES_VARIABLE])), "judge outcomes")
