"""Odd values anywhere in a file: each is left out and counted, and all that is good arrives.

Every value of a span, a log record and a trace of Jaeger's is replaced by each of a list of odd ones, and lines are damaged
by a seeded generator.
"""

from __future__ import annotations

import copy
import itertools
import json
import math
import random
from typing import NamedTuple

import pytest

from keras_otel.analysis.sources.reader import open_sources
from tests.analysis.sources.jaeger_download import download
from tests.analysis.sources.requests import many, write

DEEP = [[[[]]]]
for _ in range(300):
    DEEP = [DEEP]

ODD = [
    None,
    True,
    5,
    -1,
    10**25,
    1e308,
    math.inf,
    math.nan,
    "",
    "x",
    "\ud800",
    "a\0b",
    "9" * 5000,
    [],
    [1],
    [None],
    {},
    {"a": 1},
    {"stringValue": [1]},
    DEEP,
]

UNKNOWN = "a line is of no format that is known"
BROKEN = "a line is no JSON"
DEEP_LINE = "a line is nested too deeply"

# Lines that are odd as a whole, and what is said of them; nothing of what only pads or lists others.
LINES = {
    b"5": UNKNOWN,
    b'"x"': UNKNOWN,
    b"null": UNKNOWN,
    b"true": UNKNOWN,
    b"NaN": UNKNOWN,
    b"-": BROKEN,
    b"{": BROKEN,
    b"}": BROKEN,
    b"[": None,
    b"{}": UNKNOWN,
    b"[]": None,
    b'[1, "a"]': UNKNOWN,
    b"[" * 2000 + b"]" * 2000: DEEP_LINE,
    b"[" * 100_000 + b"]" * 100_000: DEEP_LINE,
    b'{"a":' * 5000 + b"1" + b"}" * 5000: DEEP_LINE,
    b'{"resourceSpans":[' * 5000: DEEP_LINE,
    b"\0\0\0{}": UNKNOWN,
    b"\0" * 70_000: None,
    b"x" * 70_000: BROKEN,
    b'{"resourceSpans":[{"x":"\xff\xfe"}]}': "a line is not UTF-8; what is not was replaced",
    b'{"a": ': BROKEN,
    b"trace_id,name,passed": BROKEN,
    b"2026-11-26 10:00:00,123 INFO started": BROKEN,
    b'{"resourceSpans":' + b"9" * 5000 + b"}": "resourceSpans is no list",
    b"\xef\xbb\xbf": None,
    b"\r": None,
    b"\x1e{}": UNKNOWN,
    b'{"result":{"resourceSpans":1}}': "resourceSpans is no list",
    b'{"resourceSpans":"abc"}': "resourceSpans is no list",
    b'{"resourceMetrics":[{}]}': None,
}


class Lines(NamedTuple):
    """Lines of good traces with the tables they give, and lines of others to be made odd."""

    good: list[str]
    others: list[str]
    spans: set[str]
    evaluations: set[str]


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """Every kind of request, as the official exporter writes it."""
    path = tmp_path_factory.mktemp("data") / "traces.jsonl"
    ids = set(write(path, many(40))[:20])
    found = {True: [], False: []}
    for line in path.read_text(encoding="utf-8").splitlines():
        found[next(iter(_trace_ids(json.loads(line)))) in ids].append(line)
    path.write_text("\n".join(found[True]) + "\n")
    (spans, evaluations), problems = tables(path)
    assert problems == ()
    assert min(len(spans), 4 * len(evaluations)) > 40
    return Lines(found[True], found[False], spans, evaluations)


def _trace_ids(node):
    """All values of `traceId`, the span's own first."""
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "traceId")
        node = [value for key, value in node.items() if key != "links"]
    if isinstance(node, list):
        for inner in node:
            yield from _trace_ids(inner)


def tables(*paths):
    """Spans and evaluations as text, each once, and the problems."""
    with open_sources(paths) as telemetry:
        found = [
            {json.dumps(row, sort_keys=True, default=str) for row in table.to_pyarrow().to_pylist()}
            for table in (telemetry.spans, telemetry.evaluations)
        ]
    return found, telemetry.problems


def expect_all(lines, path, content):
    """Assert that the good lines give all their rows beside others, and return what is said of those."""
    path.write_bytes(content)
    (spans, evaluations), problems = tables(path)

    assert lines.spans <= spans
    assert lines.evaluations <= evaluations
    return problems


def places(node, above=()):
    """The way to each value in a document."""
    yield above
    if isinstance(node, dict | list):
        keys = node if isinstance(node, dict) else range(len(node))
        for key in keys:
            yield from places(node[key], (*above, key))


def replaced(document, way, value):
    """The document with another value at one place."""
    if not way:
        return value
    changed = copy.deepcopy(document)
    node = changed
    for key in way[:-1]:
        node = node[key]
    node[way[-1]] = value
    return changed


def odd_documents(documents):
    """Each document with each odd value in each place."""
    for document in documents:
        for way, value in itertools.product([*places(document)][1:], ODD):
            yield replaced(document, way, value)


def _one_of_each(others):
    """A line of each signal, with an evaluation where there is one."""
    return [
        json.loads(next(line for line in others if mark in line))
        for mark in ("resourceLogs", "gen_ai.evaluation.result", '"evaluate ', "predict intent")
    ]


@pytest.mark.parametrize(("line", "message"), LINES.items(), ids=range(len(LINES)))
@pytest.mark.parametrize("where", ["first", "last"])
def test_an_odd_line(lines, tmp_path, line, message, where):
    """First or last, it costs nothing else."""
    good = "\n".join(lines.good).encode()
    content = line + b"\n" + good if where == "first" else good + b"\n" + line + b"\n"

    problems = expect_all(lines, tmp_path / "t.jsonl", content)

    assert [(problem.message, problem.count) for problem in problems] == (
        [(message, 1)] if message else []
    )


def test_odd_values_of_otlp(lines, tmp_path):
    """Every value of a span and a log record may be anything."""
    good, others = lines[:2]
    odd = [json.dumps(document) for document in odd_documents(_one_of_each(others))]
    assert len(odd) > 3000
    mixed = [*odd[::2], *good, *odd[1::2]]

    problems = expect_all(lines, tmp_path / "t.jsonl", "\n".join(mixed).encode())

    assert sum(problem.count for problem in problems) > len(odd) / 3
    assert {problem.message for problem in problems} >= {
        "a span's time is out of range",
        "a span's time is no number",
        "a span's name is no text",
        "an attribute's key is no text",
        "an attribute's value is not of the type that it says",
        "resourceSpans is no list",
        "an element of spans is no object",
    }


def test_odd_values_beside_good_spans(lines, tmp_path):
    """An odd span, event, attribute or resource does not cost the others of its line."""
    good, others = lines[:2]
    (span,) = [document for document in _one_of_each(others) if "predict" in json.dumps(document)][
        :1
    ]
    resources = [json.loads(line)["resourceSpans"][0] for line in good if "resourceSpans" in line]
    logs = [line for line in good if "resourceLogs" in line]
    odd = [
        document["resourceSpans"][0]
        for document in odd_documents([span])
        if isinstance(document["resourceSpans"], list) and document["resourceSpans"]
    ]
    middle = len(odd) // 2
    line = json.dumps({"resourceSpans": [*odd[:middle], *resources, *odd[middle:]]})

    problems = expect_all(lines, tmp_path / "t.jsonl", "\n".join([line, *logs]).encode())

    assert "a line is no JSON" not in {problem.message for problem in problems}


def test_an_odd_attribute_does_not_cost_its_span(lines, tmp_path):
    """The span is used without it."""
    others = lines.others
    document = _one_of_each(others)[3]
    (span,) = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
    span["attributes"] += [{"key": 5, "value": {}}, {"key": "k", "value": {"intValue": "many"}}]
    span["links"] = 5
    span["status"] = {"code": [1]}
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(document) + "\n")

    with open_sources([path]) as telemetry:
        (row,) = telemetry.spans.to_pyarrow().to_pylist()

    assert row["keras.model.name"] == "intent"
    assert sorted(problem.message for problem in telemetry.problems) == [
        "an attribute's key is no text",
        "an attribute's value is not of the type that it says",
        "links is no list",
    ]


def test_odd_values_of_jaeger(lines, tmp_path):
    """Every value of a trace of Jaeger's may be anything."""
    good, others = lines[:2]
    path = tmp_path / "others.jsonl"
    path.write_text("\n".join(others))
    traces = download(path)["data"]
    chosen = [next(t for t in traces if "gen_ai.evaluation.result" in json.dumps(t))]
    odd = [json.dumps(document) for document in odd_documents(chosen)]
    mixed = [*odd[::2], *good, *odd[1::2]]

    problems = expect_all(lines, tmp_path / "t.jsonl", "\n".join(mixed).encode())

    assert {problem.message for problem in problems} >= {
        "a span is not shaped as Jaeger writes it",
        "a tag's key is no text",
        "a span's ids are not hex digits",
    }


@pytest.mark.parametrize("seed", range(12))
def test_damaged_bytes(lines, tmp_path, seed):
    """Lines that are cut, overwritten or doubled in part, and in between those that are not."""
    rng = random.Random(seed)
    good, others = lines[:2]
    mixed = [line.encode() for line in good]
    for line in others:
        damaged = _damaged(line.encode(), rng)
        mixed.insert(rng.randrange(len(mixed) + 1), damaged.replace(b"\n", b"\r"))

    problems = expect_all(lines, tmp_path / "t.jsonl", b"\n".join(mixed))

    assert problems


def _damaged(line, rng):
    at, length = rng.randrange(len(line)), rng.randrange(1, 40)
    junk = rng.choice([b"", rng.randbytes(length), b"\0" * length, line[:length], b'}{"[],:\\'])
    return rng.choice([line[:at], line[at:], line[:at] + junk + line[at + length :], junk + line])
