"""Keras's own tests, with and without instrumentation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).with_name("run.py")


@pytest.mark.judge
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_keras_passes_its_own_tests_as_without_us(backend: str) -> None:
    """Keras's tests of models and trainers have the same outcomes with and without keras_otel."""
    judged = subprocess.run(
        [sys.executable, str(RUN), "--backend", backend, "--short", "--jobs", "2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr
