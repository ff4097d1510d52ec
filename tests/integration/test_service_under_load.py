"""FastAPI under load: no answer carries another request's prediction, and nothing piles up."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import h11
import numpy as np
import pytest
from programs import APPS, serving
from receivers import free_port

REQUESTS = int(os.environ.get("KERAS_OTEL_LOAD_REQUESTS", "20000"))
CONNECTIONS = 200
PER_CONNECTION = 20
"""Requests after which a client connects anew, perhaps to another worker."""

WAYS = [
    *("sync", "async", "thread", "task", "child", "executor", "step", "dependency", "turns"),
    *("fan", "gather", "stream", "generator", "nothing"),
]
"""The service's endpoints. Only `nothing` may go without a label: it predicts nothing."""

SEVERAL = {"fan", "gather"}
"""Those that answer three labels, each with another class."""

GROWTH = 8 * 2**20
"""Bytes that a process may grow by in the second half of its requests."""


async def get(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, http: h11.Connection, target: str
) -> Any:
    """One request over a connection that stays open."""
    request = h11.Request(method="GET", target=target, headers=[("Host", "localhost")])
    writer.write(http.send(request) + http.send(h11.EndOfMessage()))
    body = b""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Response):
            assert event.status_code == 200, target
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            http.start_next_cycle()
            return json.loads(body)
        else:
            raise AssertionError(f"{event} after {target}")


async def ask_all(port: int, count: int, *, seed: int) -> Counter[str]:
    """Send random requests over many connections, and judge each answer."""
    verdicts: Counter[str] = Counter()
    chance = random.Random(seed)
    requests = iter(range(count))

    async def client() -> None:
        while session := list(itertools.islice(requests, PER_CONNECTION)):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            http = h11.Connection(h11.CLIENT)
            for _ in session:
                way = chance.choice(WAYS)
                label, strength = chance.randrange(10), chance.uniform(1, 9)
                target = f"/{way}?label={label}&strength={strength!r}"
                answer = await get(reader, writer, http, target)
                for offset, carried in enumerate(answer if way in SEVERAL else [answer]):
                    outcome = verdict(way, carried, (label + offset) % 10, strength)
                    verdicts[f"{way} {outcome}"] += 1
            writer.close()

    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return verdicts


def verdict(way: str, carried: list[Any], label: int, strength: float) -> str:
    """Whether an answer's class, confidence and version are its own request's."""
    if carried == [None, None, None]:
        return "none"
    confidence = np.exp(strength) / (np.exp(strength) + 9)
    right = [f"class {label}", pytest.approx(confidence, abs=1e-6), "v1"]
    return "right" if carried == right and way != "nothing" else "wrong"


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_every_answer_has_its_own_label(server: str, tmp_path: Path) -> None:
    """Of 20 000 requests, 200 at a time, each LLM span has its own request's label."""
    port = free_port()
    commands = {
        "uvicorn": [sys.executable, os.fspath(APPS / "loaded.py")],
        "gunicorn": [
            *(sys.executable, "-m", "gunicorn", "loaded:app", "--preload", "--workers", "2"),
            *("--worker-class", "uvicorn_worker.UvicornWorker", "--bind", f"127.0.0.1:{port}"),
            *("--log-level", "warning", "--timeout", "120"),
        ],
    }
    with serving(commands[server], tmp_path, port, PYTHONPATH=os.fspath(APPS)):
        verdicts = asyncio.run(ask_all(port, REQUESTS, seed=7))

    figures = [json.loads(path.read_text()) for path in tmp_path.glob("figures-*.json")]
    report(server, verdicts, figures)
    assert [key for key in verdicts if key.endswith("wrong")] == []
    assert {key for key in verdicts if key.endswith("none")} == {"nothing none"}
    assert len(figures) == (2 if server == "gunicorn" else 1)
    exported: Counter[str] = Counter()
    for process in figures:
        exported.update(process["found"])
        assert process["registry"] == 0
        assert process["failures"] == process["dropped"] == {}
        resident = process["resident"]
        assert resident[-1] - resident[len(resident) // 2] < GROWTH, resident
    assert exported["requests"] == REQUESTS
    assert set(exported) == {"requests", "span right", "event right", "record right"}
    assert exported["span right"] == exported["event right"] == exported["record right"]
    assert exported["span right"] > REQUESTS


def report(server: str, verdicts: Counter[str], figures: list[dict[str, Any]]) -> None:
    """Print what was seen, for `pytest -s` and for whoever reads a failure."""
    answers = sum(verdicts.values()) - verdicts["nothing none"]
    for outcome in ("right", "none", "wrong"):
        seen = sum(n for key, n in verdicts.items() if key.endswith(outcome))
        seen -= verdicts["nothing none"] if outcome == "none" else 0
        print(f"{server}: label {outcome} on {seen} of {answers} spans ({seen / answers:.2%})")
    print(f"{server}: by way {dict(sorted(verdicts.items()))}")
    for process in figures:
        megabytes = [round(size / 2**20) for size in process["resident"]]
        print(f"{server}: registry {process['registry']}, resident MB {megabytes[::10]}")
