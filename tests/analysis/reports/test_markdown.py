"""A result as Markdown for a pull request's comment."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt

from keras_otel.analysis.reports.markdown import code, render_markdown
from keras_otel.analysis.reports.wording import shown
from tests.analysis.reports.results import HOSTILE, RESULTS, many_slices, normal, result, with_value


def columns(row):
    return len(re.findall(r"(?<!\\)\|", row)) - 1


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_tables_are_whole(name):
    """Each table has a rule below its heading, and every row as many cells."""
    blocks = re.findall(r"(?:^\|.*\n)+", render_markdown(RESULTS[name]()), re.MULTILINE)

    for block in blocks:
        head, rule, *rows = block.splitlines()
        assert re.fullmatch(r"\|( :?-+:? \|)+", rule)
        assert {columns(row) for row in (rule, *rows)} == {columns(head)}
        assert rows


def test_says_what_was_found():
    """The finding is a sentence, its numbers a row."""
    text = render_markdown(normal())

    assert "1. `v2` and class `refund`: 31 % fail, 8.6 % elsewhere, 306 excess failures\n" in text
    assert "| 1 | `v2` and class `refund` | 1,365 | 423 | 31 % (29 % to 33 %) | 8.6 % |" in text
    assert "> **Warning:** silent retrain: version v2 of model intent" in text


def tokens(text):
    """Everything that a Markdown parser sees, inline tokens included."""
    for token in MarkdownIt("commonmark").enable(["table"]).parse(text):
        yield token
        yield from token.children or ()


@pytest.mark.parametrize("value", [HOSTILE, "@everyone", "a|b", "``", "`", "x\n# title", "<b>"])
def test_values_stay_values(value):
    """A parser finds no HTML, link, image or heading of a value's, and the value itself as code."""
    found = list(tokens(render_markdown(with_value(value))))

    html = {token.content.strip() for token in found if token.type in ("html_inline", "html_block")}
    assert html <= {"<details><summary>How to read this</summary>", "</details>", "<!-- -->"}
    assert not {"link_open", "image"} & {token.type for token in found}
    assert [t.tag for t in found if t.type == "heading_open"] == ["h2", "h3"]
    codes = [token.content for token in found if token.type == "code_inline"]
    assert codes.count(shown(value)) >= 5


def test_nobody_is_mentioned():
    """A warning that holds an at sign notifies nobody."""
    text = render_markdown(result(warnings=["model @everyone ran on several backends"]))

    assert not re.search(r"@\w", text)


@pytest.mark.parametrize("text", ["a", "`", "a`b", "``a", "a``` b`"])
def test_a_code_span_holds_its_text(text):
    """The fence is longer than any run of backticks inside."""
    fence, held = re.fullmatch(r"(`+)(.*?[^`])\1", code(text).ljust(1)).groups()

    assert fence not in re.findall("`+", held)
    assert held.strip() == text


def test_a_comment_is_no_dump():
    """Beyond twenty the rest is counted."""
    text = render_markdown(many_slices(30))

    assert "20. class" in text
    assert "21. class" not in text
    assert "10 more slices not shown." in text
    assert "10 more values not shown." in text
