"""Platforms that lack what POSIX has: no process is forked there, and nobody says which processors."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from keras_otel.analysis.sources.formats.json_files import Range
from keras_otel.analysis.sources.formats.work_split import shares_of
from keras_otel.export.providers import file_path

WITHOUT_FORKS = """
import os, signal, sys
for name in ("fork", "forkpty", "register_at_fork", "sched_getaffinity", "getppid"):
    delattr(os, name)
for name in ("SIGKILL", "SIGHUP", "SIGQUIT", "pthread_kill", "pthread_sigmask", "siginterrupt"):
    delattr(signal, name)
import keras_otel
keras_otel.instrument(export="file:" + sys.argv[1])
import keras, numpy
model = keras.Sequential([keras.Input((2,)), keras.layers.Activation("softmax")], name="echo")
keras_otel.describe(model, labels=["a", "b"])
model(numpy.ones((1, 2), "float32"))
model.predict(numpy.ones((1, 2), "float32"), verbose=0)
from opentelemetry import trace
with trace.get_tracer("app").start_as_current_span("chat"):
    keras_otel.record_evaluation("faithfulness", passed=True)
import keras_otel.cli
"""


def test_a_platform_that_never_forks(tmp_path):
    """Without `os.fork`, its hooks and POSIX's signals everything works, and spans arrive."""
    path = tmp_path / "traces.jsonl"

    subprocess.run(
        [sys.executable, "-c", WITHOUT_FORKS, str(path)],
        check=True,
        timeout=120,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )

    spans = [
        span["name"]
        for line in path.read_text(encoding="utf-8").splitlines()
        for resource in json.loads(line).get("resourceSpans", ())
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    assert sorted(spans) == ["call echo", "chat", "predict echo"]


@pytest.mark.parametrize("processors", [1, 4])
def test_shares_where_nobody_says_which_processors(monkeypatch, processors):
    """Without `os.sched_getaffinity` the lines are shared out over all processors there are."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    size = 128 * 1024 * 1024

    shares = shares_of([Range(path="a", source="a", start=0, end=size)])

    assert len(shares) == processors
    assert sum(part.end - part.start for share in shares for part in share) == size


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("file:C:\\logs\\traces.jsonl", "C:\\logs\\traces.jsonl"),
        ("file:C:/logs/traces.jsonl", "C:\\logs\\traces.jsonl"),
        ("file:///C:/logs/traces.jsonl", "C:\\logs\\traces.jsonl"),
        ("file://traces.jsonl", "traces.jsonl"),
        ("file:traces.jsonl", "traces.jsonl"),
    ],
)
def test_files_of_windows(target, path):
    """A path with a drive is that path, also in a URL's form with three slashes."""
    assert str(file_path(target, "nt")) == path


def test_files_of_posix():
    """What looks like a drive is a folder's name elsewhere."""
    assert str(file_path("file:///C:/traces.jsonl", "posix")) == "/C:/traces.jsonl"
