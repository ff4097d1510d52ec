"""Jaeger, Prometheus and the Collector as Compose starts them, on free ports of this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Binaries:
    """The servers, built with Go."""

    collector: Path
    jaeger: Path
    prometheus: Path


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Addresses of running servers, and the file that the Collector writes."""

    otlp: str
    jaeger: str
    prometheus: str
    traces: Path

    def query(self, expression: str, at_s: float | None = None) -> list[dict[str, Any]]:
        """The series that a PromQL expression gives, now or at a time."""
        question = {"query": expression} | ({} if at_s is None else {"time": at_s})
        found: list[dict[str, Any]] = ask(f"{self.prometheus}/api/v1/query", **question)["result"]
        return found

    def find_traces(self, tags: dict[str, str], limit: int = 20) -> list[dict[str, Any]]:
        """Traces of the chat service with these tags on one of their spans, from Jaeger's API."""
        question = {"service": "chat", "tags": json.dumps(tags), "limit": limit}
        found: list[dict[str, Any]] = ask(f"{self.jaeger}/api/traces", **question)
        return found


def ask(url: str, *, whole: bool = False, **question: Any) -> Any:
    """The `data` of an answer in JSON, or all of it."""
    with urlopen(f"{url}?{urlencode(question)}", timeout=30) as answer:
        content = json.load(answer)
    return content if whole else content["data"]


def wait_until(find: Callable[[], T], timeout_s: float = 60) -> T:
    """What `find` returns, once that is true."""
    end = time.monotonic() + timeout_s
    while not (found := find()) and time.monotonic() < end:
        time.sleep(0.2)
    return found


@contextmanager
def running(binaries: Binaries, folder: Path) -> Iterator[Stack]:
    """Start all three, wait until each says that it is ready, and stop them in the end."""
    port = {
        name: free_port()
        for name in (
            "otlp",
            "otlp_grpc",
            "health",
            "jaeger_otlp",
            "jaeger_health",
            "query",
            "query_grpc",
            "prometheus",
        )
    }
    at = {name: f"127.0.0.1:{number}" for name, number in port.items()}
    stack = Stack(
        otlp=f"http://{at['otlp']}",
        jaeger=f"http://{at['query']}",
        prometheus=f"http://{at['prometheus']}",
        traces=folder / "traces.jsonl",
    )
    mounted = {name: mounts(name, folder / name) for name in ("jaeger", "collector", "prometheus")}
    with ExitStack() as servers:
        servers.enter_context(
            process(
                [binaries.jaeger, f"--config={mounted['jaeger'] / 'etc/jaeger/jaeger.yaml'}"],
                f"http://{at['jaeger_health']}/status",
                folder / "jaeger.log",
                **COMPOSE["services"]["jaeger"]["environment"],
                HEALTH_ENDPOINT=at["jaeger_health"],
                JAEGER_UI_CONFIG=str(mounted["jaeger"] / "etc/jaeger/ui.json"),
                QUERY_HTTP_ENDPOINT=at["query"],
                QUERY_GRPC_ENDPOINT=at["query_grpc"],
                OTLP_GRPC_ENDPOINT=at["jaeger_otlp"],
            )
        )
        options = [
            option
            for option in COMPOSE["services"]["prometheus"]["command"]
            if not option.startswith(("--config.file", "--storage.tsdb.path"))
        ]
        servers.enter_context(
            process(
                [
                    binaries.prometheus,
                    f"--config.file={mounted['prometheus'] / 'etc/prometheus/prometheus.yaml'}",
                    f"--storage.tsdb.path={folder / 'tsdb'}",
                    f"--web.listen-address={at['prometheus']}",
                    *options,
                ],
                f"{stack.prometheus}/-/ready",
                folder / "prometheus.log",
            )
        )
        servers.enter_context(
            process(
                [
                    binaries.collector,
                    f"--config={mounted['collector'] / 'etc/otelcol/collector.yaml'}",
                ],
                f"http://{at['health']}/",
                folder / "collector.log",
                HEALTH_ENDPOINT=at["health"],
                OTLP_GRPC_ENDPOINT=at["otlp_grpc"],
                OTLP_HTTP_ENDPOINT=at["otlp"],
                JAEGER_ENDPOINT=at["jaeger_otlp"],
                PROMETHEUS_OTLP_ENDPOINT=f"{stack.prometheus}/api/v1/otlp",
                TRACES_FILE=str(stack.traces),
            )
        )
        yield stack


def mounts(service: str, root: Path) -> Path:
    """Lay out below `root` the files that Compose mounts into a service, where it mounts them."""
    for volume in COMPOSE["services"][service].get("volumes", ()):
        source, target = volume.split(":")[:2]
        if not source.startswith("./"):
            continue  # a named volume
        place = root / target.removeprefix("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, place)
        else:
            shutil.copy(ROOT / source, place)
    return root


def pinned(service: str) -> str:
    """The version that Compose pins a service's image to."""
    return str(re.search(r":(?:version-)?v?([\d.]+)$", COMPOSE["services"][service]["image"])[1])


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(
    command: list[str | Path],
    health: str,
    log: Path,
    *,
    cwd: Path | None = None,
    **environment: str,
) -> Iterator[None]:
    """A server that answers at `health`, until the block ends."""
    with log.open("w", encoding="utf-8") as out:
        started = subprocess.Popen(
            list(map(str, command)),
            cwd=cwd,
            env={**os.environ, **environment},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        is_ready = wait_until(lambda: started.poll() is not None or answers(health))
        assert is_ready, log.read_text()[-2000:]
        assert started.poll() is None, log.read_text()[-2000:]
        yield
    finally:
        started.terminate()
        started.wait(30)


def answers(url: str) -> bool:
    """True if a server answers at an address with success."""
    try:
        with urlopen(url, timeout=2):
            return True
    except (URLError, OSError):
        return False
