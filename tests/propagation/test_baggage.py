"""Predictions in the baggage header: who sends them, where, and who does not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import OrderedDict
from dataclasses import replace
from http.client import HTTPMessage
from importlib import metadata

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import DefaultGetter, Setter
from opentelemetry.trace import NonRecordingSpan, SpanContext
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from requests.structures import CaseInsensitiveDict
from starlette.datastructures import MutableHeaders

from keras_otel import _guard
from keras_otel.errors import OptionError
from keras_otel.propagation.baggage import KerasPropagator
from keras_otel.propagation.prediction_context import prediction_context
from keras_otel.propagation.remote_predictions import remote_predictions, with_remote_predictions
from keras_otel.records import UpstreamPrediction

INTENT = UpstreamPrediction(
    model="intent", version="2026-11-01", class_name="refund", confidence=0.93
)
PRICE = UpstreamPrediction(model="price", value=17.25)
OURS = (
    "keras.upstream.intent.class=refund,"
    "keras.upstream.intent.version=2026-11-01,"
    "keras.upstream.intent.confidence=0.93"
)

DEFAULT = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])
KERAS = CompositePropagator(
    [TraceContextTextMapPropagator(), W3CBaggagePropagator(), KerasPropagator()]
)


TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
CALLED = TraceContextTextMapPropagator().extract(TRACE)
"""The context of a request that came with its trace."""


def received(headers, propagator=KERAS):
    """The context of a request that came with these headers and its trace."""
    return propagator.extract({**headers, **TRACE})


def following(*predictions, **entries):
    """A context that follows these predictions and has these baggage entries."""
    context = with_remote_predictions(Context(), predictions)
    for key, value in entries.items():
        context = baggage.set_baggage(key, value, context)
    return context


@pytest.fixture(autouse=True)
def nothing_hidden():
    """No error may hide behind the guard."""
    before = _guard.failure_counts()
    yield
    assert _guard.failure_counts() == before


class Appending(Setter):
    """As Kafka's instrumentation writes."""

    def __init__(self, encode=str):
        self.encode = encode

    def set(self, carrier, key, value):
        carrier.append((key, self.encode(value)))


class Renaming(Setter):
    """Headers under names of one's own, as message queues have them."""

    def set(self, carrier, key, value):
        carrier[f"app-{key}"] = value


class Wrapping(Setter):
    """As AWS message attributes are written."""

    def set(self, carrier, key, value):
        carrier[key] = {"StringValue": value, "DataType": "String"}


def test_predictions_join_the_users_entries():
    """One header holds what the user's baggage says, then what was predicted."""
    carrier = {}
    KERAS.inject(carrier, following(INTENT, tenant="a b,c"))

    assert carrier == {"baggage": f"tenant=a+b%2Cc,{OURS}"}


def test_predictions_alone():
    """Without entries of the user's, the header is ours alone."""
    carrier = {}
    KERAS.inject(carrier, following(INTENT))

    assert carrier == {"baggage": OURS}
    assert KerasPropagator().fields == {"baggage"}


def test_nothing_predicted_nothing_sent():
    """Without a prediction there is no header, and the user's is as without us."""
    alone, with_user = {}, {}
    KERAS.inject(alone, Context())
    KERAS.inject(with_user, following(tenant="a"))

    assert (alone, with_user) == ({}, {"baggage": "tenant=a"})


def test_nothing_leaves_without_the_propagator():
    """With OpenTelemetry's default propagators no header says what was predicted."""
    carrier = {}
    DEFAULT.inject(carrier, following(INTENT, tenant="a"))

    assert carrier == {"baggage": "tenant=a"}


def test_the_users_baggage_is_not_sent_for_the_baggage_propagator():
    """Who does not send baggage sends predictions only."""
    carrier = {}
    KerasPropagator().inject(carrier, following(INTENT, secret="s"))

    assert carrier == {"baggage": OURS}


def test_the_contexts_baggage_stays_as_it_is():
    """Predictions are added as the request leaves, and are no entries of the program's."""
    context = following(INTENT, tenant="a")
    KERAS.inject({}, context)

    assert baggage.get_all(context) == {"tenant": "a"}


def test_without_a_context_the_current_one_counts():
    """A block of `prediction_context` around the request is seen."""
    carrier = {}
    with prediction_context(INTENT):
        KERAS.inject(carrier)

    assert carrier == {"baggage": OURS}


def test_keras_before_baggage_loses_no_entry_of_the_users():
    """In the wrong order the user's header wins."""
    carrier = {}
    wrong = CompositePropagator([KerasPropagator(), W3CBaggagePropagator()])
    wrong.inject(carrier, following(INTENT, tenant="a"))

    assert carrier == {"baggage": "tenant=a"}


@pytest.mark.parametrize(
    "carrier",
    [
        {"Baggage": "a=1;p"},
        OrderedDict(BAGGAGE="a=1;p"),
        CaseInsensitiveDict({"Baggage": "a=1;p"}),
        httpx.Headers({"Baggage": "a=1;p"}),
        MutableHeaders({"Baggage": "a=1;p"}),
    ],
    ids=lambda carrier: type(carrier).__name__,
)
def test_a_header_in_any_case_is_added_to(carrier):
    """The header that is there is the one that is changed, whatever its case."""
    KerasPropagator().inject(carrier, following(INTENT))

    assert [(key.lower(), value) for key, value in carrier.items()] == [
        ("baggage", f"a=1;p,{OURS}")
    ]


@pytest.mark.parametrize("encode", [str, str.encode])
def test_pairs_are_changed_in_place(encode):
    """A list of pairs has one header afterwards, text or bytes as it was."""
    carrier = [("other", encode("x"))]
    KERAS.inject(carrier, following(INTENT, tenant="a"), setter=Appending(encode))

    assert carrier == [("other", encode("x")), ("baggage", encode(f"tenant=a,{OURS}"))]


def test_pairs_without_the_header_get_it():
    """The carrier's own setter adds the header where there is none."""
    carrier = []
    KERAS.inject(carrier, following(INTENT), setter=Appending())

    assert carrier == [("baggage", OURS)]


def test_a_setter_that_wraps_values():
    """Wrapped values are not read, so that a prediction goes only where the user has no entry."""
    alone, with_user, plain = {}, {}, {}
    KERAS.inject(alone, following(INTENT), setter=Wrapping())
    KERAS.inject(with_user, following(INTENT, tenant="a"), setter=Wrapping())
    DEFAULT.inject(plain, following(INTENT, tenant="a"), setter=Wrapping())

    assert alone["baggage"]["StringValue"] == OURS
    assert with_user == plain


def test_a_setter_that_renames_headers_loses_no_entry_of_the_users():
    """The user's header may be hidden under another name: then nothing is added."""
    alone, with_user = {}, {}
    KERAS.inject(alone, following(INTENT), setter=Renaming())
    KERAS.inject(with_user, following(INTENT, tenant="a"), setter=Renaming())

    assert alone == {"app-baggage": OURS}
    assert with_user == {"app-baggage": "tenant=a"}


@pytest.mark.parametrize(
    "carrier", [[("baggage", "a=1"), ("Baggage", "b=2")], ["baggage"], [("baggage", None)]]
)
def test_a_list_that_cannot_be_changed_stays(carrier):
    """Two headers, or something else than pairs of text: nothing is added."""
    before = list(carrier)
    KerasPropagator().inject(carrier, following(INTENT), setter=Appending())

    assert carrier == before


def test_two_headers_in_a_mapping_stay():
    """A mapping with the header in two spellings is left as it is."""
    carrier = {"baggage": "a=1", "Baggage": "b=2"}
    KerasPropagator().inject(carrier, following(INTENT))

    assert carrier == {"baggage": "a=1", "Baggage": "b=2"}


def test_a_carrier_that_only_takes_headers_gets_none():
    """Where writing adds a second header, none is added."""
    carrier = HTTPMessage()
    KERAS.inject(carrier, following(INTENT, tenant="a"))

    assert carrier.items() == [("baggage", "tenant=a")]


def test_what_came_from_another_service_travels_on_once():
    """The next service gets this service's newer prediction, and the others as they came."""
    arrived = {"baggage": f"tenant=a,{OURS},keras.upstream.price.value=17.25"}
    context = received(arrived)
    own = replace(INTENT, class_name="order", version="2026-11-02")

    carrier = {}
    with prediction_context(own):
        KERAS.inject(carrier, context)

    assert baggage.get_all(context)["keras.upstream.intent.class"] == "refund"
    assert carrier["baggage"].count("keras.upstream.intent.class") == 1
    assert remote_predictions(received(carrier)) == (own, PRICE)
    assert carrier["baggage"].startswith("tenant=a,keras.")


def test_stale_members_go_where_nothing_is_predicted():
    """Members of ours that this service did not accept do not travel on, and leave no header."""
    refused = {"baggage": "keras.upstream.intent.confidence=7"}
    carrier, pairs = {}, []
    KERAS.inject(carrier, received(refused))
    KERAS.inject(pairs, received(refused), setter=Appending())

    assert (carrier, pairs) == (TRACE, list(TRACE.items()))


def test_a_service_that_only_knows_baggage_passes_predictions_on():
    """W3C baggage travels through; there, the prediction is text among the user's entries."""
    first, second = {}, {}
    KERAS.inject(first, following(INTENT, tenant="a"))
    between = DEFAULT.extract(first)
    DEFAULT.inject(second, between)

    assert remote_predictions(between) == ()
    assert remote_predictions(received(second)) == (INTENT,)


def test_headers_in_two_lines_are_one():
    """A header that a proxy has split is read as the specification says."""
    context = received({"baggage": ["tenant=a", OURS]})

    assert remote_predictions(context) == (INTENT,)


@pytest.mark.parametrize("carrier", [{}, {"baggage": "tenant=a"}, {"baggage": [7, None]}])
def test_nothing_to_read(carrier):
    """Without a prediction in the header the context is the one that was given."""
    assert KerasPropagator().extract(carrier, CALLED) is CALLED
    assert KerasPropagator().extract(carrier) == {}


FORGED = f"{OURS},keras.upstream.toxicity.class=clean"


def test_a_header_without_a_trace_is_not_read():
    """A prediction is part of a request's trace: a header alone is somebody's invention."""
    for headers in (
        {"baggage": OURS},
        {"baggage": OURS, "traceparent": "garbage"},
        {"baggage": OURS, "traceparent": f"00-{'0' * 32}-b7ad6b7169203331-01"},
    ):
        assert remote_predictions(KERAS.extract(headers)) == ()
    wrong = CompositePropagator([KerasPropagator(), TraceContextTextMapPropagator()])
    assert remote_predictions(received({"baggage": OURS}, wrong)) == ()


def test_a_local_span_is_no_caller():
    """Where the current span is this process's own, the request did not come with its trace."""
    span = NonRecordingSpan(SpanContext(1, 2, is_remote=False))
    context = trace.set_span_in_context(span, Context())
    assert remote_predictions(KerasPropagator().extract({"baggage": OURS}, context)) == ()


@pytest.mark.parametrize(
    ("accept", "taken"),
    [
        (None, ["intent", "toxicity"]),
        (["intent"], ["intent"]),
        (["Toxicity", "Intent"], ["intent", "toxicity"]),
        (["other"], []),
        ([], []),
    ],
)
def test_only_accepted_models_are_taken(accept, taken):
    """What the caller says of any other model is not read, and does not travel on."""
    propagator = KerasPropagator(accept=accept)
    context = received({"baggage": FORGED}, CompositePropagator([DEFAULT, propagator]))
    assert [one.model for one in remote_predictions(context)] == taken

    carrier = {}
    CompositePropagator([DEFAULT, propagator]).inject(carrier, context)
    assert [
        f"keras.upstream.{m}." in carrier.get("baggage", "") for m in ("intent", "toxicity")
    ] == [model in taken for model in ("intent", "toxicity")]


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        (None, ["intent", "toxicity"]),
        ("", ["intent", "toxicity"]),
        ("all", ["intent", "toxicity"]),
        ("none", []),
        ("NONE", []),
        (" toxicity , other", ["toxicity"]),
        ("INTENT", ["intent"]),
    ],
)
def test_the_environment_names_the_accepted_models(monkeypatch, text, taken):
    """`OTEL_PYTHON_KERAS_ACCEPT_MODELS` counts where the program names none."""
    if text is not None:
        monkeypatch.setenv("OTEL_PYTHON_KERAS_ACCEPT_MODELS", text)
    read = received({"baggage": FORGED}, CompositePropagator([DEFAULT, KerasPropagator()]))
    assert [one.model for one in remote_predictions(read)] == taken
    mine = CompositePropagator([DEFAULT, KerasPropagator(accept=["intent"])])
    assert [one.model for one in remote_predictions(received({"baggage": FORGED}, mine))] == [
        "intent"
    ]


def test_one_text_is_not_several_names():
    """A name without its list is refused in one line, and not taken letter by letter."""
    with pytest.raises(OptionError, match=r"write accept=\['intent'\]"):
        KerasPropagator(accept="intent")


class Broken(DefaultGetter):
    def get(self, carrier, key):
        raise OSError("no header")


class Unwritable(dict):
    def __setitem__(self, key, value):
        raise OSError("no more headers")


def test_errors_stay_behind_the_guard(caplog, monkeypatch):
    """A carrier that raises breaks neither the request nor its answer, and is logged once."""
    monkeypatch.setattr(_guard, "_failures", _guard.SiteCounts())
    context = with_remote_predictions(CALLED, (INTENT,))
    for _ in range(3):
        assert KerasPropagator().extract({}, context, getter=Broken()) is context
        KerasPropagator().inject(Unwritable(), context)

    assert _guard.failure_counts() == {"sending predictions": 3, "reading sent predictions": 3}
    assert len(caplog.records) == 2


@given(st.text() | st.lists(st.text() | st.binary() | st.none()))
def test_extracting_never_raises(headers):
    """Whatever the header is, the answer is a context, with nothing behind the guard."""
    before = _guard.failure_counts()

    assert isinstance(KerasPropagator().extract({"baggage": headers}, CALLED), Context)
    assert _guard.failure_counts() == before


names = st.from_regex(r"[a-z0-9_-]{1,20}", fullmatch=True)
texts = st.text(max_size=40)
predictions = st.builds(
    UpstreamPrediction,
    model=names,
    version=st.none() | texts,
    class_name=texts,
    confidence=st.none() | st.floats(0, 1),
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)


@given(
    st.lists(predictions, max_size=3, unique_by=lambda one: one.model),
    st.dictionaries(names, st.text(max_size=20), max_size=5),
)
def test_what_is_injected_is_extracted(sent, entries):
    """Classes in any script and finite floats arrive as they were, beside the user's entries."""
    carrier, without_us = {}, {}
    context = following(*sent, **entries)
    KERAS.inject(carrier, context)
    DEFAULT.inject(without_us, context)
    arrived = received(carrier)

    assert remote_predictions(arrived) == tuple(sent)
    user = {
        key: value
        for key, value in baggage.get_all(arrived).items()
        if not key.startswith("keras.upstream.")
    }
    assert user == baggage.get_all(DEFAULT.extract(without_us))


def test_the_entry_point_is_the_propagator():
    """`OTEL_PROPAGATORS=keras` finds it by the installed package."""
    (entry,) = metadata.entry_points(group="opentelemetry_propagator", name="keras")

    assert entry.load() is KerasPropagator


LOADED = """
import {first}
from opentelemetry.propagate import get_global_textmap

print([type(one).__name__ for one in get_global_textmap()._propagators])
"""


@pytest.mark.parametrize(
    "first", ["opentelemetry.propagate", "keras_otel", "opentelemetry.instrumentation.utils"]
)
def test_opentelemetry_loads_it_whatever_is_imported_first(first):
    """Propagators are loaded while OpenTelemetry is being imported: no circle breaks the start."""
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOADED.format(first=first)],
        env={**os.environ, "OTEL_PROPAGATORS": "tracecontext,baggage,keras"},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert finished.stdout.count("KerasPropagator") == 1, finished.stderr
