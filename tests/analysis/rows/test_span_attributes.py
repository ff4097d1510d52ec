"""Attributes of any span of a trace: asked for by name, found without, and as clusters."""

from __future__ import annotations

import random

import pytest

from keras_otel import semconv
from keras_otel.analysis.rows.build import build_rows
from keras_otel.analysis.rows.row_table import FEATURES, Question
from keras_otel.analysis.sources.reader import open_sources
from keras_otel.errors import SourceError
from tests.analysis.sources.requests import Inference, Request, Verdict, write


@pytest.fixture
def built(tmp_path):
    """Write requests, read them back, and build rows: (rows as dicts, everything built)."""

    def build(requests, **question):
        path = tmp_path / "traces.jsonl"
        write(path, requests)
        with open_sources([path]) as telemetry:
            rows = build_rows(telemetry, Question(**question))
            return rows.table.order_by("trace_id").to_pyarrow().to_pylist(), rows

    return build


def test_an_attribute_of_another_span(built):
    """A trace's rows have it, wherever in the trace it is."""
    requests = [
        Request(verdicts=[Verdict(passed=True)], root_more={"app.plan": plan})
        for plan in ("free", "paid", "free")
    ]

    found, rows = built(requests, by=("app.plan",))

    assert sorted(row["app.plan"] for row in found) == ["free", "free", "paid"]
    assert rows.features == (*FEATURES, "app.plan")
    assert rows.requested == ("app.plan",)


def test_several_values_in_a_trace(built):
    """The inference's own value counts, then the evaluated span's; else no value, and it is said how often."""
    other = {"app.plan": "free"}
    verdicts = [Verdict(passed=True)]
    requests = [
        Request(
            verdicts=verdicts, inferences=[Inference(more={"app.plan": "paid"})], root_more=other
        ),
        Request(verdicts=verdicts, llm_more={"app.plan": "trial"}, root_more=other),
        Request(
            verdicts=verdicts,
            inferences=[
                Inference(model="spam", more={"app.plan": "team"}),
                Inference(),
            ],
            root_more=other,
        ),
    ]

    found, rows = built(requests, by=("app.plan",), models=("intent",))

    assert sorted(str(row["app.plan"]) for row in found) == ["None", "paid", "trial"]
    assert [warning for warning in rows.warnings if "app.plan" in warning] == [
        (
            "app.plan has several values in 1 traces whose inference and evaluated span have none: such a row "
            "has __missing__ there"
        )
    ]


def test_several_values_everywhere(built):
    """The error says that there are several, and does not offer the attribute that it refuses."""
    request = Request(
        verdicts=[Verdict(passed=True)],
        inferences=[Inference(model="spam", more={"app.plan": "team"}), Inference()],
        root_more={"app.plan": "free"},
    )

    with pytest.raises(
        SourceError, match=r"every trace that has the attribute 'app.plan' has several"
    ):
        built([request], by=("app.plan",), models=("intent",))
    with pytest.raises(SourceError, match=r"has the attribute 'app.plam': there is app.plan, "):
        built([request], by=("app.plam",))


def varied(count):
    """Requests with attributes of every kind on every span, and three to a session."""
    rng = random.Random(3)
    return [
        Request(
            verdicts=[Verdict(passed=rng.random() < 0.8)],
            inferences=[Inference(more={"keras.model.precision": rng.choice(["int8", "float32"])})],
            llm_more={
                "gen_ai.request.model": rng.choice(["small", "large"]),
                "gen_ai.request.max_tokens": rng.randrange(4000),
                "gen_ai.usage.output_tokens": rng.randrange(400),
                "gen_ai.response.id": f"r{number}",
            },
            root_more={
                "app.plan": rng.choice(["free", "paid"]),
                "request.id": f"q{number}",
                "client.port": rng.randrange(60_000),
                "url.scheme": "https",
                "user.id": f"u{number % 7}",
                **({"cache.hit": True} if rng.random() < 0.5 else {}),
            },
        )
        for number in range(count)
    ]


def test_what_may_say_something(built):
    """Without `by`, attributes with several values are features; ids, ports, constants, times and what is known of the answer are not."""
    found, rows = built(varied(120))

    assert rows.requested == ()
    assert set(rows.features) == {
        *FEATURES,
        semconv.MODEL_PRECISION,
        "app.plan",
        "cache.hit",
        "gen_ai.request.model",
        "gen_ai.request.max_tokens",
    }
    assert {row["app.plan"] for row in found} == {"free", "paid"}
    assert {row["cache.hit"] for row in found} == {"true", None}
    assert len({row["gen_ai.request.max_tokens"] for row in found}) > 100
    assert {row[semconv.MODEL_PRECISION] for row in found} == {"int8", "float32"}


def test_a_part_of_the_spans(built, monkeypatch):
    """Of many spans a part is looked at, and of too many attributes some; it is said how many are left."""
    monkeypatch.setattr("keras_otel.analysis.rows.trace_sample._SAMPLED_SPANS", 150)
    monkeypatch.setattr("keras_otel.analysis.rows.attribute_discovery._LOOKED_UP", 2)
    monkeypatch.setattr("keras_otel.analysis.rows.attribute_discovery._LEAST", 2)

    _, rows = built(varied(200))

    assert rows.features == (
        *FEATURES,
        semconv.MODEL_PRECISION,
        "gen_ai.request.max_tokens",
        "gen_ai.request.model",
    )
    assert any(w.startswith("2 more attributes of spans were not looked at") for w in rows.warnings)


@pytest.mark.parametrize("name", ["trace_id", "Error", "count", "confidence", "left_out"])
def test_attributes_called_like_columns(built, name):
    """They disturb nothing."""
    rng = random.Random(1)
    requests = [
        Request(
            verdicts=[Verdict(passed=True)], root_more={name: rng.choice("ab"), name.upper(): 1}
        )
        for _ in range(30)
    ]

    found, rows = built(requests)

    assert name in rows.features
    assert {row["failed"] for row in found} == {False}


def of_sessions(sessions, rows_of_each, spread, *, key="session.id", seed=7):
    """Requests of sessions of equal size, whose rates differ by so much."""
    rng = random.Random(seed)
    requests = []
    for session in range(sessions):
        rate = 0.3 + spread * rng.choice([-1, 1])
        requests += [
            Request(
                verdicts=[Verdict(passed=rng.random() > rate)],
                llm_more={"session.id": f"own {len(requests)} {n}"} if key != "session.id" else {},
                root_more={key: f"s{session}"},
            )
            for n in range(rows_of_each)
        ]
    return requests


def said_of_clusters(rows):
    """The warnings that speak of rows that resemble one another."""
    return [warning for warning in rows.warnings if "resemble" in warning]


@pytest.mark.parametrize("key", ["gen_ai.conversation.id", "user.id"])
def test_clusters_that_nobody_asked_for(built, key):
    """Where they matter, one warning says how much; with them it is gone."""
    requests = of_sessions(40, 8, 0.28, key=key)

    _, rows = built(requests)

    (warning,) = said_of_clusters(rows)
    assert warning.startswith(f"rows with the same {key} resemble one another: rates vary ")
    assert 2 < float(warning.partition("rates vary ")[2].split()[0]) < 6
    assert warning.endswith(f"give --cluster {key}")
    assert not rows.is_clustered
    found, rows = built(requests, cluster="auto")
    assert rows.is_clustered
    assert len({row["cluster"] for row in found}) == 40
    assert not said_of_clusters(rows)
    assert f"rows are clustered by {key}" in rows.warnings


def test_clusters_that_do_not_matter(built):
    """Sessions of one request, or whose requests are independent, are no reason to warn."""
    for requests in (of_sessions(80, 1, 0.25), of_sessions(60, 4, 0)):
        _, rows = built(requests)
        assert not said_of_clusters(rows)
