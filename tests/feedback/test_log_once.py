"""A warning is logged once, and a failing log handler costs nothing."""

from __future__ import annotations

import logging

import keras_otel
from keras_otel._guard import failure_counts
from keras_otel.feedback import log_once, record_evaluation
from tests.feedback.conftest import event_of


class Failing(logging.Handler):
    """A user's log handler that fails."""

    def emit(self, record):
        raise OSError("the disk is full")


def test_a_log_handler_that_raises(providers):
    """A line that cannot be logged costs nothing of the evaluation it is about."""
    before = failure_counts().get("log", 0)
    providers.instrument()
    handler = Failing()
    logging.getLogger("keras_otel").addHandler(handler)
    try:
        record_evaluation("faithfulness", score="abc", passed=True)
    finally:
        logging.getLogger("keras_otel").removeHandler(handler)
    keras_otel.uninstrument()

    assert failure_counts()["log"] == before + 2  # the score, and the missing span
    assert event_of(providers)[1]["keras.evaluation.passed"] is True


def test_notes_come_to_an_end(caplog):
    """A program that makes up names does not fill the log or the memory."""
    for number in range(1000):
        log_once.log_once(f"note {number}")

    assert len(caplog.messages) == len(log_once._logged) == 256
