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


def test_the_findings_are_the_bad_retrain(own: dict[str, Any]) -> None:
    """v2, the class that takes other topics in, and low confidence; and every request has its one row."""
    (family,) = own["evals"]
    findings = [
        {predicate["attribute"]: predicate["value"] for predicate in found["predicates"]}
        for found in family["slices"]
    ]

    assert own["totals"]["rows"] == own["totals"]["traces"] == REQUESTS
    assert (family["eval"], family["model"]) == ("answer_correct", "intent")
    assert {"keras.model.version": "v2"} in findings
    assert any(each.get("keras.prediction.class") == "ai" for each in findings)
    assert any(set(each) == {"keras.prediction.confidence_bin"} for each in findings)
    assert len(findings) <= 6
    assert own["accounting"]["rows"]["ambiguous"] == own["accounting"]["rows"]["several"] == 0


def test_the_demo_says_what_it_found(demo: DemoRun) -> None:
    """The screen ends with the finding, the page and what to do next."""
    assert ". v2: " in demo.stdout
    assert "class ai" in demo.stdout
    assert "report.html" in demo.stdout
    assert (demo.out / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "Next:" in demo.stdout
