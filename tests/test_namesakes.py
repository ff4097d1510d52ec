"""Different models under one name."""

from __future__ import annotations

import logging
import time

import pytest

from keras_otel.identity.namesakes import NamedModel, NameUsage, NameUsages


class Model:
    """A model that lives."""


MODEL = Model()


def named(number, fingerprint="sha256:", label=None, model=lambda: MODEL):
    """A model under the name."""
    digest = f"{fingerprint}{number}" if fingerprint else None
    return NamedModel(number=number, fingerprint=digest, label=label, model=model)


def reports(caplog, *models, start_ns=None) -> int:
    """How often these turns are reported."""
    usage = NameUsage("intent")
    with caplog.at_level(logging.WARNING, "keras_otel"):
        for model in models:
            usage.note_use(model, start_ns or time.time_ns() + 1)
    return len(caplog.messages)


def test_only_a_model_that_is_used_again_shows_that_both_live(caplog):
    """One after the other is a replacement; the first one again is two at once."""
    assert reports(caplog, named(1), named(2), named(3)) == 0
    assert reports(caplog, named(1), named(2), named(1)) == 1


@pytest.mark.parametrize(
    "second",
    [
        named(2, fingerprint=None),
        NamedModel(number=2, fingerprint="sha256:1", label=None, model=lambda: MODEL),
        named(2, model=lambda: None),
    ],
    ids=["not known yet", "same weights", "gone"],
)
def test_what_is_no_other_model_beside_it(caplog, second):
    """A copy, a model that is gone, and one that nobody knows yet are not reported."""
    assert reports(caplog, named(1), second, named(1), second) == 0


def test_labels_tell_versions_apart(caplog):
    """Two labels are two versions, one label for both a conflict that is reported elsewhere."""
    one, two = named(1, label="v1"), named(2, label="v2")
    assert reports(caplog, one, two, one, two) == 0
    assert reports(caplog, one, named(2, label="v1"), one) == 0
    assert reports(caplog, one, named(2), one) == 1


def test_a_slow_call_of_the_old_model_is_no_second_use(caplog):
    """A call that was under way when the new model took over ends after its first one."""
    usage = NameUsage("intent")
    began_ns = time.time_ns()
    with caplog.at_level(logging.WARNING, "keras_otel"):
        usage.note_use(named(1), began_ns)
        usage.note_use(named(2), time.time_ns() + 1)
        usage.note_use(named(1), began_ns)
        usage.note_use(named(2), began_ns)

    assert caplog.messages == []


def test_what_is_kept_is_bounded():
    """A process that makes models and names without end does not keep them all."""
    usages = NameUsages()
    for number in range(5000):
        usages.get(f"model {number}")
        usages.get("intent").note_use(named(number), 0)

    assert len(usages._usages) == 4096
    assert len(NameUsage("other")._models) == 0
    assert len(usages.get("model 4999")._models) == 0
    assert len(usages.get("intent")._models) <= 64
