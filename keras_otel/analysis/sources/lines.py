"""A JSON file, read in one go or in ranges of bytes by several processes.

Run as a program, it reads the ranges that its standard input names: a process of its own, because
parsing holds the interpreter's lock, and started anew, because a fork would inherit the threads of
DuckDB and `multiprocessing` would run the user's own script again.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from keras_otel.analysis.sources.documents import read_cut, read_document
from keras_otel.analysis.sources.intake import Intake, Window
from keras_otel.analysis.sources.telemetry import Problem
from keras_otel.errors import SourceError

Progress = Callable[[int], None]
"""Called with the number of bytes that were read since the last call."""

_REPORT_BYTES: Final = 16 * 1024 * 1024
_CUT: Final = "the last line is cut off; the lines before it were read"
_WHOLE_LIMIT: Final = 2 * 1024**3


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


def is_one_document(path: Path) -> bool:
    """True if the first line is no JSON value by itself: a list, or indented JSON."""
    with path.open("rb") as stream:
        line = stream.readline()
        while line and not line.strip():
            line = stream.readline()
        if line.lstrip()[:1] == b"[":
            return True
        try:
            json.loads(line)
        except ValueError:
            # The first of many lines may just be broken.
            return not stream.readline().lstrip().startswith(b"{")
    return False


def read_whole(path: Path, source: str, intake: Intake) -> None:
    """Take a file that is one JSON document, also one whose end is missing."""
    if path.stat().st_size > _WHOLE_LIMIT:
        intake.problem(source, "one JSON document of more than 2 GiB; write JSON lines")
        return
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    try:
        is_known = read_document(json.loads(text), source, intake)
    except ValueError:
        is_known = read_cut(text, source, intake)
        intake.problem(source, "the document is cut off or broken; what is whole was read")
    if not is_known:
        intake.problem(source, "no format of traces or evaluations that is known")


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
            is_cut = part.is_last and not line.endswith(b"\n")
            intake.problem(part.source, _CUT if is_cut else "a line is no JSON")
            continue
        if not read_document(document, part.source, intake):
            intake.problem(part.source, "a line is of no format that is known")
    progress(unreported)


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
