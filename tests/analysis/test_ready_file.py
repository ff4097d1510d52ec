"""Files of ready rows: what each form gives, and what is said of lines that cannot be read."""

from __future__ import annotations

import bz2
import gzip

import pytest

from keras_otel.analysis.ready_file import read_rows
from keras_otel.errors import SourceError

HEAD = "class,failed\n"
LINES = "".join(f"{'äbc'[n % 3]},{n % 2}\n" for n in range(60))
PLAIN = HEAD + LINES

WHOLE = {
    "comma": PLAIN.encode(),
    "semicolon": PLAIN.replace(",", ";").encode(),
    "tab": PLAIN.replace(",", "\t").encode(),
    "ends of Windows": PLAIN.replace("\n", "\r\n").encode(),
    "mark first": ("\ufeff" + PLAIN).encode(),
    "UTF-16": PLAIN.encode("utf-16"),
    "Windows-1252": PLAIN.encode("cp1252"),
    "gzip": gzip.compress(PLAIN.encode()),
    "compressed twice": bz2.compress(gzip.compress(PLAIN.encode("utf-16"))),
}


@pytest.mark.parametrize("content", WHOLE.values(), ids=WHOLE)
def test_forms(tmp_path, content):
    """All say the same, whatever the file is called and wrapped in."""
    path = tmp_path / "rows.csv"
    path.write_bytes(content)

    read = read_rows(path)

    rows = read.table.to_pyarrow().to_pydict()
    assert rows == {
        "class": ["äbc"[n % 3] for n in range(60)],
        "failed": [n % 2 for n in range(60)],
    }
    assert read.warnings == ()


ODD = {
    "too many cells": (
        PLAIN + "b,1,2\n",
        "1 line is left out, line 62: there are more",
    ),
    "at once": (HEAD + "b,1,2\n" + LINES, "line 2: there are more cells than names"),
    "too few cells": (
        PLAIN + "b\nb\n",
        "2 lines are left out, the first of them line 62: there are fewer",
    ),
    "another type, late": (
        HEAD + LINES * 500 + "b,perhaps\n",
        "a cell is not of its column's type",
    ),
}


@pytest.mark.parametrize(("text", "warning"), ODD.values(), ids=ODD)
def test_odd_lines(tmp_path, text, warning):
    """One odd line costs itself alone, and is counted with its reason."""
    path = tmp_path / "rows.csv"
    path.write_text(text)

    read = read_rows(path)

    assert read.table.count().to_pyarrow().as_py() == text.count("\n") - 1 - len(
        [line for line in text.splitlines() if line.count(",") != 1 or "perhaps" in line]
    )
    (found,) = read.warnings
    assert warning in found


def test_damaged(tmp_path):
    """What is whole of a cut file is read."""
    path = tmp_path / "rows.csv.gz"
    text = HEAD + LINES * 2000
    path.write_bytes(gzip.compress(text.encode())[:-200])

    read = read_rows(path)

    assert read.table.count().to_pyarrow().as_py() > 0
    assert "cut off or damaged" in read.warnings[0]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("rows.csv", b"", "has no rows"),
        ("rows.csv", HEAD.encode(), "has no rows"),
        ("rows.csv", b"PAR1\0\0", "has no rows"),
        ("rows.parquet", PLAIN.encode(), "cannot be read"),
        ("rows.txt", PLAIN.encode(), "neither .parquet nor .csv"),
    ],
)
def test_no_rows(tmp_path, name, content, line):
    """One line says what is wrong with a file."""
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(SourceError) as raised:
        read_rows(path)

    assert line in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
