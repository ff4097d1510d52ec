"""README, CONTRIBUTING, SECURITY and docs/: what they show is real, and what they name exists."""

from __future__ import annotations

import ast
import importlib
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import pytest

from keras_otel.cli import parser

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GUIDES = [*ROOT.glob("*.md"), *DOCS.glob("*.md"), ROOT / "examples" / "intent_router" / "README.md"]
PAGES = [*GUIDES, *DOCS.glob("adr/*.md"), ROOT / "benchmarks" / "README.md"]
PROGRAMS = sorted((ROOT / "examples").rglob("*.py"))

LINK = re.compile(r"\]\((?!\w+://)([^)#\s]*)(#[^)\s]*)?\)")
DOTTED = re.compile(r"(?<![\w./-])keras_otel(?:\.[A-Za-z_]\w*)+")
SOURCE_FILE = re.compile(r"(?<![\w/])(?:keras_otel|tests|benchmarks|examples)/[\w/.]+\.\w+")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def text_of(page: Path) -> str:
    """The whole of a page."""
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return [body for name, body in FENCED.findall(text_of(page)) if name == language]


def prose_and_blocks(page: Path) -> list[tuple[bool, str]]:
    """The parts of a page that blank lines or fences separate, and whether each is a code block."""
    parts: list[tuple[bool, str]] = []
    for number, part in enumerate(re.split(r"^```.*$", text_of(page), flags=re.MULTILINE)):
        if number % 2:
            parts.append((True, part))
        else:
            paragraphs = re.split(r"\n\s*\n", part.strip("\n"))
            parts += [(text.startswith("    "), text.strip()) for text in paragraphs]
    return parts


def anchors(page: Path) -> set[str]:
    """The fragments of a page's headings, as GitHub makes them."""
    without_code = FENCED.sub("", text_of(page))
    headings = re.findall(r"^#+ (.*)$", without_code, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def named(path: Path) -> Any:
    """What each test is called by."""
    return path.relative_to(ROOT).as_posix()


def run(*arguments: str, folder: Path) -> str:
    """Run the Python of this process in a folder, and return what it prints."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environ | {"PYTHONIOENCODING": "utf-8", "COLUMNS": "100"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the README's first program has run."""
    folder: Path = tmp_path_factory.mktemp("readme")
    (folder / "app.py").write_text(blocks(ROOT / "README.md", "python")[0], encoding="utf-8")
    run("app.py", folder=folder)
    return folder


def test_the_first_program_has_twelve_lines():
    """The README's first program fits into a glance."""
    lines = blocks(ROOT / "README.md", "python")[0].splitlines()

    assert sum(bool(line.strip()) and not line.lstrip().startswith("#") for line in lines) == 12


def test_the_first_program_gives_the_trace_that_the_readme_shows(folder):
    """Each attribute in the README's tree is on a span of its name, with the value shown."""
    tree, *_ = blocks(ROOT / "README.md", "text")
    spans = [
        span
        for line in (folder / "traces.jsonl").read_text(encoding="utf-8").splitlines()
        for resource in json.loads(line).get("resourceSpans", [])
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    values: dict[str, set[str]] = {}
    for span in spans:
        for attribute in span.get("attributes", []):
            (value,) = attribute["value"].values()
            text = f"{value:.2f}" if isinstance(value, float) else str(value)
            values.setdefault(attribute["key"], set()).add(text)
    shown = dict(re.findall(r"(keras\.[\w.]+) +(\S+)", tree))

    assert shown
    assert {key for key in shown if key not in values} == set()
    del shown["keras.model.fingerprint"]  # another release of Keras may have another one
    assert {key: value for key, value in shown.items() if value not in values[key]} == {}
    names = re.findall(r"^(?:[├└]─ )?(\S.*?) +[\d.]+ ms$", tree, flags=re.MULTILINE)
    assert names == ["POST /chat", "predict_on_batch intent", "chat"]
    assert set(names) <= {span["name"] for span in spans}


def test_the_first_program_gives_the_report_that_the_readme_shows(folder):
    """The README's report is that of TensorFlow; other backends draw other random numbers."""
    _, report, *_ = blocks(ROOT / "README.md", "text")
    printed = run("-m", "keras_otel.cli", "slice", "traces.jsonl", folder=folder)
    lines = [line.rstrip() for line in printed.splitlines()]

    assert "class refund: " in printed
    if keras.backend.backend() == "tensorflow":
        # How many slices there are depends on how long the calls took.
        shown = [line for line in report.splitlines() if line != "..." and "tested" not in line]
        assert [line for line in shown if line not in lines] == []


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_the_readme_names_the_commands_that_do_everything(command):
    """Two commands of the Makefile are all that a fresh machine needs."""
    assert f"\n    {command}\n" in text_of(ROOT / "README.md")
    assert f"\n{command.removeprefix('make ')}: " in text_of(ROOT / "Makefile")


def test_the_index_has_a_line_for_each_page():
    """docs/index.md links every page of docs/ once."""
    links = [link for link, _ in LINK.findall(text_of(DOCS / "index.md"))]
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")} - {"index.md"}

    assert sorted(link for link in links if not link.startswith("..")) == sorted(
        pages | {"card.schema.json"}
    )


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_relative_link_leads_somewhere(page):
    """The file is there, and so is the heading that a fragment names."""
    for link, fragment in LINK.findall(text_of(page)):
        target = (page.parent / link).resolve() if link else page
        assert target.exists(), link
        if fragment:
            assert fragment.removeprefix("#") in anchors(target), f"{link}{fragment}"


@pytest.mark.parametrize("page", [*PAGES, *PROGRAMS], ids=named)
def test_every_dotted_name_can_be_imported(page):
    """`keras_otel.x.y` is a module, or a name in one."""
    for name in sorted(set(DOTTED.findall(text_of(page)))):
        parts = name.split(".")
        found = importlib.import_module(parts[0])
        for number, part in enumerate(parts[1:], start=2):
            if not hasattr(found, part):
                importlib.import_module(".".join(parts[:number]))
            found = getattr(found, part)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_source_file_that_is_named_exists(page):
    """A path into the package, tests, benchmarks or examples is one of today."""
    paths = SOURCE_FILE.findall(text_of(page))

    assert [path for path in paths if not (ROOT / path.rstrip(".")).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_block_is_what_it_says(page):
    """Blocks of Python and JSON can be read; what can run alone is run by other tests."""
    for block in blocks(page, "python"):
        ast.parse(block)
    for block in blocks(page, "json"):
        json.loads(block)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_is_one_of_today(page):
    """The command line reads each `keras-otel ...` in a block, and make has each target."""
    for command in re.findall(r"^    (?:\w+=\S+ )?keras-otel (.*)$", text_of(page), re.MULTILINE):
        parser().parse_args(shlex.split(command, comments=True))
    targets = re.findall(r"(?:^    |`)make ([a-z][a-z-]*)", text_of(page), re.MULTILINE)
    assert [t for t in targets if f"\n{t}:" not in text_of(ROOT / "Makefile")] == []


@pytest.mark.parametrize("page", GUIDES, ids=named)
def test_no_sentence_runs_through_a_code_block(page):
    """What follows a code block begins with a capital letter, a number or a mark."""
    parts = prose_and_blocks(page)
    after_code = [
        text
        for (before_is_code, _), (is_code, text) in itertools.pairwise(parts)
        if before_is_code and not is_code
    ]

    assert [text for text in after_code if text[:1].islower()] == []
