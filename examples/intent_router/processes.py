"""The demo's programs, each in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from load import LoadError, wait_for

HERE = Path(__file__).parent

_LONGEST_STOP_S = 60

# TensorFlow's C++ log lines on processors and drivers, which no setting silences.
_NATIVE_LOG = re.compile(r"[IWE]\d{4} \d\d:\d\d:\d+|WARNING: All log messages before absl")


class ProgramError(Exception):
    """A program of the demo failed; the message says which, and what it wrote last."""


def run(script: str, *arguments: str | Path) -> None:
    """Run a program to its end; it writes to this process's own output.

    Raises:
        ProgramError: It failed.
    """
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    held_back = []
    with subprocess.Popen(
        command, env=_environment({}), stderr=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        for line in process.stderr or ():
            if _NATIVE_LOG.match(line):
                held_back.append(line)
            else:
                sys.stderr.write(line)
    if process.returncode != 0:
        sys.stderr.writelines(held_back)
        raise ProgramError(f"{script} failed with exit status {process.returncode}, see above")


@contextmanager
def serving(app: str, log: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Serve an application on a free port of this machine until the block ends.

    Args:
        app: The module and its application, such as `llm:app`.
        log: The file for what it writes.
        environment: Variables to set for it.

    Yields:
        Its address.

    Raises:
        ProgramError: It does not start.
    """
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(HERE), app]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            command, env=_environment(environment), stdout=out, stderr=subprocess.STDOUT
        )
    try:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for(url, while_true=lambda: process.poll() is None)
        except LoadError as error:
            raise ProgramError(f"{app} does not start ({error}):\n{_last_lines(log)}") from error
        yield url
    finally:
        # An orderly end: the SDK exports its last batches when the interpreter exits.
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_LONGEST_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    # JAX is the smallest backend that trains; the models run on any.
    defaults = {"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return {**defaults, **os.environ, **more}


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _last_lines(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:])
