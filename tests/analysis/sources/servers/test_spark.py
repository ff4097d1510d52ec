"""Spark as the engine: the same document, and only cells come back."""

from __future__ import annotations

import shutil
from dataclasses import replace

import ibis
import pyarrow.parquet as pq
import pytest

from keras_otel.analysis.reports import render_json
from keras_otel.analysis.rows.build import build_rows
from keras_otel.analysis.rows.sampling_detection import signs_of_sampling
from keras_otel.analysis.rows.trace_sample import trace_sample
from keras_otel.analysis.slices.slicing import slice_rows
from keras_otel.analysis.sources.reader import open_sources
from keras_otel.analysis.sources.servers.engines import one_line_errors
from keras_otel.cli import main
from keras_otel.errors import OptionError, SourceError
from tests.analysis.aggregation.test_numeric_bins import assert_same_bins, columns_of_every_kind
from tests.analysis.sources.requests import many, write
from tests.analysis.sources.test_same_rows import QUESTION, SETTINGS

pytest.importorskip("pyspark")
pytestmark = [
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java"),
    # Its sockets to the JVM are closed when the interpreter ends.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


FEW = replace(QUESTION, by=(), cluster=None)


@pytest.fixture
def files(tmp_path):
    """Requests as Parquet, in two files of each table."""
    path = tmp_path / "traces.jsonl"
    requests = [
        replace(request, root_more={"app.plan": "free" if number % 3 else "paid"})
        for number, request in enumerate(many(120))
    ]
    write(path, requests)
    folder = tmp_path / "parquet"
    folder.mkdir()
    with open_sources([path]) as telemetry:
        document = render_json(slice_rows(build_rows(telemetry, FEW), SETTINGS))
        for kind in ("spans", "evaluations"):
            table = getattr(telemetry, kind).to_pyarrow()
            half = len(table) // 2
            pq.write_table(table.slice(0, half), folder / f"{kind}1.parquet")
            pq.write_table(table.slice(half), folder / f"{kind}2.parquet")
    return folder, document


def test_the_same_document(files, monkeypatch):
    """Spark joins and groups to the same bytes, and answers with less than the rows."""
    from ibis.backends.pyspark import Backend

    sizes = []
    to_pyarrow = Backend.to_pyarrow

    def counted(self, *args, **kwargs):
        found = to_pyarrow(self, *args, **kwargs)
        sizes.append(getattr(found, "num_rows", 1))
        return found

    monkeypatch.setattr(Backend, "to_pyarrow", counted)
    folder, document = files
    with open_sources([folder], engine="spark://local") as telemetry:
        built = build_rows(telemetry, FEW)
        found = render_json(slice_rows(built, SETTINGS))
        largest = max(sizes)
        rows = built.table.to_pyarrow().to_pylist()
        sign = signs_of_sampling(trace_sample(telemetry.spans).spans)
    keys = ("model", "eval", *built.features)
    cells = {tuple(row[key] for key in keys) for row in rows}
    backend = built.table.get_backend()
    with pytest.raises(SourceError, match=r"rows failed: \[.*nowhere"), one_line_errors():
        backend.raw_sql("SELECT nowhere")

    assert sign == "67% of the traces lack a span that others are children of"
    assert "app.plan" in built.features
    assert found == document
    assert largest == len(cells) < len(rows)


def test_the_same_ranges(files, tmp_path):
    """Numbers are cut where DuckDB cuts them, NaN and what rows stand for included."""
    path = tmp_path / "numbers.parquet"
    pq.write_table(columns_of_every_kind(), path)
    with open_sources([files[0]], engine="spark://local") as telemetry:
        there = telemetry.spans.get_backend().read_parquet(str(path))
        assert_same_bins(ibis.duckdb.connect().read_parquet(path), there)


def test_an_engine_that_is_not_known(tmp_path, capsys):
    """One line says which engines there are."""
    with (
        pytest.raises(OptionError, match="spark://local"),
        open_sources([tmp_path], engine="x://y"),
    ):
        pass
    with (
        pytest.raises(OptionError, match="its own tables only"),
        open_sources([tmp_path], engine="clickhouse://localhost/otel"),
    ):
        pass
    assert main(["slice", str(tmp_path), "--engine", "flink://h"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
