"""What the demo's requests look like in Jaeger."""

from __future__ import annotations

from typing import Any

import pytest

from tests.stack.conftest import DemoRun

TREE = {
    "POST /chat": None,
    "call intent": "POST /chat",
    "invoke_agent": "POST /chat",
    "retrieval": "invoke_agent",
    "chat corpus-reader": "invoke_agent",
    "evaluate answer_correct": "invoke_agent",
    "outcome intent": "invoke_agent",
    "BackgroundTask judge": "POST /chat",
}


def tags_of(span: dict[str, Any]) -> dict[str, Any]:
    """A span's tags."""
    return {tag["key"]: tag["value"] for tag in span["tags"]}


def name_of(span: dict[str, Any]) -> str:
    """A span's name, without the topic that it may end with."""
    name: str = span["operationName"]
    return name.split(maxsplit=1)[0] if name.startswith(("invoke_agent ", "retrieval ")) else name


@pytest.mark.parametrize(
    "tags",
    [
        {"keras.upstream.intent.class": "coding"},
        {"keras.upstream.intent.version": "v2"},
        {"keras.prediction.class": "trivia", "keras.model.version": "v1"},
        {"gen_ai.evaluation.name": "answer_correct", "keras.upstream.intent.class": "ai"},
    ],
)
def test_found_by_what_was_predicted(demo: DemoRun, tags: dict[str, str]) -> None:
    """Jaeger's search finds the traces by class and by version, and only those."""
    found = demo.stack.find_traces(tags)

    assert len(found) == 20
    for trace in found:
        assert any(tags.items() <= tags_of(span).items() for span in trace["spans"])


def test_the_trace_tree(demo: DemoRun) -> None:
    """A request's spans hang together as the service called them, whatever the topic."""
    for trace in demo.stack.find_traces({"keras.upstream.intent.version": "v2"}):
        by_id = {span["spanID"]: span for span in trace["spans"]}
        tree = {}
        for span in trace["spans"]:
            # The first reference is to the parent; others are links.
            parents = [r["spanID"] for r in span["references"] if r["refType"] == "CHILD_OF"]
            linked = [r["spanID"] for r in span["references"]]
            parent = (parents or linked or [None])[0]
            tree[name_of(span)] = None if parent is None else name_of(by_id[parent])

        assert tree == TREE


def test_the_prediction_is_on_what_follows_it(demo: DemoRun) -> None:
    """Every later span of a request carries the class, version and confidence of its inference."""
    for trace in demo.stack.find_traces({"keras.model.name": "intent"}):
        spans = {name_of(span): tags_of(span) for span in trace["spans"]}
        inference = spans["call intent"]
        for name in ("invoke_agent", "retrieval", "chat corpus-reader", "evaluate answer_correct"):
            assert {
                part: spans[name][f"keras.upstream.intent.{part}"]
                for part in ("class", "version", "confidence")
            } == {
                "class": inference["keras.prediction.class"],
                "version": inference["keras.model.version"],
                "confidence": inference["keras.prediction.confidence"],
            }, name


def test_nothing_is_scripted_to_fail(demo: DemoRun) -> None:
    """Nearly all wrong answers are those to questions that the model took for another topic."""
    wrong, because = 0, 0
    for trace in demo.stack.find_traces({"keras.model.version": "v2"}, limit=400):
        spans = {name_of(span): tags_of(span) for span in trace["spans"]}
        if spans["evaluate answer_correct"]["keras.evaluation.passed"] is False:
            wrong += 1
            outcome = spans["outcome intent"]
            because += outcome["keras.outcome.class"] != outcome["keras.prediction.class"]

    assert wrong > 50
    assert because / wrong > 0.9
