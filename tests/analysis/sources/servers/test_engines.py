"""Engines that fail: one line, whichever it is; and how much may be asked of one."""

from __future__ import annotations

import ibis
import pytest

from keras_otel.analysis.result import Predicate
from keras_otel.analysis.slices.examples import ExampleRequest, example_traces
from keras_otel.analysis.sources.servers.clickhouse import connect
from keras_otel.analysis.sources.servers.engines import one_line_errors
from keras_otel.cli import main
from keras_otel.errors import SourceError
from tests.analysis.sources.requests import many, write
from tests.analysis.sources.test_same_rows import clickhouse_with


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory):
    """The traces table of a ClickHouse."""
    path = tmp_path_factory.mktemp("data") / "traces.jsonl"
    write(path, many(20))
    with clickhouse_with(path) as address:
        yield connect(f"clickhouse://{address}/otel")[0]


def failure(ask):
    """The one line that a question's failure becomes."""
    with pytest.raises(SourceError) as caught, one_line_errors():
        ask()
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 400
    return text


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT error('first' || chr(10) || chr(10) || 'second') AS x", "first second"),
        ("SELECT * FROM nowhere", "nowhere"),
        ("SELECT * FROM read_csv('/nowhere.csv')", "/nowhere.csv"),
        (f"SELECT error('{'long ' * 200}') AS x", "long long..."),
    ],
)
def test_duckdb(query, message):
    """What DuckDB says, over however many lines."""
    assert message in failure(lambda: ibis.duckdb.connect().raw_sql(query).fetchall())


def test_clickhouse(clickhouse):
    """What ClickHouse's server says."""
    backend = clickhouse.get_backend()

    message = failure(lambda: backend.raw_sql("SELECT throwIf(1)"))

    assert "FUNCTION_THROW_IF" in message.upper()


def test_on_the_command_line(tmp_path, capsys):
    """A file that turns out to be odd beyond what is sniffed: a warning names the place, the rest is used."""
    path = tmp_path / "rows.csv"
    path.write_text("failed,x\n" + "0,1\n" * 30_000 + "1,word\n")

    assert main(["slice", "--rows", str(path), "--failed", "failed"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "1 line is left out, line 30002: a cell is not of its column's type" in shown
    assert "of 30,000 rows failed" in shown


def test_our_own_errors_stay():
    """A line of our own is not put into another one."""
    with pytest.raises(SourceError, match=r"^as it is$"), one_line_errors():
        raise SourceError("as it is")


def test_examples_of_hundreds_of_slices(clickhouse):
    """One query of a few hundred characters, however many slices there are."""
    rows = clickhouse.select(
        eval=ibis.literal("ok"),
        model=ibis.literal("intent"),
        trace_id=clickhouse.TraceId,
        failed=ibis.literal(True),
        name=clickhouse.SpanName,
    )
    names = ["chat m", *(f"name {n} of a span" * 20 for n in range(600))]
    slices = [(Predicate(attribute="name", value=name),) for name in names]

    request = ExampleRequest(eval_name="ok", model="intent", slices=tuple(slices))
    ((first, *others),) = example_traces(rows, [request], rows.__getitem__)

    assert len(first) == 3
    assert not any(others)
