"""The same data through any source gives the same rows and the same counts."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keras_otel.analysis.reports import render_json
from keras_otel.analysis.rows.build import build_rows
from keras_otel.analysis.rows.fail_rules import FailRule
from keras_otel.analysis.rows.row_table import FEATURES, Question
from keras_otel.analysis.rows.sampling_detection import signs_of_sampling
from keras_otel.analysis.rows.trace_sample import trace_sample
from keras_otel.analysis.slices.settings import Settings
from keras_otel.analysis.slices.slicing import slice_rows
from keras_otel.analysis.sources.formats import json_files
from keras_otel.analysis.sources.formats.work_split import shares_of
from keras_otel.analysis.sources.reader import open_sources
from keras_otel.analysis.sources.tables.schema import LONGEST_EXPLANATION
from keras_otel.analysis.sources.tables.writer import Window
from tests.analysis.sources.jaeger_download import download
from tests.analysis.sources.requests import many, write

QUESTION = Question(
    rules=(FailRule.parse("faithful: score<0.5"),),
    by=("gen_ai.request.model", "deployment.environment.name", "keras.batch.size"),
    cluster="session.id",
)


SETTINGS = Settings(by=FEATURES, min_support=3, list_all=True)

ROOT = Path(__file__).parents[3]


def _order(row):
    return row["trace_id"], row["model"], row["eval"]


def answer(*sources):
    """All rows in order, and the counts."""
    with open_sources(sources) as telemetry:
        built = build_rows(telemetry, QUESTION)
        rows = built.table.to_pyarrow().to_pylist()
        document = render_json(slice_rows(built, SETTINGS))
    assert telemetry.problems == ()
    return sorted(rows, key=_order), built, document


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    """OTLP JSON lines by the SDK and the official exporter."""
    path = tmp_path_factory.mktemp("data") / "traces.jsonl"
    write(path, [_explained(request, n) for n, request in enumerate(many(80))])
    return path


def _explained(request, number):
    """The request, its verdicts with a reason of any length, its root with a plan."""
    reason = "größer als " * (number % 80 + 1)
    return replace(
        request,
        verdicts=[replace(verdict, explanation=reason) for verdict in request.verdicts],
        root_more={"app.plan": "free" if number % 3 else "paid"},
    )


@pytest.fixture(scope="module")
def expected(traces):
    """What the file itself gives; every kind of row is in it."""
    rows, built, document = answer(traces)
    counts = built.accounting.rows
    assert min(counts.evaluated, counts.errors, counts.not_evaluated, counts.several) > 5
    assert {row["weight"] for row in rows} == {1.0, 2.0, 4.0}
    assert {row["failed"] for row in rows} == {True, False, None}
    reasons = {row["explanation"] for row in rows if row["failed"]}
    assert {row["explanation"] for row in rows if not row["failed"]} == {None}
    assert all(reasons)
    assert max(map(len, reasons)) == LONGEST_EXPLANATION
    assert '"risk_ratio"' in document
    return rows, built.accounting, document


def same(expected, *sources):
    """Assert that sources give the rows, counts and JSON that are expected, byte for byte."""
    rows, built, document = answer(*sources)

    assert rows == expected[0]
    assert built.accounting == expected[1]
    assert document == expected[2]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_compressed(traces, expected, tmp_path, suffix):
    """Plain, gzip and zstd, told by their first bytes and not by their names."""
    path = tmp_path / "traces"
    content = traces.read_bytes()
    if suffix == ".gz":
        content = gzip.compress(content)
    if suffix == ".zst":
        content = pa.Codec("zstd").compress(content, asbytes=True)
    path.write_bytes(content)

    same(expected, path)


def test_a_folder_in_any_order(traces, expected, tmp_path):
    """Lines in any order, over several files of a folder and its folders."""
    shuffled = traces.read_text(encoding="utf-8").splitlines(keepends=True)
    random.Random(3).shuffle(shuffled)
    (tmp_path / "older").mkdir()
    (tmp_path / "a.jsonl").write_text("".join(shuffled[:100]), encoding="utf-8")
    (tmp_path / "older" / "b.jsonl").write_text("".join(shuffled[100:]), encoding="utf-8")
    (tmp_path / ".hidden").write_text("nothing of ours")

    same(expected, tmp_path)


def test_one_line_for_a_whole_batch(traces, expected, tmp_path):
    """The Collector writes many spans into one line, and logs into others."""
    resources = {"resourceSpans": [], "resourceLogs": []}
    for line in traces.read_text(encoding="utf-8").splitlines():
        for key, value in json.loads(line).items():
            resources[key] += value
    path = tmp_path / "batch.json"
    path.write_text("\n".join(json.dumps({key: value}) for key, value in resources.items()) + "\n")

    same(expected, path)


def test_by_several_processes(traces, expected, tmp_path):
    """Ranges of bytes cut lines anywhere; each line is read once."""
    size = traces.stat().st_size
    edges = [0, 1, size // 3, size // 3 + 1, size - 1, size]
    parts = [
        json_files.Range(path=str(traces), source="t", start=start, end=end, is_last=end == size)
        for start, end in itertools.pairwise(edges)
    ]

    byte_counts = []
    problems = json_files.read_by_processes(
        [parts[::2], parts[1::2]], tmp_path, Window(), byte_counts.append
    )

    assert problems == []
    assert sum(byte_counts) == size
    same(expected, tmp_path)


def test_shares_cover_every_byte(traces):
    """The shares of a file and of many files add up to all of them."""
    whole = json_files.Range(path="a", source="a", start=0, end=100_000_000)
    shares = shares_of([whole, whole], count=3)

    assert len(shares) == 3
    assert sum(part.end - part.start for share in shares for part in share) == 200_000_000


def test_parquet(traces, expected, tmp_path):
    """Our own tables, as Parquet, in two files."""
    with open_sources([traces]) as telemetry:
        for name in ("spans", "evaluations"):
            pq.write_table(getattr(telemetry, name).to_pyarrow(), tmp_path / f"{name}.parquet")

    same(expected, tmp_path / "spans.parquet", tmp_path / "evaluations.parquet")


def test_parquet_of_attributes_only(traces, expected, tmp_path):
    """A table of spans with one map of attributes is enough, and evaluations may be JSON lines."""
    with open_sources([traces]) as telemetry:
        spans = telemetry.spans.to_pyarrow().to_pylist()
        evaluations = telemetry.evaluations.to_pyarrow().to_pylist()
    table = pa.table(
        {
            **{
                name: [span[name] for span in spans]
                for name in ("trace_id", "span_id", "start_ns", "duration_ns", "tracestate")
            },
            "attributes": pa.array([_all_attributes(span) for span in spans], _MAP),
            "resource": pa.array([span["resource"] for span in spans], _MAP),
        }
    )
    pq.write_table(table, tmp_path / "spans.parquet")
    rows = tmp_path / "evals.jsonl"
    rows.write_text("".join(json.dumps(evaluation) + "\n" for evaluation in evaluations))

    same(expected, tmp_path / "spans.parquet", rows)


_MAP = pa.map_(pa.string(), pa.string())


def _all_attributes(span):
    promoted = {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in span.items()
        if "." in key and value is not None
    }
    return [*span["attributes"], *(span["upstream"] or ()), *promoted.items()]


def test_jaeger(traces, expected, tmp_path):
    """A download from Jaeger's page; what only the log says comes from a file of evaluations."""
    with open_sources([traces]) as telemetry:
        logged = telemetry.evaluations.to_pyarrow().to_pylist()
    path = tmp_path / "download.json"
    path.write_text(json.dumps(download(traces), indent=2))
    rows = tmp_path / "evals.csv"
    rows.write_text(
        "trace_id,span_id,name,passed\n"
        + "".join(
            f"{row['trace_id']},{row['span_id']},{row['name']},{row['passed']}\n"
            for row in logged
            if row["passed"] is not None
        )
    )

    found, _, document = answer(path, rows)

    assert found == expected[0]
    assert _told(document) == _told(expected[2])
    assert answer(path)[0] == expected[0]


def _told(document):
    """Without the counts of deliveries, which evaluations in a file of their own add to."""
    return {key: value for key, value in json.loads(document).items() if key != "accounting"}


@contextmanager
def clickhouse_with(traces):
    """The address of a ClickHouse that holds traces in the Collector's tables."""
    pytest.importorskip("chdb")
    pytest.importorskip("clickhouse_connect")
    command = [
        sys.executable,
        "-m",
        "tests.analysis.sources.servers.clickhouse_server",
        str(traces),
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as process:
        yield f"127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


@pytest.fixture
def clickhouse(traces):
    """A ClickHouse with the traces of every kind."""
    with clickhouse_with(traces) as address:
        yield address


def test_only_cells_come_back(tmp_path):
    """However many rows an engine joins, it answers with a row for each combination of values."""
    path = tmp_path / "traces.jsonl"
    write(path, many(900))
    question = replace(QUESTION, by=(), cluster=None)
    with (
        clickhouse_with(path) as address,
        open_sources([url := f"clickhouse://{address}/otel"], engine=url) as read,
    ):
        built = build_rows(read, question)
        slice_rows(built, Settings())
        with urlopen(f"http://{address}/answered") as answered:
            largest = max(json.load(answered))
        rows = built.table.to_pyarrow().to_pylist()
    keys = ("model", "eval", *built.features)
    cells = {tuple(row[key] for key in keys) for row in rows}

    assert largest == len(cells) < len(rows) / 5


def test_clickhouse(clickhouse, expected):
    """The Collector's tables, in ClickHouse's own engine: rows are made there, and stay there."""
    with open_sources([f"clickhouse://{clickhouse}/otel"]) as telemetry:
        built = build_rows(telemetry, QUESTION)
        with urlopen(f"http://{clickhouse}/answered") as answered:
            largest = max(json.load(answered))
        document = render_json(slice_rows(built, SETTINGS))
        rows = built.table.to_pyarrow().to_pylist()

    assert sorted(rows, key=_order) == expected[0]
    assert built.accounting == expected[1]
    assert document == expected[2]
    assert largest < len(rows) / 2


def test_what_nobody_asked_for(clickhouse, traces, tmp_path):
    """Attributes of all spans that may say something are found the same in every engine."""
    jaeger = tmp_path / "jaeger.json"
    jaeger.write_text(json.dumps(download(traces)))
    found = []
    for source in (traces, f"clickhouse://{clickhouse}/otel", jaeger):
        with open_sources([source]) as telemetry:
            built = build_rows(telemetry, replace(QUESTION, by=(), cluster="auto"))
            rows = built.table.to_pyarrow().to_pylist()
            sign = signs_of_sampling(trace_sample(telemetry.spans).spans)
        found.append((sorted(rows, key=_order), built.features, built.is_clustered, sign))

    assert found[0][1:3] == ((*FEATURES, "app.plan"), True)
    assert found[1] == found[0]
    assert found[2][1:] == found[0][1:]


def test_clickhouse_beside_a_file(clickhouse, expected, tmp_path):
    """With evaluations from elsewhere, the spans come here."""
    more = tmp_path / "more.csv"
    more.write_text(f"trace_id,name,passed\n{'f' * 32},other,true\n")

    rows, built, _ = answer(f"clickhouse://{clickhouse}/otel", more)

    assert [row for row in rows if row["eval"] != "other"] == expected[0]
    assert built.accounting.without_prediction == 1
