"""Fixtures that run the command line as users do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import pytest

_EXAMINED_VARIABLES = ("OTEL_", "KERAS_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class Outcome:
    """The result of a run of the command line."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.stdout)


Run = Callable[..., Outcome]


@pytest.fixture
def environ(tmp_path) -> dict[str, str]:
    """This process's environment without the variables that the doctor examines."""
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith(_EXAMINED_VARIABLES)}
    backends = [name for name in ("tensorflow", "jax", "torch", "numpy") if find_spec(name)]
    return {
        **kept,
        "KERAS_HOME": str(tmp_path / "keras-home"),
        "KERAS_BACKEND": backends[0],
        "OTEL_SERVICE_NAME": "tests",
    }


@pytest.fixture
def keras_otel_cli(environ, tmp_path) -> Run:
    """`python -m keras_otel.cli ...` in a folder of its own."""

    def run(
        *arguments: str, env: Mapping[str, str] | None = None, python: str = sys.executable
    ) -> Outcome:
        child = subprocess.run(
            [python, "-m", "keras_otel.cli", *arguments],
            env={**environ, **(env or {})},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return Outcome(child.returncode, child.stdout, child.stderr)

    return run
