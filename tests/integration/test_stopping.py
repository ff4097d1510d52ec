"""Programs and servers that are told to stop: everything arrives, and they end as without us.

The statuses below are those of the same programs without `export=`.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from programs import APPS, environment
from received import Telemetry
from receivers import Sink, free_port

from tests.parts import missing_part

TIMEOUT_S = 60.0
SIDE_BY_SIDE = 3
TERM = -signal.SIGTERM

# What ends the program, its status, and the spans that are recorded by then.
WAYS = {
    "by_default": (TERM, {"first": 1}),
    "own_handler_before": (7, {"first": 1, "last": 1}),
    "own_handler_after": (7, {"first": 1, "last": 1}),
    "own_exit": (8, {"first": 1, "last": 1}),
    "own_default": (TERM, {"first": 1, "last": 1}),
    "chained": (7, {"first": 1, "last": 1}),
    "ignored": (9, {"first": 1, "last": 1}),
    "in_a_thread": (TERM, {"first": 1}),
    "with_asyncio": (6, {"first": 1, "last": 1}),
    "blocked": (5, {"first": 1, "last": 1}),
    "in_a_fork": (4, {"first": 1, "child": 1, "last": 1}),
    "with_multiprocessing": (7, {"first": 1, "child": 3, "last": 1}),
}


@contextmanager
def started(target: str, way: str) -> Iterator[subprocess.Popen[str]]:
    """A program of `stopping.py` that is ready to be stopped."""
    process = subprocess.Popen(
        [sys.executable, os.fspath(APPS / "stopping.py"), target, way],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def stop(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[int, str, float]:
    """Send the signal; the status, what was said on stderr, and how long it took."""
    start_s = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, said, time.monotonic() - start_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a program left behind."""

    status: int
    said: str
    telemetry: Telemetry


def run_and_stop(way: str) -> Ended:
    """Start a program, stop it, and keep what arrived."""
    with Sink().serving() as sink, started(sink.url, way) as process:
        status, said, _ = stop(process)
        return Ended(status=status, said=said, telemetry=sink.telemetry)


@pytest.fixture(scope="module")
def stopped() -> Iterator[dict[str, Future[Ended]]]:
    """All programs, run side by side."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        yield {way: pool.submit(run_and_stop, way) for way in WAYS}


@pytest.mark.parametrize("way", WAYS)
def test_a_stopped_program_has_sent_everything(stopped: dict[str, Future[Ended]], way: str) -> None:
    """Spans, log records and metrics arrive, and the parent sees the status that it always saw."""
    status, spans = WAYS[way]
    ended = stopped[way].result()

    assert (ended.status, ended.said) == (status, "")
    assert Counter(span.name for span in ended.telemetry.spans) == spans
    assert len(ended.telemetry.logs) == sum(spans.values())
    assert {point.attributes["name"][1] for point in ended.telemetry.points} == set(spans)


def test_a_program_stopped_in_the_middle_of_recording(sink: Sink) -> None:
    """A main thread that is recording when the signal comes ends in time, with its spans sent."""
    with started(sink.url, "busy") as process:
        time.sleep(0.2)
        status, said, took_s = stop(process)

    assert (status, said) == (TERM, "")
    assert took_s < 5
    assert len(sink.telemetry.spans) > 10


def test_an_interrupted_program_has_sent_everything(sink: Sink) -> None:
    """Ctrl-C ends a program by KeyboardInterrupt as ever, after its telemetry."""
    with started(sink.url, "by_default") as process:
        status, said, _ = stop(process, signal.SIGINT)

    assert status == -signal.SIGINT
    assert said.endswith("KeyboardInterrupt\n")
    assert [span.name for span in sink.telemetry.spans] == ["first"]


@pytest.mark.parametrize("way", ["by_default", "own_handler_before"])
def test_a_dead_endpoint_does_not_keep_a_program_from_ending(way: str) -> None:
    """Nobody answers: the end is put off by a few seconds, and one line says what was lost."""
    status, spans = WAYS[way]
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with started(f"http://127.0.0.1:{silent.getsockname()[1]}", way) as process:
            ended, said, took_s = stop(process)

    assert ended == status
    assert took_s < 8
    (line,) = [line for line in said.splitlines() if line.startswith("keras_otel")]
    count = sum(spans.values())
    assert f"{count} of {count} spans, {count} of {count} log records, the last metrics" in line


def servers(port: int) -> dict[str, list[str]]:
    """The commands of the servers, each with whether it is an ASGI server."""
    gunicorn = [
        *(sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}"),
        *("--no-control-socket", "--log-level", "warning"),
    ]
    uvicorn = [
        *(sys.executable, "-m", "uvicorn", "asgi:app", "--port", f"{port}"),
        *("--log-level", "warning"),
    ]
    with_uvicorn = [*gunicorn, "asgi:app", "--worker-class", "uvicorn_worker.UvicornWorker"]
    return {
        "uvicorn.run": [sys.executable, os.fspath(APPS / "asgi.py")],
        "uvicorn": uvicorn,
        "uvicorn workers": [*uvicorn, "--workers", "2"],
        "gunicorn": [*gunicorn, "wsgi:application"],
        "gunicorn uvicorn": with_uvicorn,
        "gunicorn uvicorn preload": [*with_uvicorn, "--preload"],
    }


# The status of each, and how many services it ends.
SERVERS = {
    "uvicorn.run": (TERM, 1),
    "uvicorn": (TERM, 1),
    "uvicorn workers": (0, 2),
    "gunicorn": (0, 0),
    "gunicorn uvicorn": (0, 1),
    "gunicorn uvicorn preload": (0, 1),
}


def serve_and_stop(server: str, folder: Path) -> Ended:
    """Start a server, ask it, and stop it while it answers."""
    port = free_port()
    log = folder / f"{port}.log"
    is_asgi = server != "gunicorn"
    with Sink().serving() as sink, log.open("wb") as output:
        process = subprocess.Popen(
            servers(port)[server],
            cwd=APPS,
            env={**environment(), "TARGET": sink.url, "PORT": str(port)},
            stdout=output,
            stderr=output,
        )
        try:
            wait_until_open(port, log)
            for _ in range(4):
                ask(port, "" if is_asgi else "0")
            slow = threading.Thread(target=ask, args=(port, "slow" if is_asgi else "1"))
            slow.start()
            time.sleep(0.5)
            process.terminate()
            status = process.wait(TIMEOUT_S)
            slow.join()
        finally:
            process.kill()
            process.wait()
        return Ended(status=status, said=log.read_text(), telemetry=sink.telemetry)


@pytest.fixture(scope="module")
def stopped_servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Future[Ended]]]:
    """All servers, run side by side."""
    folder = tmp_path_factory.mktemp("servers")
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        yield {server: pool.submit(serve_and_stop, server, folder) for server in SERVERS}


@pytest.mark.parametrize("server", SERVERS)
def test_a_stopped_server_has_sent_everything(
    stopped_servers: dict[str, Future[Ended]], server: str
) -> None:
    """Requests before the signal, one that it interrupts, and the end of the service all arrive."""
    status, ends = SERVERS[server]
    ended = stopped_servers[server].result()

    assert ended.status == status, ended.said
    assert "keras_otel" not in ended.said
    found = Counter(
        str(span.value("keras.prediction.class"))
        for span in ended.telemetry.keras_spans()
        if span.value("keras.batch.size") == 1
    )
    if server == "gunicorn":
        assert found == {"class-0": 4, "class-1": 1}
    else:
        assert found == {"request": 4, "slow": 1, "end": ends}
    counted = [point for point in ended.telemetry.points if point.metric == "keras.predictions"]
    assert {point.attributes["keras.prediction.class"][1] for point in counted} >= set(found)


def ask(port: int, path: str) -> None:
    """One request that is answered."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=TIMEOUT_S) as answer:
        assert answer.status == 200


def wait_until_open(port: int, log: Path) -> None:
    """Wait until somebody listens there."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def test_a_stopped_celery_worker_has_sent_everything(sink: Sink, tmp_path: Path) -> None:
    """The children of a prefork pool end by `os._exit`, and their inferences arrive before."""
    if importlib.util.find_spec("celery") is None:
        missing_part("Celery is not installed")
    inherited = {**environment(), "PYTHONPATH": f"{APPS}:{os.environ.get('PYTHONPATH', '')}"}
    worker = [
        *(sys.executable, "-m", "celery", "--app", "tasks", "worker", "--concurrency", "2"),
        *("--loglevel", "error", "--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]
    with (tmp_path / "worker.log").open("wb") as output:
        process = subprocess.Popen(
            worker,
            cwd=tmp_path,
            env={**inherited, "TARGET": sink.url, "C_FORCE_ROOT": "1"},
            stdout=output,
            stderr=output,
        )
    try:
        subprocess.run(
            [sys.executable, os.fspath(APPS / "tasks.py")],
            cwd=tmp_path,
            env=inherited,
            check=True,
            timeout=TIMEOUT_S,
        )
        process.terminate()
        assert process.wait(TIMEOUT_S) == 0
    finally:
        process.kill()
        process.wait()

    spans = sink.telemetry.keras_spans()
    assert Counter(span.value("keras.prediction.class") for span in spans) == {"request": 6}
    assert "keras.predictions" in {point.metric for point in sink.telemetry.points}
