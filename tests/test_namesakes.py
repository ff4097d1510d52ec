"""Different models under one name."""

from __future__ import annotations

import logging
import time

import pytest

from keras_otel.identity.namesakes import Bearer, NameUse, NameUses


class Model:
    """A model that lives."""


MODEL = Model()


def bearer(number, fingerprint="sha256:", label=None, model=lambda: MODEL):
    """A model under the name."""
    digest = f"{fingerprint}{number}" if fingerprint else None
    return Bearer(number=number, fingerprint=digest, label=label, model=model)


def reports(caplog, *bearers, start_ns=None) -> int:
    """How often these turns are reported."""
    use = NameUse("intent")
    with caplog.at_level(logging.WARNING, "keras_otel"):
        for each in bearers:
            use.take_turn(each, start_ns or time.time_ns() + 1)
    return len(caplog.messages)


def test_only_a_model_that_is_used_again_shows_that_both_live(caplog):
    """One after the other is a replacement; the first one again is two at once."""
    assert reports(caplog, bearer(1), bearer(2), bearer(3)) == 0
    assert reports(caplog, bearer(1), bearer(2), bearer(1)) == 1


@pytest.mark.parametrize(
    "second",
    [
        bearer(2, fingerprint=None),
        Bearer(number=2, fingerprint="sha256:1", label=None, model=lambda: MODEL),
        bearer(2, model=lambda: None),
    ],
    ids=["not known yet", "same weights", "gone"],
)
def test_what_is_no_other_model_beside_it(caplog, second):
    """A copy, a model that is gone, and one that nobody knows yet are not reported."""
    assert reports(caplog, bearer(1), second, bearer(1), second) == 0


def test_labels_tell_versions_apart(caplog):
    """Two labels are two versions, one label for both a conflict that is reported elsewhere."""
    one, two = bearer(1, label="v1"), bearer(2, label="v2")
    assert reports(caplog, one, two, one, two) == 0
    assert reports(caplog, one, bearer(2, label="v1"), one) == 0
    assert reports(caplog, one, bearer(2), one) == 1


def test_a_slow_call_of_the_old_model_is_no_second_use(caplog):
    """A call that was under way when the new model took over ends after its first one."""
    use = NameUse("intent")
    began_ns = time.time_ns()
    with caplog.at_level(logging.WARNING, "keras_otel"):
        use.take_turn(bearer(1), began_ns)
        use.take_turn(bearer(2), time.time_ns() + 1)
        use.take_turn(bearer(1), began_ns)
        use.take_turn(bearer(2), began_ns)

    assert caplog.messages == []


def test_what_is_kept_is_bounded():
    """A process that makes models and names without end does not keep them all."""
    uses = NameUses()
    for number in range(5000):
        uses.of(f"model {number}")
        uses.of("intent").take_turn(bearer(number), 0)

    assert len(uses._uses) == 4096
    assert len(NameUse("other")._bearers) == 0
    assert len(uses.of("model 4999")._bearers) == 0
    assert len(uses.of("intent")._bearers) <= 64
