"""The stack, and what the demo has sent to it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from tests.go_binaries import build_collector, build_jaeger, build_prometheus, build_promtool
from tests.parts import missing_part
from tests.stack.servers import ROOT, Binaries, Stack, ask, running, wait_until

REQUESTS = 1600
DEMO = ROOT / "examples" / "intent_router"


@dataclass(frozen=True, kw_only=True)
class DemoRun:
    """The demo when it has run.

    Attributes:
        stack: The servers that it sent to.
        out: Its folder.
        stdout: What it printed.
        end_s: When all of it had arrived, and the rules had been evaluated.
    """

    stack: Stack
    out: Path
    stdout: str
    end_s: float


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    """The servers, built at their first use."""
    built = {
        "collector": build_collector(),
        "jaeger": build_jaeger(),
        "prometheus": build_prometheus(),
    }
    if None in built.values():
        missing_part("Go is not installed, so the stack's servers cannot be built")
    return Binaries(**built)


@pytest.fixture(scope="session")
def promtool() -> Path:
    """Prometheus's tool for rules."""
    built = build_promtool()
    if built is None:
        missing_part("Go is not installed, so promtool cannot be built")
    return built


@pytest.fixture(scope="session")
def stack(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Jaeger, Prometheus and the Collector with the configuration that Compose mounts."""
    with running(binaries, tmp_path_factory.mktemp("stack")) as started:
        yield started


@pytest.fixture(scope="session")
def demo(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    """The demo, run into the stack as a user runs it."""
    out = tmp_path_factory.mktemp("demo")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "KERAS_"))}
    done = subprocess.run(
        [
            sys.executable,
            str(DEMO),
            "--otlp",
            stack.otlp,
            "--out",
            str(out),
            "--requests",
            str(REQUESTS),
        ],
        env=inherited,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    counted = f"sum(keras_evaluations_total) >= {REQUESTS}"
    assert wait_until(lambda: stack.query(counted)), stack.query("sum(keras_evaluations_total)")
    # The Collector counts spans a few seconds later.
    calls = f'sum(traces_span_metrics_calls_total{{span_name="call intent"}}) >= {REQUESTS}'
    assert wait_until(lambda: stack.query(calls))
    arrived_s = time.time()
    assert wait_until(lambda: _evaluated_since(stack, arrived_s))
    return DemoRun(stack=stack, out=out, stdout=done.stdout, end_s=time.time())


def _evaluated_since(stack: Stack, time_s: float) -> bool:
    """True once Prometheus has evaluated every group of rules after a time."""
    groups = ask(f"{stack.prometheus}/api/v1/rules")["groups"]
    return all(
        datetime.fromisoformat(group["lastEvaluation"]).timestamp() > time_s for group in groups
    )
