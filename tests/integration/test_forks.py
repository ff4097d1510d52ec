"""Processes that fork after they were instrumented.

On the numpy backend: JAX warns that forking will deadlock, and TensorFlow's threads do not survive
a fork either, with or without instrumentation.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from programs import APPS, Programs, environment
from receivers import Endpoints, Sink, free_port

REQUESTS = 60
CLASSES = 5  # as in apps/wsgi.py


@pytest.mark.parametrize("way", ["os", "multiprocessing"])
@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_parent_and_child_are_both_traced(
    programs: Programs, sink: Sink, rotel: Endpoints, scheme: str, way: str
) -> None:
    """One span from before the fork, one from the parent and one from the child arrive, once each."""
    target = sink.url if scheme == "http" else rotel.target("grpc")
    programs.run("forking.py", target, way)
    spans = sink.wait_for(lambda telemetry: len(telemetry.spans) >= 3).keras_spans()
    by_class = {span.value("keras.prediction.class"): span for span in spans}
    assert len(spans) == 3
    assert set(by_class) == {"before", "parent", "child"}
    assert len({span.span_id for span in spans}) == 3
    fingerprints = {span.value("keras.model.fingerprint") for span in spans}
    assert len(fingerprints) == 1


def test_gunicorn_with_preload_traces_every_request(sink: Sink, tmp_path: Path) -> None:
    """Each request to two workers forked after the model was used gives its own span, as asked."""
    asked = [f"class-{i % CLASSES}" for i in range(REQUESTS)]
    with gunicorn(sink, tmp_path) as url, ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda name: ask(f"{url}/{name.partition('-')[2]}"), asked))
    assert [f"class-{answer}" for answer, _ in answers] == asked
    spans = sink.wait_for(lambda telemetry: len(telemetry.spans) >= 2 * REQUESTS + 1).spans
    requests = {span.span_id: span for span in spans if span.name == "request"}
    inferences = [span for span in spans if span.parent_id]
    assert len(requests) == len(inferences) == REQUESTS
    assert Counter(span.value("keras.prediction.class") for span in inferences) == Counter(asked)
    for span in inferences:
        request = requests.pop(span.parent_id)
        assert span.trace_id == request.trace_id
        assert span.value("keras.prediction.class") == request.value("app.asked")
    (preloaded,) = (span for span in spans if span.value("keras.batch.size") == 3)
    assert preloaded.name == "call echo"


def ask(url: str) -> tuple[str, str]:
    """The class that the service answers with, and the process that answered."""
    with urllib.request.urlopen(url, timeout=60) as response:
        name, process = response.read().decode().split()
    return name, process


@contextmanager
def gunicorn(sink: Sink, folder: Path) -> Iterator[str]:
    """A gunicorn that loads the service, forks two workers, and ends them gracefully."""
    port = free_port()
    log = folder / "gunicorn.log"
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2"]
    command += ["--bind", f"127.0.0.1:{port}", "--chdir", os.fspath(APPS), "--no-control-socket"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "wsgi:application"],
            cwd=folder,
            env={**environment(), "TARGET": sink.url},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for_workers(log, process)
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        assert process.wait(60) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def wait_for_workers(log: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until gunicorn says that both workers boot; requests then queue at its socket."""
    deadline = time.monotonic() + 120
    while log.read_text().count("Booting worker") < 2:
        assert time.monotonic() < deadline, log.read_text()
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
