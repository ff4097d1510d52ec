"""One request, one row: from whichever of the stack's stores it is read."""

from __future__ import annotations

from typing import Any

import pytest

from tests.stack.conftest import REQUESTS, DemoRun
from tests.stack.servers import wait_until
from tests.stack.slices import same, slice_of


@pytest.fixture(scope="module")
def own(demo: DemoRun) -> dict[str, Any]:
    """From the service's own file."""
    return slice_of(str(demo.out / "traces.jsonl"))


def test_the_collectors_file(demo: DemoRun, own: dict[str, Any]) -> None:
    """The file that the Collector wrote gives the same document."""

    def whole() -> dict[str, Any] | None:
        document = slice_of(str(demo.stack.traces))
        return document if document["totals"]["rows"] == REQUESTS else None

    assert same(wait_until(whole) or {}) == same(own)


def test_jaeger(demo: DemoRun, own: dict[str, Any]) -> None:
    """Jaeger's query API gives the same document."""
    assert same(slice_of(demo.stack.jaeger, "--since", "1h")) == same(own)


def test_the_first_finding_is_the_bad_retrain(own: dict[str, Any]) -> None:
    """v2 and the class that takes other topics in; and every request has its one row."""
    (family,) = own["evals"]
    first = family["slices"][0]

    assert own["totals"]["rows"] == own["totals"]["traces"] == REQUESTS
    assert (family["eval"], family["model"]) == ("answer_correct", "intent")
    assert first["predicates"] == [
        {"attribute": "keras.model.version", "value": "v2"},
        {"attribute": "keras.prediction.class", "value": "ai"},
    ]
    assert first["significant"]
    assert own["accounting"]["rows"]["ambiguous"] == own["accounting"]["rows"]["several"] == 0


def test_the_demo_says_what_it_found(demo: DemoRun) -> None:
    """The screen ends with the finding, the page and what to do next."""
    assert "1. v2 and class ai" in demo.stdout
    assert "report.html" in demo.stdout
    assert (demo.out / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "Next:" in demo.stdout
