"""Receivers, and programs that are traced into them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# The modules beside this one are imported by name, whatever folder pytest was started in.
sys.path.insert(0, os.fspath(Path(__file__).parent))

from programs import Programs
from receivers import (
    Collector,
    Endpoints,
    Sink,
    collector_in,
    rotel_into,
)

from tests.go_binaries import build_collector
from tests.parts import missing_part


@pytest.fixture
def sink() -> Iterator[Sink]:
    """An OTLP/HTTP server of our own."""
    with Sink().serving() as server:
        yield server


@pytest.fixture
def rotel(sink: Sink) -> Iterator[Endpoints]:
    """A rotel on free ports that forwards to the sink."""
    with rotel_into(sink) as ports:
        yield ports


@pytest.fixture(scope="session")
def collector_binary() -> Path:
    """The OpenTelemetry Collector, built with Go at its first use."""
    binary = build_collector()
    if binary is None:
        missing_part("Go is not installed, so the OpenTelemetry Collector cannot be built")
    return binary


@pytest.fixture
def collector(collector_binary: Path, tmp_path: Path) -> Iterator[Collector]:
    """A Collector on free ports that writes to a file."""
    with collector_in(tmp_path, collector_binary) as running:
        yield running


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    """Runs the programs of `apps/` in the test's own folder."""
    return Programs(tmp_path)
