"""What of a baggage header is read, and what is never sent."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.baggage.propagation import W3CBaggagePropagator

from keras_otel.propagation.baggage_members import (
    MAX_BYTES,
    MAX_MEMBERS,
    MAX_TEXT,
    merge,
    predictions_in,
)
from keras_otel.records import UpstreamPrediction

INTENT = UpstreamPrediction(
    model="intent", version="2026-11-01", class_name="refund", confidence=0.93
)
HEADER = (
    "keras.upstream.intent.class=refund,"
    "keras.upstream.intent.version=2026-11-01,"
    "keras.upstream.intent.confidence=0.93"
)


def numbered(count):
    return [replace(INTENT, model=f"model-{i}") for i in range(count)]


def test_a_prediction_as_text():
    """The header is what the specification and the documentation say."""
    assert merge("", [INTENT]) == HEADER
    assert predictions_in(HEADER) == (INTENT,)


def test_values_are_percent_encoded():
    """A class may hold what separates members, a space, a percent sign, or any other script."""
    prediction = UpstreamPrediction(model="m", class_name="a,b;c=d e+100%é日", value=-1.5e-300)

    header = merge("", [prediction])

    assert header == (
        "keras.upstream.m.class=a%2Cb%3Bc%3Dd%20e%2B100%25%C3%A9%E6%97%A5,"
        "keras.upstream.m.value=-1.5e-300"
    )
    assert predictions_in(header) == (prediction,)


def test_a_number_is_read_as_a_float():
    """Confidences and values are floats again, also where another service wrote an integer."""
    (read,) = predictions_in("keras.upstream.m.class=1,keras.upstream.m.confidence=1")

    assert (read.class_name, read.confidence, type(read.confidence)) == ("1", 1.0, float)


@pytest.mark.parametrize(
    "member",
    [
        pytest.param("keras.upstream.intent.class=%", id="cut percent sign"),
        pytest.param("keras.upstream.intent.class=%zz", id="no hexadecimal digits"),
        pytest.param("keras.upstream.intent.class=%ff", id="no UTF-8"),
        pytest.param("keras.upstream.intent.class=%ED%A0%80", id="surrogate"),
        pytest.param("keras.upstream.intent.class=é", id="not ASCII"),
        pytest.param("keras.upstream.intent.class=a b", id="space"),
        pytest.param('keras.upstream.intent.class="a"', id="quotes"),
        pytest.param("keras.upstream.intent.class=order+status", id="space or plus"),
        pytest.param(f"keras.upstream.intent.class={'x' * (MAX_TEXT + 1)}", id="too long"),
        pytest.param("keras.upstream.intent.class", id="no value"),
        pytest.param("keras.upstream.intent.class=a,keras.upstream.intent.class=b", id="twice"),
        pytest.param("keras.upstream.intent.version=7", id="says nothing"),
    ],
)
def test_a_malformed_model_is_ignored_as_a_whole(member):
    """One bad part and nothing of that model is read; other models and entries are not affected."""
    other = "keras.upstream.price.value=17.25"

    found = predictions_in(f"user=1,{member},keras.upstream.intent.confidence=0.5,{other}")

    assert found == (UpstreamPrediction(model="price", value=17.25),)


@pytest.mark.parametrize(
    "number",
    ["", "nan", "inf", "-inf", "1e999", "1_0", "%201", "\u0660", "0x1", "1" * 33, ".5", "1.1"],
)
def test_a_confidence_is_a_finite_number_up_to_one(number):
    """Nothing else that Python's `float` would take is a confidence."""
    header = f"keras.upstream.m.class=a,keras.upstream.m.confidence={number}"

    assert predictions_in(header) == ()


@pytest.mark.parametrize(
    "key",
    [
        "keras.upstream.intent.labels",
        "keras.upstream.intent.class_id",
        "keras.upstream.intent.class.more",
        "keras.upstream.Intent.class",
        "keras.upstream.in tent.class",
        "keras.upstream..class",
        "keras.upstream.class",
        "keras.model.name",
        "gen_ai.request.model",
        f"keras.upstream.{'m' * (MAX_TEXT + 1)}.class",
    ],
)
def test_other_keys_are_not_read(key):
    """Only the four parts of an upstream model are, whoever sends more."""
    assert predictions_in(f"{key}=a") == ()


def test_spaces_and_properties_around_a_member():
    """White space and properties are allowed by the specification, and are not part of a value."""
    header = " keras.upstream.m.class\t=  a ;property;other=1 , keras.upstream.m.confidence = 0.5"

    assert predictions_in(header) == (
        UpstreamPrediction(model="m", class_name="a", confidence=0.5),
    )


def test_an_oversized_header_is_not_read():
    """One byte too many and nothing is read; with the limit's own length it is."""
    padding = "x" * (MAX_BYTES - len(HEADER) - len(",a="))

    assert predictions_in(f"{HEADER},a={padding}") == (INTENT,)
    assert predictions_in(f"{HEADER},a={padding}x") == ()


def test_eight_models_are_read_and_sent():
    """The newest eight travel."""
    sent = merge("", numbered(12))
    by_hand = ",".join(merge("", [one]) for one in numbered(12))

    assert predictions_in(sent) == predictions_in(by_hand) == tuple(numbered(8))


@pytest.mark.parametrize(
    "prediction",
    [
        replace(INTENT, class_name="x" * (MAX_TEXT + 1)),
        replace(INTENT, version="x" * (MAX_TEXT + 1)),
        replace(INTENT, class_name="\ud800"),
        replace(INTENT, confidence=math.nan),
        replace(INTENT, confidence=1.5),
        replace(INTENT, class_name=None),
        UpstreamPrediction(model="intent", value=math.inf),
        UpstreamPrediction(model="intent", labels=("toxic", "insult")),
        UpstreamPrediction(model="", class_name="a"),
    ],
)
def test_what_cannot_be_sent_whole_is_not_sent(prediction):
    """Nor is an older prediction of that model sent in its place."""
    price = UpstreamPrediction(model="price", value=1.0)

    assert predictions_in(merge("", [prediction, INTENT, price])) == (
        (price,) if prediction.model else (INTENT, price)
    )


def test_the_first_of_two_models_with_one_key_counts():
    """`Intent` and `intent` are one key: the newer prediction has it."""
    older = replace(INTENT, class_name="order")

    assert predictions_in(merge("", [replace(INTENT, model="Intent"), older])) == (INTENT,)


@pytest.mark.parametrize(("own", "travels"), [(MAX_MEMBERS - 3, True), (MAX_MEMBERS - 2, False)])
def test_the_users_members_go_first(own, travels):
    """A model of three members goes where there is room for three, and not in part."""
    user = ",".join(f"key{i}=v" for i in range(own))

    assert merge(user, [INTENT]) == (f"{user},{HEADER}" if travels else user)


@pytest.mark.parametrize("more", [0, 1])
def test_the_users_bytes_go_first(more):
    """A model goes if the header stays within 8192 bytes; a shorter one after it may go still."""
    user = "a=" + "x" * (MAX_BYTES - len("a=,") - len(HEADER) + more)
    shorter = UpstreamPrediction(model="m", value=1.0)

    merged = merge(user, [INTENT, shorter])

    assert merged == f"{user},{HEADER}" if not more else f"{user},keras.upstream.m.value=1.0"
    assert len(merged) <= MAX_BYTES


@pytest.mark.parametrize("user", [",".join(f"k{i}=v" for i in range(100)), "a=" + "x" * 9000])
def test_a_full_header_of_the_user_stays_as_it_is(user):
    """Whoever exceeds the limits without us is not made worse, and loses nothing."""
    assert merge(user, [INTENT]) == user


def test_stale_members_are_replaced():
    """What came from another service makes room, whatever it holds; the user's text is kept."""
    stale = "keras.upstream.price.value=1,keras%2Eupstream.x.y, keras.upstream.intent.class=order"

    assert merge(f"a=1;p=2 ,{stale}, b = %41", [INTENT]) == f"a=1;p=2 , b = %41,{HEADER}"
    assert merge(stale, []) == ""


texts = st.text(max_size=MAX_TEXT)
predictions = st.one_of(
    st.builds(
        UpstreamPrediction,
        model=st.from_regex(r"[a-z0-9_-]{1,40}", fullmatch=True),
        version=st.none() | texts,
        class_name=texts,
        confidence=st.none() | st.floats(0, 1),
    ),
    st.builds(
        UpstreamPrediction,
        model=st.from_regex(r"[a-z0-9_-]{1,40}", fullmatch=True),
        version=st.none() | texts,
        value=st.floats(allow_nan=False, allow_infinity=False),
    ),
)


@given(st.lists(predictions, max_size=12, unique_by=lambda one: one.model))
def test_what_is_sent_is_read(sent):
    """Whatever the class and the version are called: what is read is what was sent, in order."""
    header = merge("", sent)
    read = predictions_in(header)

    assert header.isascii()
    assert len(header) <= MAX_BYTES
    assert [one for one in sent if one in read] == list(read)
    if sum(len(merge("", [one])) + 1 for one in sent) <= MAX_BYTES:
        assert read == tuple(sent[:8])


@given(st.lists(predictions, max_size=8, unique_by=lambda one: one.model))
def test_a_service_in_between_makes_no_other_prediction_of_it(sent):
    """Baggage that a service without us passes on reads the same, or a model is missing.

    OpenTelemetry's own baggage trims values: white space around a class is lost there.
    """
    passed_on: dict[str, str] = {}
    baggage = W3CBaggagePropagator()
    baggage.inject(passed_on, baggage.extract({"baggage": merge("", sent)}))

    read = predictions_in(passed_on.get("baggage", ""))

    trimmed = [
        replace(
            one,
            class_name=one.class_name and one.class_name.strip(),
            version=one.version and one.version.strip(),
        )
        for one in sent
    ]
    assert all(one in trimmed for one in read)


@given(st.text() | st.from_regex(r"(keras\.upstream\.[a-z]\.(class|confidence|value)=.*,)*"))
def test_any_text_is_read_without_an_error(header):
    """Whatever stands in the header: what is read is within the limits."""
    for one in predictions_in(header):
        assert one.class_name is not None or one.value is not None
        assert one.confidence is None or 0 <= one.confidence <= 1
        assert one.value is None or math.isfinite(one.value)
        assert len(one.class_name or "") <= MAX_TEXT
        assert one == predictions_in(merge("", [one]))[0]
