"""Read a JSON file, at once or in ranges of bytes by several processes.

Run as a program, it reads the ranges that its standard input names: a process of its own, because
parsing holds the interpreter's lock, and started anew, because a fork would inherit the threads of
DuckDB and `multiprocessing` would run the user's own script again.
"""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from keras_otel.analysis.sources.formats.json_formats import read_document
from keras_otel.analysis.sources.formats.json_text import Wording, read_text
from keras_otel.analysis.sources.tables.telemetry import ReadProblem
from keras_otel.analysis.sources.tables.writer import TableWriter, Window
from keras_otel.errors import SourceError

CountBytes = Callable[[int], None]
"""Called with the number of bytes that were read since the last call."""

_REPORT_BYTES: Final = 16 * 1024 * 1024
_LINE: Final = Wording(value="a line", damage="a line is no JSON")
_LAST_LINE: Final = Wording(
    value="a line", damage="the last line is cut off; the lines before it were read"
)
_DOCUMENT: Final = Wording(
    value="a document", damage="the document is cut off or broken; what is whole was read"
)
_WHOLE_LIMIT: Final = 2 * 1024**3
_FIRST_LINES: Final = 50
_LONGEST_PARSED: Final = 64 * 1024
_OPENING: Final = (b"{", b"[")
_CONTINUED: Final = (b"{", b"[", b",", b":")
_PADDING: Final = "\0\ufeff \t\r\n"
# Where a program's own line begins, after the prefix of `docker compose logs` and others.
_REQUEST = re.compile(r'\{\s*"resource')
_BRACKETS = re.compile(r"\[?\]?,?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The lines of a file that start in [start, end) bytes.

    Attributes:
        path: The file that is read.
        source: The name that the user gave.
        start: First byte.
        end: The byte after the last one.
        is_last: True if no line follows.
    """

    path: str
    source: str
    start: int
    end: int
    is_last: bool = True


def spans_lines(path: Path) -> bool:
    """Return True if a value of the file spans lines: indented JSON, or a list with its elements on lines.

    One whole value among the first lines shows that the file is JSON lines, and that the other lines are broken.
    """
    is_continued = False
    with path.open("rb") as stream:
        for line in islice(stream, _FIRST_LINES):
            value = line.lstrip(b"\xef\xbb\xbf\0").rstrip()
            if not value.startswith(_OPENING):
                continue
            if value.endswith(_CONTINUED):
                is_continued = True
            elif len(value) > _LONGEST_PARSED or _is_value(value):
                return False
    return is_continued


def _is_value(line: bytes) -> bool:
    """Return True for a value that is not empty, and for several on one line."""
    try:
        return bool(json.loads(line))
    except json.JSONDecodeError as error:
        return error.msg == "Extra data"
    except (ValueError, RecursionError):
        return False


def read_whole(path: Path, source: str, writer: TableWriter) -> None:
    """Read a file whose values span lines, also one whose end is missing."""
    if path.stat().st_size > _WHOLE_LIMIT:
        writer.add_problem(source, "JSON over several lines of more than 2 GiB; write JSON lines")
        return
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    read_text(text, source, writer, _DOCUMENT)


def read_range(part: Range, writer: TableWriter, count_bytes: CountBytes) -> None:
    """Read the lines of one range; what cannot be read is counted."""
    unreported = 0
    for line in _lines(part):
        unreported += len(line)
        if unreported >= _REPORT_BYTES:
            count_bytes(unreported)
            unreported = 0
        if not line.strip():
            continue
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            _read_broken_line(line, part, writer)
            continue
        if not read_document(document, part.source, writer):
            writer.add_problem(part.source, "a line is of no format that is known")
    count_bytes(unreported)


def _read_broken_line(line: bytes, part: Range, writer: TableWriter) -> None:
    """Read the values in a line that is not exactly one JSON value."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        text = line.decode(errors="replace")
        writer.add_problem(part.source, "a line is not UTF-8; what is not was replaced")
    text = text.strip(_PADDING)
    if _BRACKETS.fullmatch(text):
        return  # a bracket of a list with its elements on lines, or the padding of a file that was cut short
    request = _REQUEST.search(text)
    if request:
        text = text[request.start() :]
    is_cut = part.is_last and not line.endswith(b"\n")
    read_text(text, part.source, writer, _LAST_LINE if is_cut else _LINE)


def _lines(part: Range) -> Iterator[bytes]:
    position = part.start
    with Path(part.path).open("rb") as stream:
        if part.start:
            stream.seek(part.start - 1)
            # A line that starts before the range belongs to the range before.
            position += len(stream.readline()) - 1
        while position < part.end and (line := stream.readline()):
            position += len(line)
            yield line


def read_by_processes(
    shares: Sequence[Sequence[Range]], folder: Path, window: Window, count_bytes: CountBytes
) -> list[ReadProblem]:
    """Read each share of ranges in a process of its own.

    Raises:
        SourceError: A process died, for want of memory or disk.
    """

    def read(share: tuple[int, Sequence[Range]]) -> list[ReadProblem]:
        number, ranges = share
        job: dict[str, object] = {
            "ranges": [asdict(part) for part in ranges],
            "folder": str(folder),
            "part": f"share{number}",
            "window": asdict(window),
        }
        return _read_in_process(job, count_bytes)

    with ThreadPoolExecutor(max_workers=len(shares)) as threads:
        problems = threads.map(read, enumerate(shares))
        return [problem for of_share in problems for problem in of_share]


def _read_in_process(job: dict[str, object], count_bytes: CountBytes) -> list[ReadProblem]:
    command = [sys.executable, "-m", __name__]
    problems: list[ReadProblem] = []
    with subprocess.Popen(  # noqa: S603 - our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise SourceError("a reading process could not be started")
        process.stdin.write(json.dumps(job))
        process.stdin.close()
        for line in process.stdout:
            report = json.loads(line)
            count_bytes(report.get("bytes", 0))
            problems += [ReadProblem(**problem) for problem in report.get("problems", ())]
    if process.returncode:
        raise SourceError(
            f"a reading process ended with code {process.returncode}: is there memory and room in "
            "the temporary folder?"
        )
    return problems


def _main() -> None:
    job = json.load(sys.stdin)
    gc.disable()  # millions of small objects and no cycles: collecting costs a fifth of the time
    with TableWriter(Path(job["folder"]), job["part"], Window(**job["window"])) as writer:
        for part in job["ranges"]:
            read_range(Range(**part), writer, lambda count: _report({"bytes": count}))
    _report({"problems": [asdict(problem) for problem in writer.problems()]})


def _report(report: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main()
