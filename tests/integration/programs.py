"""Programs that are traced, each in a fresh process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

APPS = Path(__file__).parent / "apps"
_TIMEOUT_S = 300.0


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


@contextmanager
def serving(
    command: Sequence[str | Path], folder: Path, port: int, **variables: str
) -> Iterator[str]:
    """A program that serves on this port, ended gracefully; keras_otel may have nothing to say."""
    log = folder / f"{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**environment(), "PORT": str(port), **variables},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_open(port, process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(_TIMEOUT_S)
        finally:
            process.kill()
    said = log.read_text()
    assert "keras_otel" not in said, said
    assert "Traceback" not in said, said


def _wait_until_open(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline, log.read_text()
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)


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
