"""Every form in which a file of traces comes gives the same spans and evaluations, or says why it cannot.

Each form is named after what writes it, with the project's documentation or issue that shows it.
"""

from __future__ import annotations

import base64
import bz2
import copy
import gzip
import json
from typing import NamedTuple

import pyarrow as pa
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from keras_otel.analysis.sources.reader import open_sources
from tests.analysis.sources.jaeger_download import download
from tests.analysis.sources.requests import Request, Verdict, many, write

IDS = ("traceId", "spanId", "parentSpanId")


class Traces(NamedTuple):
    """The same traces as lines, and as Jaeger has them."""

    lines: list[bytes]
    jaeger: list[dict]

    @property
    def documents(self):
        """What the lines hold."""
        return [json.loads(line) for line in self.lines]


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    """Requests of every kind; one has a list and a map among its attributes."""
    path = tmp_path_factory.mktemp("data") / "traces.jsonl"
    write(path, many(30))
    downloaded = download(path)["data"]
    path.unlink()
    listed = {"tags": ["a", "b"], "numbers": [1, 2.5], "on": True, "count": 7}
    write(path, [*many(30), Request(llm_more=listed, verdicts=[Verdict(passed=True)])])
    return Traces(path.read_bytes().splitlines(), downloaded)


def tables(*paths):
    """Spans and evaluations as text, and the problems."""
    with open_sources(paths) as telemetry:
        found = [
            sorted(
                json.dumps(row, sort_keys=True, default=str)
                for row in table.to_pyarrow().to_pylist()
            )
            for table in (telemetry.spans, telemetry.evaluations)
        ]
    return found, [(problem.message, problem.count) for problem in telemetry.problems]


@pytest.fixture(scope="module")
def expected(traces, tmp_path_factory):
    """The tables that the file exporter's own lines give, and those of a download from Jaeger's page."""
    folder = tmp_path_factory.mktemp("expected")
    (folder / "otlp.jsonl").write_bytes(joined(traces.lines))
    (folder / "jaeger.json").write_text(json.dumps({"data": traces.jaeger}))
    found = {}
    for name in ("otlp.jsonl", "jaeger.json"):
        found[name], problems = tables(folder / name)
        assert problems == []
        assert min(map(len, found[name])) > 15
    return found


def joined(lines, by=b"\n"):
    return b"".join(line + by for line in lines)


def in_lines(documents):
    return joined([json.dumps(document).encode() for document in documents])


def walked(node, change):
    """A document with another key or value wherever `change` gives one."""
    if isinstance(node, dict):
        return dict(change(key, walked(value, change)) for key, value in node.items())
    return [walked(each, change) for each in node] if isinstance(node, list) else node


def changed(change):
    """The documents of the lines, each changed by key and value."""
    return lambda traces: in_lines(walked(document, change) for document in traces.documents)


def rewritten(rewrite):
    """The documents of the lines, each rewritten."""
    return lambda traces: in_lines(map(rewrite, traces.documents))


def renamed(names):
    return changed(lambda key, value: (names.get(key, key), value))


def in_base64(text, alphabet=base64.b64encode):
    return alphabet(bytes.fromhex(text)).decode()


def messages(traces):
    """The lines as protobuf's own classes."""
    for document in traces.documents:
        kind = TracesData if "resourceSpans" in document else LogsData
        coded = walked(document, lambda k, v: (k, in_base64(v) if k in IDS and v else v))
        yield ParseDict(coded, kind(), ignore_unknown_fields=True)


def protobuf_json(traces, **options):
    return in_lines(MessageToDict(message, **options) for message in messages(traces))


def framed(parts):
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def zstd(content):
    return pa.Codec("zstd").compress(content, asbytes=True)


def spans_as_batches(document):
    return {"batches": document["resourceSpans"]} if "resourceSpans" in document else document


def under_trace(document):
    if "resourceSpans" not in document:
        return document
    coded = walked(document, lambda k, v: (k, in_base64(v) if k in IDS and v else v))
    return {"trace": coded, "metrics": {}}


def integers(key, value):
    return key, int(value) if key.endswith("UnixNano") or key == "intValue" else value


def pieces_of_docker(traces, size=500):
    """Lines in pieces as Docker cuts them, between lines of standard error."""
    for line in traces.lines:
        text = line.decode() + "\n"
        for start in range(0, len(text), size):
            yield {
                "log": text[start : start + size],
                "stream": "stdout",
                "time": "2026-11-26T00:00:00Z",
            }
            if start == 0:
                yield {"log": "{}\n", "stream": "stderr", "time": "2026-11-26T00:00:00Z"}


def pieces_of_cri(traces, size=500):
    """Lines in pieces as containerd cuts them."""
    for line in traces.lines:
        parts = [line[start : start + size] for start in range(0, len(line), size)]
        for number, part in enumerate(parts, start=1):
            tag = b"F" if number == len(parts) else b"P"
            yield b"2026-11-26T00:00:00.000000001Z stdout " + tag + b" " + part


# What writes it, where that is documented, and how: the whole file.
OTLP = {
    "lines (OTLP file exporter specification)": lambda t: joined(t.lines),
    "lines with CRLF and blank lines (Windows)": lambda t: b"\r\n" + joined(t.lines, b"\r\n\r\n"),
    "lines with a byte order mark (PowerShell 5, Out-File utf8)": (
        lambda t: b"\xef\xbb\xbf" + joined(t.lines)
    ),
    "UTF-16 lines (PowerShell's >)": lambda t: joined(t.lines).decode().encode("utf-16"),
    "UTF-16 without a mark": lambda t: joined(t.lines).decode().encode("utf-16-be"),
    "UTF-32 lines": lambda t: joined(t.lines).decode().encode("utf-32"),
    "padding of zeros (logrotate's copytruncate)": (lambda t: b"\0" * 100_000 + joined(t.lines)),
    "a JSON text sequence (RFC 7464)": lambda t: b"".join(
        b"\x1e" + line + b"\n" for line in t.lines
    ),
    "files put together, each with a mark": lambda t: b"".join(
        b"\xef\xbb\xbf" + x for x in t.lines
    ),
    "upper-case ids (opentelemetry-proto, trace.proto)": changed(
        lambda k, v: (k, v.upper() if k in IDS else v)
    ),
    "64-bit integers as JSON numbers (opentelemetry-swift#537)": changed(integers),
    "names of enums (grafana#43060)": changed(
        lambda k, v: (k, {1: "SPAN_KIND_INTERNAL"}.get(v, v) if k == "kind" else v)
    ),
    "protobuf's MessageToJson": protobuf_json,
    "protobuf's MessageToJson, field names kept": (
        lambda t: protobuf_json(t, preserving_proto_field_name=True)
    ),
    "base64 ids in the alphabet of URLs": changed(
        lambda k, v: (k, in_base64(v, base64.urlsafe_b64encode) if k in IDS and v else v)
    ),
    "Tempo's /api/traces (batches)": rewritten(spans_as_batches),
    "Tempo's /api/v2/traces (tempo#5437)": rewritten(under_trace),
    "Jaeger's /api/v3/traces (result)": rewritten(lambda document: {"result": document}),
    "instrumentationLibrarySpans (opentelemetry-proto 0.14)": renamed(
        {
            "scopeSpans": "instrumentationLibrarySpans",
            "scopeLogs": "instrumentationLibraryLogs",
            "scope": "instrumentationLibrary",
        }
    ),
    "one array of requests (jq -s)": lambda t: json.dumps(t.documents).encode(),
    "one array, indented": lambda t: json.dumps(t.documents, indent=2).encode(),
    "one array, an element a line": lambda t: b"[\n" + b",\n".join(t.lines) + b"\n]\n",
    "arrays, one a line": lambda t: in_lines(t.documents[i : i + 7] for i in range(0, 200, 7)),
    "resources one by one (jq '.resourceSpans[]')": rewritten(
        lambda d: next(iter(d.values()))[0] if len(d) == 1 else d
    ),
    "objects without a line end between them": lambda t: b"".join(t.lines),
    "objects with commas between them": lambda t: b",\n".join(t.lines),
    "indented objects one after another (jq .)": (
        lambda t: b"\n".join(json.dumps(d, indent=2).encode() for d in t.documents)
    ),
    "objects indented with nothing": (
        lambda t: b"\n".join(json.dumps(d, indent=0).encode() for d in t.documents)
    ),
    "gzip": lambda t: gzip.compress(joined(t.lines)),
    "several gzip members (logrotate, cat)": (
        lambda t: b"".join(gzip.compress(line + b"\n") for line in t.lines)
    ),
    "zstd": lambda t: zstd(joined(t.lines)),
    "several zstd frames (nativeCompression, collector-contrib#49328)": (
        lambda t: b"".join(zstd(line + b"\n") for line in t.lines)
    ),
    "bzip2": lambda t: bz2.compress(joined(t.lines)),
    "gzip around gzip": lambda t: gzip.compress(gzip.compress(joined(t.lines))),
    "compression: zstd (collector-contrib#44077)": lambda t: framed(map(zstd, t.lines)),
    "messages of JSON by their length, in zstd": lambda t: zstd(framed(t.lines)),
    "one message of JSON by its length": (
        lambda t: framed([b'{"resourceSpans":[]}']) + framed(t.lines)
    ),
    "format: proto (collector-contrib#14399)": (
        lambda t: framed(m.SerializeToString() for m in messages(t))
    ),
    "format: proto, compression: zstd": (
        lambda t: framed(zstd(m.SerializeToString()) for m in messages(t))
    ),
    "format: proto in one zstd stream": (
        lambda t: zstd(framed(m.SerializeToString() for m in messages(t)))
    ),
    "Docker's json-file (moby#36777: cut into pieces)": lambda t: in_lines(pieces_of_docker(t)),
    "containerd's log (kubernetes#55922: cut into pieces)": lambda t: joined(pieces_of_cri(t)),
    "one line in Docker's form among others": (
        lambda t: b'{"log":"{\\"resourceLogs\\":[]}"}\n' + joined(t.lines)
    ),
    "docker compose logs": lambda t: joined([b"collector-1  | " + line for line in t.lines]),
    "kubectl logs --timestamps": lambda t: joined([b"2026-11-26T00:00:00Z " + x for x in t.lines]),
    "Fluent Bit's records": lambda t: in_lines({"date": 1.5, "log": x.decode()} for x in t.lines),
    "Loki's logcli -o jsonl": lambda t: in_lines(
        {"labels": {}, "line": x.decode()} for x in t.lines
    ),
}
# Forms of which something is said although all is read.
SAID = {
    "Docker's json-file (moby#36777: cut into pieces)": "a line is of no format that is known",
}


@pytest.mark.parametrize("form", OTLP)
def test_otlp(traces, expected, tmp_path, form):
    """Spans and evaluations are those of the exporter's own lines."""
    path = tmp_path / "traces"
    path.write_bytes(OTLP[form](traces))

    found, problems = tables(path)

    assert found == expected["otlp.jsonl"]
    assert [what for what, _ in problems] == ([SAID[form]] if form in SAID else [])


@pytest.mark.parametrize("kind", ["resourceSpans", "resourceLogs"])
def test_a_protobuf_body(traces, expected, tmp_path, kind):
    """A request as it is sent, without a length before it: one of all spans, one of all log records."""
    whole = TracesData() if kind == "resourceSpans" else LogsData()
    for message in messages(traces):
        if isinstance(message, type(whole)):
            whole.MergeFrom(message)
    (tmp_path / "body.pb").write_bytes(whole.SerializeToString())
    (tmp_path / "lines.jsonl").write_bytes(
        joined([line for line in traces.lines if kind.encode() not in line])
    )

    found, problems = tables(tmp_path)

    assert found == expected["otlp.jsonl"]
    assert problems == []


def test_rotated_files(traces, expected, tmp_path):
    """The file exporter names them by time; metrics beside them hold nothing to read."""
    for number, name in enumerate(("t.jsonl", "t-2026-11-26T10-00-00.000.jsonl", "t.1.jsonl")):
        (tmp_path / name).write_bytes(joined(traces.lines[number::3]))
    (tmp_path / "metrics.jsonl").write_text('{"resourceMetrics":[]}\n')

    assert tables(tmp_path) == (expected["otlp.jsonl"], [])


def jaeger(change):
    """A download from Jaeger's page with each span changed."""

    def rewritten(traces):
        copied = copy.deepcopy(traces.jaeger)
        for trace in copied:
            for span in trace["spans"]:
                change(trace, span)
        return json.dumps({"data": copied, "total": 0}).encode()

    return rewritten


def with_nulls(trace, span):
    for key in ("tags", "logs", "references"):
        span[key] = span[key] or None


def with_parent_id(trace, span):
    for reference in span["references"]:
        if reference["refType"] == "CHILD_OF":
            span["parentSpanID"] = reference["spanID"]
    span["references"] = [r for r in span["references"] if r["refType"] != "CHILD_OF"]


def with_process(trace, span):
    span["process"] = trace["processes"][span.pop("processID")]


def with_text(trace, span):
    span["startTime"], span["duration"] = str(span["startTime"]), str(span["duration"])
    for tag in span["tags"]:
        tag["value"] = str(tag["value"])


def with_cut_ids(trace, span):
    for node in (trace, span, *span["references"]):
        for key in ("traceID", "spanID"):
            if key in node:
                node[key] = node[key].lstrip("0")


def documents_of_elasticsearch(traces, *, as_fields=False):
    """Each span as Jaeger stores it."""
    for trace in copy.deepcopy(traces.jaeger):
        for span in trace["spans"]:
            with_process(trace, span)
            if as_fields:
                span["tag"] = {tag["key"].replace(".", "@"): tag["value"] for tag in span["tags"]}
                span["tags"] = []
            yield span


def dump(traces, **options):
    return in_lines(
        {"_index": "jaeger-span-2026-11-26", "_source": span}
        for span in documents_of_elasticsearch(traces, **options)
    )


def answer_of_elasticsearch(traces):
    hits = [{"_source": span} for span in documents_of_elasticsearch(traces)]
    return json.dumps({"took": 1, "hits": {"total": {"value": len(hits)}, "hits": hits}}).encode()


JAEGER = {
    "as downloaded": jaeger(lambda trace, span: None),
    "null tags, logs and references (jaeger#1956)": jaeger(with_nulls),
    "parentSpanID (jaeger#8266)": jaeger(with_parent_id),
    "process inside the span": jaeger(with_process),
    "numbers as text": jaeger(with_text),
    "ids without their leading zeros": jaeger(with_cut_ids),
    "a trace a line": lambda t: in_lines({"data": [trace]} for trace in t.jaeger),
    "bare traces a line (jaeger-ui#3917)": lambda t: in_lines(t.jaeger),
    "a list of traces": lambda t: json.dumps(t.jaeger).encode(),
    "a list of traces, indented": lambda t: json.dumps(t.jaeger, indent=1).encode(),
    "elasticdump": dump,
    "elasticdump with tags as fields (jaeger#1018)": lambda t: dump(t, as_fields=True),
    "documents alone (jq ._source)": lambda t: in_lines(documents_of_elasticsearch(t)),
    "an answer of Elasticsearch's _search (jaeger#906)": answer_of_elasticsearch,
}


@pytest.mark.parametrize("form", JAEGER)
def test_jaeger(traces, expected, tmp_path, form):
    """Spans and evaluations are those of a download."""
    path = tmp_path / "traces.json"
    path.write_bytes(JAEGER[form](traces))

    assert tables(path) == (expected["jaeger.json"], [])
