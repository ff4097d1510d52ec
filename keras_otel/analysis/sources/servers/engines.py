"""Connect to the engine that joins and groups: DuckDB in this process, or Spark by its address."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb
import ibis
import pyarrow as pa
from ibis.common.exceptions import IbisError

from keras_otel._secrets import redacted
from keras_otel.errors import OptionError, SourceError

SPARK: Final = "spark://"
CLICKHOUSE: Final = "clickhouse://"

# Beyond this much memory DuckDB uses the disk; the order of rows has no meaning here.
_DUCKDB: Final = {"memory_limit": "4GB", "preserve_insertion_order": False}

# The errors of engines, by module: those of engines that are not in use are not imported for it.
_OPTIONAL_ERRORS: Final = (
    ("clickhouse_connect.driver.exceptions", "ClickHouseError"),
    ("urllib3.exceptions", "HTTPError"),
    ("pyspark.errors", "PySparkException"),
    ("py4j.protocol", "Py4JError"),
)
_LONGEST: Final = 300


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Convert the errors of an engine within the block into one line.

    Raises:
        SourceError: The engine failed: it is out of memory, lost its connection, or cannot read a file.
    """
    try:
        yield
    except _engine_errors() as error:
        # DuckDB's advice is about options of its own.
        text = " ".join(redacted(str(error)).partition("Possible solutions")[0].split())
        shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
        raise SourceError(
            f"the engine that joins the rows failed: {shown or type(error).__name__}"
        ) from error


def _engine_errors() -> tuple[type[Exception], ...]:
    loaded = [
        getattr(sys.modules[module], name)
        for module, name in _OPTIONAL_ERRORS
        if module in sys.modules
    ]
    return (duckdb.Error, IbisError, pa.ArrowException, *loaded)


def require_engine(url: str | None, sources: Sequence[str]) -> None:
    """Check an engine's address before anything is read.

    Raises:
        OptionError: It is unknown, or cannot join the rows of these sources.
    """
    if url is None or url.startswith(SPARK):
        return
    if not url.startswith(CLICKHOUSE):
        raise OptionError(
            f"the engine {redacted(url)!r} is not known: leave it out for DuckDB, or write spark://local, "
            "spark://host:7077 or clickhouse://host/database"
        )
    if list(sources) != [url]:
        raise OptionError(
            "ClickHouse joins its own tables only: name that address as the only SOURCE, or leave the "
            "engine out"
        )


def connect(url: str | None, folder: Path) -> Any:
    """Connect to an engine that reads Parquet files.

    Args:
        url: `spark://local`, or the address of a cluster's master that can read the sources' files; DuckDB
            by default. ClickHouse's tables are connected to where they are read.
        folder: Where DuckDB puts what does not fit into memory.

    Raises:
        OptionError: Spark is not installed, or does not start.
    """
    if url is None or not url.startswith(SPARK):
        return ibis.duckdb.connect(temp_directory=str(folder), **_DUCKDB)
    return _spark("local[*]" if url == f"{SPARK}local" else url)


def _spark(master: str) -> Any:
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise OptionError(
            "Spark is not installed: pip install 'keras-otel[spark]' brings it, and it needs Java"
        ) from error
    builder = SparkSession.builder.master(master).appName("keras-otel slice")
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
    }
    if master.startswith("local"):
        # By default a shuffle is 200 tasks, which is for clusters.
        settings["spark.sql.shuffle.partitions"] = str(os.cpu_count() or 1)
    for name, value in settings.items():
        builder = builder.config(name, value)
    try:
        session = builder.getOrCreate()
    except (PySparkException, OSError, RuntimeError) as error:
        first = str(error).strip().partition("\n")[0]
        raise OptionError(f"Spark does not start at {master} ({first}): is Java there?") from error
    session.sparkContext.setLogLevel("ERROR")
    return ibis.pyspark.connect(session)
