"""Programs written with real frameworks, run once each against a local model server and receiver."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, os.fspath(Path(__file__).parents[1] / "integration"))
sys.path.insert(0, os.fspath(Path(__file__).parent))

from chat_completions import ChatCompletions
from programs import Programs
from received import Telemetry, read_json_lines
from receivers import Sink

from tests.parts import missing_part

ROOT = Path(__file__).parents[2]
APPS = Path(__file__).parent / "apps"

# What would go out to the network is switched off, and has nowhere to go.
ALONE = {
    "DO_NOT_TRACK": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HTTPS_PROXY": "http://127.0.0.1:9",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program of `apps/` and how it is run.

    Attributes:
        app: Its file.
        arguments: What it gets after the addresses of the model server and the receiver.
        environment: The virtual environment that has its framework.
    """

    app: str
    arguments: tuple[str, ...] = ()
    environment: str = ".venv-frameworks"

    def interpreter(self) -> Path:
        """The environment's Python; without one there is no test."""
        python = ROOT / self.environment / "bin" / "python"
        if not python.exists():
            missing_part(f"{python} is not there: make {self.environment}/.package")
        return python


@pytest.fixture(scope="session")
def server() -> Iterator[ChatCompletions]:
    """A local server of OpenAI's formats."""
    with ChatCompletions().serving() as running:
        yield running


@pytest.fixture(scope="session")
def run(
    server: ChatCompletions, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Program], Telemetry]:
    """Runs a program once for all tests, and gives what it sent or wrote into a file."""
    ran: dict[Program, Telemetry] = {}

    def once(program: Program) -> Telemetry:
        if program not in ran:
            ran[program] = Telemetry()  # a program that fails is not run again
            ran[program] = _run(program, server, tmp_path_factory.mktemp("program"))
        return ran[program]

    return once


def _run(program: Program, server: ChatCompletions, folder: Path) -> Telemetry:
    python = os.fspath(program.interpreter())
    with Sink().serving() as sink:
        Programs(folder).run(
            os.fspath(APPS / program.app),
            *(server.base_url, sink.url, *program.arguments),
            launcher=(python,),
            **ALONE,
        )
        file = folder / "spans.jsonl"
        return read_json_lines(file) if file.exists() else sink.telemetry
