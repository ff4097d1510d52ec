"""Telemetry may fail, predictions may not."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import uuid

import pytest

from keras_otel._guard import SiteCounts, failure_counts, guarded, guarded_retry, record_failure


@pytest.fixture
def site():
    """A site that nothing failed at yet."""
    return f"test {uuid.uuid4()}"


def _raise(error: BaseException) -> None:
    raise error


def test_a_result_is_passed_on(site):
    """What does not fail gives its own object, and counts nothing."""
    result = object()

    assert guarded(site, lambda a, *, b: (a, b), result, b=1) == (result, 1)
    assert site not in failure_counts()


def test_an_exception_is_kept(site):
    """An `Exception` gives None and is counted."""
    assert guarded(site, _raise, RuntimeError("broken")) is None
    assert guarded(site, _raise, MemoryError()) is None
    assert failure_counts()[site] == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_what_is_no_exception_passes(site, error):
    """An interrupt and an exit are the program's, and are passed on as they are."""
    with pytest.raises(type(error)) as caught:
        guarded(site, _raise, error)

    assert caught.value is error
    assert site not in failure_counts()


def test_a_site_is_logged_once(site, caplog):
    """The first failure at a site is one warning, the others are counted."""
    with caplog.at_level(logging.INFO, logger="keras_otel"):
        for number in range(5):
            guarded(site, _raise, ValueError(f"number {number}"))

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        f"keras_otel: {site} failed: ValueError: number 0 (predictions are not affected; "
        "further failures there are only counted)"
    )
    assert record.exc_info is None
    assert failure_counts()[site] == 5


def test_the_traceback_is_for_debugging(site, caplog):
    """With debug logging the first failure comes with its traceback."""
    error = ValueError("broken")
    with caplog.at_level(logging.DEBUG, logger="keras_otel"):
        guarded(site, _raise, error)

    assert caplog.records[0].exc_info[1] is error


class UnspeakableError(Exception):
    """An error that cannot be put into words."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Strict(logging.Handler):
    """A handler that lets errors of formatting out, as OpenTelemetry's does."""

    def emit(self, record: logging.LogRecord) -> None:
        record.getMessage()


def test_an_error_without_words_is_kept_too(site):
    """An exception whose text cannot be had is counted like any other."""
    handler = Strict()
    logger = logging.getLogger("keras_otel")
    logger.addHandler(handler)
    try:
        assert guarded(site, _raise, UnspeakableError()) is None
    finally:
        logger.removeHandler(handler)

    assert failure_counts()[site] == 1


class Failing(logging.Handler):
    """A handler that fails."""

    def emit(self, record: logging.LogRecord) -> None:
        raise OSError("the disk is full")


def test_a_log_that_fails_is_kept_too(site):
    """A user's log handler that raises does not make the prediction raise."""
    handler = Failing()
    logger = logging.getLogger("keras_otel")
    logger.addHandler(handler)
    try:
        assert guarded(site, _raise, ValueError("broken")) is None
    finally:
        logger.removeHandler(handler)

    assert failure_counts()[site] == 1


def test_a_snapshot_is_a_copy(site):
    """What is read is not what is counted on."""
    record_failure(site, ValueError())
    failure_counts().clear()

    assert failure_counts()[site] == 1


def test_threads_count_every_failure():
    """Eight threads lose no count, and exactly one of them is the first."""
    counts = SiteCounts()
    start = threading.Barrier(8)
    first: list[bool] = []

    def count() -> None:
        start.wait()
        first.extend([counts.add("here") for _ in range(500)])

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counts.snapshot() == {"here": 4000}
    assert first.count(True) == 1


FORK = """
import os
from keras_otel import _guard

_guard.record_failure("before", ValueError())
_guard._failures._lock.acquire()  # as another thread may hold it at the fork
child = os.fork()
if child == 0:
    _guard.guarded("after", lambda: 1 / 0)
    is_right = _guard.failure_counts() == {"after": 1}
    os._exit(0 if is_right else 1)
_, status = os.waitpid(child, 0)
_guard._failures._lock.release()
assert os.waitstatus_to_exitcode(status) == 0
assert _guard.failure_counts() == {"before": 1}
"""


def test_a_forked_child_counts_anew():
    """A lock held at the fork does not stop the child, and it counts its own failures only."""
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=60)


def test_only_the_last_try_counts():
    """What fails for a while is tried again, and what fails to the end counts once."""
    tries = []

    def fails_twice() -> str:
        tries.append(len(tries))
        if len(tries) <= 2:
            raise ValueError
        return "done"

    before = failure_counts()
    assert guarded_retry("retried", fails_twice, pauses_s=(0, 0)) == "done"
    assert failure_counts() == before
    assert guarded_retry("retried", lambda: 1 / 0, pauses_s=(0, 0)) is None
    assert failure_counts()["retried"] == 1
