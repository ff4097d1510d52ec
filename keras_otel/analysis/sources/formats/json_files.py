"""A JSON file, read in one go or in ranges of bytes by several processes.

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
from keras_otel.analysis.sources.tables.telemetry import Problem
from keras_otel.analysis.sources.tables.writer import Intake, Window
from keras_otel.errors import SourceError

Progress = Callable[[int], None]
"""Called with the number of bytes that were read since the last call."""

_REPORT_BYTES: Final = 16 * 1024 * 1024
_LINE: Final = Wording(one="a line", damage="a line is no JSON")
_LAST_LINE: Final = Wording(
    one="a line", damage="the last line is cut off; the lines before it were read"
)
_DOCUMENT: Final = Wording(
    one="a document", damage="the document is cut off or broken; what is whole was read"
)
_WHOLE_LIMIT: Final = 2 * 1024**3
_FIRST_LINES: Final = 50
_LONGEST_PARSED: Final = 64 * 1024
_OPENING: Final = (b"{", b"[")
_CONTINUED: Final = (b"{", b"[", b",", b":")
_PADDING: Final = "\0\ufeff \t\r\n"
# Ends what `docker compose logs` and others put before a program's own line.
_REQUEST = re.compile(r'\{\s*"resource')
_BRACKETS = re.compile(r"\[?\]?,?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The lines of a file that start in [start, end) bytes.

    Attributes:
        path: The file that is read.
        source: What the user calls it.
        start: First byte.
        end: The byte after the last one.
        is_last: True if no line follows.
    """

    path: str
    source: str
    start: int
    end: int
    is_last: bool = True


def goes_over_lines(path: Path) -> bool:
    """True if a value of the file goes over lines: indented JSON, or a list with its elements on lines.

    One whole value among the first lines says that each line is one, and that the others are broken.
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
    """True for a value that is not empty, and for several on one line."""
    try:
        return bool(json.loads(line))
    except json.JSONDecodeError as error:
        return error.msg == "Extra data"
    except (ValueError, RecursionError):
        return False


def read_whole(path: Path, source: str, intake: Intake) -> None:
    """Take a file whose values go over lines, also one whose end is missing."""
    if path.stat().st_size > _WHOLE_LIMIT:
        intake.problem(source, "JSON over several lines of more than 2 GiB; write JSON lines")
        return
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    read_text(text, source, intake, _DOCUMENT)


def read_range(part: Range, intake: Intake, progress: Progress) -> None:
    """Take the lines of one range; what cannot be read is counted."""
    unreported = 0
    for line in _lines(part):
        unreported += len(line)
        if unreported >= _REPORT_BYTES:
            progress(unreported)
            unreported = 0
        if not line.strip():
            continue
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            _read_odd_line(line, part, intake)
            continue
        if not read_document(document, part.source, intake):
            intake.problem(part.source, "a line is of no format that is known")
    progress(unreported)


def _read_odd_line(line: bytes, part: Range, intake: Intake) -> None:
    """Take what there is in a line that is not one JSON value."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        text = line.decode(errors="replace")
        intake.problem(part.source, "a line is not UTF-8; what is not was replaced")
    text = text.strip(_PADDING)
    if _BRACKETS.fullmatch(text):
        return  # of a list with its elements on lines, or the padding of a file that was cut short
    request = _REQUEST.search(text)
    if request:
        text = text[request.start() :]
    is_cut = part.is_last and not line.endswith(b"\n")
    read_text(text, part.source, intake, _LAST_LINE if is_cut else _LINE)


def _lines(part: Range) -> Iterator[bytes]:
    position = part.start
    with Path(part.path).open("rb") as stream:
        if part.start:
            stream.seek(part.start - 1)
            # A line that starts before the range is its neighbour's.
            position += len(stream.readline()) - 1
        while position < part.end and (line := stream.readline()):
            position += len(line)
            yield line


def read_by_processes(
    shares: Sequence[Sequence[Range]], folder: Path, window: Window, progress: Progress
) -> list[Problem]:
    """Take each share of ranges in a process of its own.

    Raises:
        SourceError: A process died, for want of memory or disk.
    """

    def read(share: tuple[int, Sequence[Range]]) -> list[Problem]:
        number, ranges = share
        order: dict[str, object] = {
            "ranges": [asdict(part) for part in ranges],
            "folder": str(folder),
            "part": f"share{number}",
            "window": asdict(window),
        }
        return _read_in_process(order, progress)

    with ThreadPoolExecutor(max_workers=len(shares)) as threads:
        return [problem for found in threads.map(read, enumerate(shares)) for problem in found]


def _read_in_process(order: dict[str, object], progress: Progress) -> list[Problem]:
    command = [sys.executable, "-m", __name__]
    problems: list[Problem] = []
    with subprocess.Popen(  # noqa: S603 - our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise SourceError("a reading process could not be started")
        process.stdin.write(json.dumps(order))
        process.stdin.close()
        for line in process.stdout:
            said = json.loads(line)
            progress(said.get("bytes", 0))
            problems += [Problem(**each) for each in said.get("problems", ())]
    if process.returncode:
        raise SourceError(
            f"a reading process ended with code {process.returncode}: is there memory and room in "
            "the temporary folder?"
        )
    return problems


def _main() -> None:
    order = json.load(sys.stdin)
    gc.disable()  # millions of small objects and no circles: collecting costs a fifth of the time
    with Intake(Path(order["folder"]), order["part"], Window(**order["window"])) as intake:
        for each in order["ranges"]:
            read_range(Range(**each), intake, lambda count: _say({"bytes": count}))
    _say({"problems": [asdict(problem) for problem in intake.problems()]})


def _say(what: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main()
