"""Programs that are traced, each in a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

APPS = Path(__file__).parent / "apps"
_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Programs:
    """Runs the programs of `apps/` in one folder, with this interpreter."""

    folder: Path

    def run(
        self, app: str, *arguments: str, launcher: Sequence[str] = (), **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end and expect that it ends well."""
        finished = subprocess.run(
            [*(launcher or (sys.executable,)), os.fspath(APPS / app), *arguments],
            cwd=self.folder,
            env={**environment(), **variables},
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        return finished


def environment() -> dict[str, str]:
    """An environment in which nothing says yet where telemetry goes."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "KERAS_"))}
    return {
        **inherited,
        "CUDA_VISIBLE_DEVICES": "-1",
        "KERAS_BACKEND": "numpy",
        "NO_PROXY": "127.0.0.1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=integration",
    }
