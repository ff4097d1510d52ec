"""Names, versions and descriptions."""

from __future__ import annotations

import logging
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_otel.errors import DescriptionError
from keras_otel.identity.identity import (
    Description,
    VersionLedger,
    checked_description,
    identify,
)
from keras_otel.records import TASKS

A, B = "sha256:aaaaaaaaaaaa", "sha256:bbbbbbbbbbbb"


def test_the_label_goes_before_the_fingerprint():
    """A version label is the version; the fingerprint is it where there is no label."""
    labelled = identify(name="intent", label="v1", fingerprint=A, versions=VersionLedger())
    bare = identify(name="intent", label=None, fingerprint=A, versions=VersionLedger())
    unknown = identify(name="intent", label=None, fingerprint=None, versions=VersionLedger())

    assert (labelled.version, labelled.fingerprint) == ("v1", A)
    assert (bare.version, bare.fingerprint) == (A, A)
    assert (unknown.version, unknown.fingerprint) == (None, None)
    assert not labelled.version_conflict


def test_a_label_with_other_weights_is_a_conflict(caplog):
    """The same label on other weights is marked and warned about once, whoever asks again."""
    ledger = VersionLedger()

    first = identify(name="intent", label="v1", fingerprint=A, versions=ledger)
    with caplog.at_level(logging.WARNING, logger="keras_otel"):
        later = [
            identify(name="intent", label="v1", fingerprint=digest, versions=ledger)
            for digest in (B, B, A)
        ]

    assert not first.version_conflict
    assert [identity.version_conflict for identity in later] == [True, True, True]
    (message,) = caplog.messages
    assert message == (
        "keras_otel: model 'intent' version 'v1' was seen with fingerprint "
        f"{A} and now has {B}: give the retrained model a version of its own"
    )


@pytest.mark.parametrize(
    ("name", "label"), [("intent", "v2"), ("other", "v1")], ids=["version", "name"]
)
def test_another_label_or_model_is_no_conflict(name, label):
    """Only the same label of the same model can lie."""
    ledger = VersionLedger()
    ledger.note("intent", "v1", A)

    assert not ledger.note(name, label, B)
    assert ledger.generation == 0


def test_a_fingerprint_as_label_is_no_conflict():
    """A model whose version is its fingerprint is known by it, and not entered."""
    ledger = VersionLedger()
    for digest in (A, B):
        identity = identify(name="intent", label=digest, fingerprint=digest, versions=ledger)
        assert not identity.version_conflict


def test_the_generation_counts_conflicts_and_not_their_repetition():
    """What was concluded before a conflict is known to be old after it."""
    ledger = VersionLedger()
    seen = []
    for version, digest in [("v1", A), ("v1", A), ("v1", B), ("v1", B), ("v2", A), ("v2", B)]:
        ledger.note("intent", version, digest)
        seen.append(ledger.generation)

    assert seen == [0, 0, 1, 1, 1, 2]


def test_the_ledger_is_bounded():
    """A process that makes models without end does not keep them all, and still sees conflicts."""
    ledger = VersionLedger()
    for number in range(5000):
        ledger.note("intent", f"v{number}", A)
    for number in range(100):
        ledger.note("intent", "v4999", f"sha256:{number:012x}")

    assert len(ledger._fingerprints) == 4096
    assert max(len(fingerprints) for fingerprints in ledger._fingerprints.values()) == 16
    assert ledger.note("intent", "v4998", B)


def test_threads_note_every_label_once():
    """Eight threads that see the same two fingerprints make one conflict of them."""
    ledger = VersionLedger()
    start = threading.Barrier(8)

    def note() -> None:
        start.wait()
        for number in range(200):
            ledger.note("intent", f"v{number}", A)
            ledger.note("intent", f"v{number}", B)

    threads = [threading.Thread(target=note) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ledger.generation == 200


# -- descriptions ------------------------------------------------------------------------------

_texts = st.none() | st.text(min_size=1, max_size=3)
descriptions = st.builds(
    Description,
    name=_texts,
    version=_texts,
    labels=st.none() | st.lists(st.text(max_size=2), max_size=3).map(tuple),
    task=st.none() | st.sampled_from(TASKS),
    threshold=st.none() | st.floats(0.1, 0.9),
)


@given(descriptions, descriptions, descriptions)
def test_one_description_goes_over_another(first, second, third):
    """What is said goes before what lies under it, part by part, and nesting changes nothing."""
    merged = first.with_defaults(second)

    for part in Description.__dataclass_fields__:
        mine, theirs = getattr(first, part), getattr(second, part)
        assert getattr(merged, part) == (theirs if mine is None else mine)
    assert merged.with_defaults(third) == first.with_defaults(second.with_defaults(third))
    assert first.with_defaults(Description()) == first == Description().with_defaults(first)


def test_a_threshold_of_zero_or_an_empty_text_is_still_something_said():
    """An empty list of labels is said, and is not filled from beneath."""
    assert Description(labels=()).with_defaults(Description(labels=("a",))).labels == ()


def test_labels_and_tasks_by_output():
    """A mapping answers for its outputs only, a plain value for the only output."""
    by_output = checked_description(
        labels={"topic": ["a", "b"]}, task={"topic": "multiclass", "size": "regression"}
    )
    plain = checked_description(labels=["a", "b"], task="multiclass")

    assert by_output.labels_of("topic") == ("a", "b")
    assert by_output.labels_of("size") is None
    assert by_output.labels_of(None) is None
    assert by_output.task_of("size") == "regression"
    assert by_output.task_of(None) is None
    assert plain.labels_of(None) == ("a", "b")
    assert plain.labels_of("topic") is None
    assert plain.task_of(None) == "multiclass"


@pytest.mark.parametrize(
    "labels",
    [
        ["a", "b"],
        ("a", "b"),
        np.array(["a", "b"]),
        {"a": 0, "b": 1}.keys(),
        (label for label in "ab"),
    ],
    ids=["list", "tuple", "numpy", "keys", "generator"],
)
def test_labels_of_any_ordered_kind_become_text(labels):
    """Lists, tuples, arrays, keys and generators give a tuple of Python's own text."""
    described = checked_description(labels=labels)

    assert described.labels == ("a", "b")
    assert {type(label) for label in described.labels} == {str}


@pytest.mark.parametrize(
    ("threshold", "checked"),
    [
        (0.5, 0.5),
        (np.float32(0.5), 0.5),
        ([0.2], 0.2),
        ([0.2, 0.4], (0.2, 0.4)),
        (np.array([0.25, 0.5]), (0.25, 0.5)),
    ],
)
def test_thresholds_become_floats(threshold, checked):
    """A number or one for each label, of numpy or Python, becomes Python's own floats."""
    described = checked_description(threshold=threshold)

    assert described.threshold == checked
    numbers = checked if isinstance(checked, tuple) else (described.threshold,)
    assert {type(number) for number in numbers} == {float}


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"name": 7}, "name must be non-empty text, got 7"),
        ({"name": ""}, "name must be non-empty text, got ''"),
        ({"version": 7}, "version must be non-empty text, got 7"),
        ({"version": " \n"}, "version must be non-empty text, got ' \\n'"),
        ({"labels": "abc"}, "labels must be a list of text, got str"),
        ({"labels": b"abc"}, "labels must be a list of text, got bytes"),
        ({"labels": 3}, "labels must be a list of text, got int"),
        ({"labels": {"a", "b"}}, "labels must be a list of text, got set"),
        ({"labels": frozenset("ab")}, "labels must be a list of text, got frozenset"),
        ({"labels": [1, 2]}, "labels must be text, got 1: write labels=[str(x) for x in labels]"),
        ({"labels": ["a", "b", "a"]}, "labels must differ from one another, 'a' is there twice"),
        ({"labels": {"topic": "ab"}}, "labels of output 'topic' must be a list of text, got str"),
        ({"labels": {"topic": ["a", "a"]}}, "labels of output 'topic' must differ"),
        (
            {"task": "classification"},
            "multiclass, binary, multilabel, sequence, regression, embedding, opaque, got 'classification'",
        ),
        ({"task": {"size": "regress"}}, "task of output 'size' must be one of multiclass"),
        ({"task": ["binary"]}, "task must be one of"),
        ({"threshold": 0}, "threshold must be a probability between 0 and 1, both excluded, got 0"),
        ({"threshold": 1.0}, "both excluded, got 1.0"),
        ({"threshold": -0.5}, "both excluded, got -0.5"),
        ({"threshold": float("nan")}, "both excluded, got nan"),
        ({"threshold": float("inf")}, "both excluded, got inf"),
        ({"threshold": True}, "both excluded, got True"),
        ({"threshold": "0.5"}, "both excluded, got '0.5'"),
        ({"threshold": 10**400}, "threshold must be a probability"),
        ({"threshold": [0.5, 2]}, "both excluded, got 2"),
        ({"threshold": []}, "threshold must be a number or one number for each label, got none"),
        ({"threshold": object}, "threshold must be a probability"),
    ],
)
def test_what_cannot_be_true_is_refused(part, message):
    """Each impossible part of a description is one line that says what and how to mend it."""
    with pytest.raises(DescriptionError) as caught:
        checked_description(**part)

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_description_error_is_a_value_error():
    """Whoever catches ValueError catches it too."""
    with pytest.raises(ValueError, match="name must be"):
        checked_description(name=1)
