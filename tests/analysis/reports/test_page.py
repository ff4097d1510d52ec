"""A result as one self-contained page."""

from __future__ import annotations

import re
from functools import cache
from xml.etree import ElementTree as ET

import html5lib
import pytest

from keras_otel.analysis.reports.page import render_html
from keras_otel.analysis.reports.wording import shown
from keras_otel.errors import OptionError
from tests.analysis.reports.results import (
    HOSTILE,
    LONG,
    RESULTS,
    UNICODE,
    family,
    many_slices,
    normal,
    result,
    with_value,
)

TRACE_URL = "http://localhost:16686/trace/{trace_id}"
HTML = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"
ADDRESSES = (
    "href",
    "src",
    "srcset",
    "action",
    "data",
    "poster",
    "{http://www.w3.org/1999/xlink}href",
)


@cache
def page_of(name):
    return render_html(RESULTS[name]())


def parsed(page):
    """The page's tree; any error of its HTML fails."""
    return html5lib.HTMLParser(strict=True, tree=html5lib.getTreeBuilder("etree", ET)).parse(page)


def texts(element):
    return " ".join(" ".join(element.itertext()).split())


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_is_valid_and_self_contained(name):
    """Every result gives valid HTML under 2 MB with unique ids and no address outside the page."""
    page = page_of(name)
    tree = parsed(page)

    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    for element in tree.iter():
        for attribute in ADDRESSES:
            address = element.get(attribute)
            assert address is None or (address.startswith("#") and address[1:] in ids)
    assert set(re.findall(r"//([a-z][\w.-]+)", page)) <= {"x.test"}  # a value's, shown as text
    assert not re.search(r"@import|url\((?!#)", page)
    assert len(page.encode()) < 2_000_000


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_references_are_resolved(name):
    """What an element is labelled or clipped by is there."""
    page = page_of(name)
    ids = set(re.findall(r'\bid="([^"]+)"', page))

    wanted = set(re.findall(r'(?:aria-labelledby="|url\(#)([^")]+)', page))
    assert wanted <= ids
    assert "#0102" not in page, "a stand-in for a colour was left"


def test_shows_plots_with_descriptions():
    """Rates by class and version, the heat map, confidence, latency, and mix against rate."""
    tree = parsed(render_html(normal()))

    titles = [texts(caption) for caption in tree.iter(f"{HTML}figcaption")]
    for start in (
        "Failure rate by class With 95 % intervals.",
        "Failure rate by version With",
        "Failure rate by class and version",
        "Confidence by version",
        "Latency by version",
        "Why v2 differs from the other versions Its failure rate differs by +12.5 points:",
    ):
        assert any(title.startswith(start) for title in titles), titles
    for svg in tree.iter(f"{SVG}svg"):
        assert svg.get("role") == "img"
        assert texts(svg.find(f"{SVG}title"))


def test_scripts_are_ours_alone():
    """One script, allowed by its hash; with the policy no other one runs. The other holds data."""
    tree = parsed(render_html(with_value(HOSTILE), TRACE_URL))

    kinds = [script.get("type") for script in tree.iter(f"{HTML}script")]
    assert kinds == ["application/json", None]
    assert not list(tree.iter(f"{HTML}img"))
    handlers = {key for element in tree.iter() for key in element.attrib if key.startswith("on")}
    assert handlers == set()
    policy = next(m for m in tree.iter(f"{HTML}meta") if m.get("http-equiv"))
    assert "default-src 'none'" in policy.get("content")
    assert "script-src 'sha256-" in policy.get("content")


@pytest.mark.parametrize("value", [HOSTILE, UNICODE, LONG, r"$\frac{a}$", "<b>&amp;"])
def test_values_are_shown_as_they_are(value):
    """Markup, formulas and any script in a value are its characters; plots shorten it."""
    tree = parsed(render_html(with_value(value)))

    name = next(th for th in tree.iter(f"{HTML}th") if th.get("scope") == "row")
    whole = f"class {shown(value)} and {shown(value)} = {shown(value)}"
    assert texts(name).startswith(" ".join(whole.split()))
    labels = [texts(label) for label in tree.iter(f"{SVG}text")]
    assert any(label[:8] == shown(value)[:8] for label in labels)
    assert max(len(label) for label in labels) < 60


def test_examples_link_to_traces():
    """Each example is a link to its trace, and nothing of an id leaves its place in the URL."""
    page = render_html(normal(), TRACE_URL)
    links = [a.get("href") for a in parsed(page).iter(f"{HTML}a")]

    assert links[0] == "http://localhost:16686/trace/00000000000005550000000000000001"
    hostile = [
        a.get("href")
        for a in parsed(render_html(with_value('a/../?x="#'), TRACE_URL)).iter(f"{HTML}a")
    ]
    assert set(hostile) == {"http://localhost:16686/trace/a%2F..%2F%3Fx%3D%22%23"}


@pytest.mark.parametrize(
    "trace_url",
    ["javascript:alert('{trace_id}')", "http://localhost:16686/trace", "{trace_id}", ""],
)
def test_refuses_what_is_no_trace_address(trace_url):
    """One line says what to write instead."""
    with pytest.raises(OptionError, match=r"trace_url.*\{trace_id\}"):
        render_html(normal(), trace_url)


def test_the_same_result_gives_the_same_page():
    """Nothing in it depends on the time or on chance."""
    assert render_html(normal()) == render_html(normal())


def test_all_slices_are_there():
    """The table holds every slice, the plots say what they leave out."""
    tree = parsed(render_html(many_slices(30)))

    rows = [th for th in tree.iter(f"{HTML}th") if th.get("scope") == "row"]
    assert len(rows) == 30 + 30 + 1
    assert "10 classes with fewer rows not shown." in texts(tree)


@pytest.mark.parametrize("name", ["no evaluation", "no row"])
def test_an_empty_result_has_no_plot(name):
    """Where there is nothing to draw, the page says so in words."""
    tree = parsed(page_of(name))

    assert not list(tree.iter(f"{SVG}svg"))
    assert "No row was evaluated." in texts(tree)


def test_one_version_is_not_compared():
    """Mix and rate need two versions."""
    page = render_html(result(family({("v1", "refund"): (500, 50)})))

    assert "differs from the other versions" not in page


def test_values_that_are_shortened_alike_stay_apart():
    """Two classes with the same label in the heat map keep their own cells."""
    counts = {
        ("v1", f"{'a' * 60}{middle}{'b' * 60}"): n
        for middle, n in (("x", (50, 5)), ("y", (80, 40)))
    }
    tree = parsed(render_html(result(family(counts))))

    labels = [texts(label) for label in tree.iter(f"{SVG}text")]
    assert {"10 %", "of 50", "50 %", "of 80"} <= set(labels)
