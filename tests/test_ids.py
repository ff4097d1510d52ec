"""Nothing of ours draws from the random numbers that a seeded program counts on."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider

from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.id_generator import check_id_generator
from keras_otel.ids import IndependentIdGenerator


def test_ids_are_valid_and_differ():
    """Ids are not zero, fill their bits, and no two of many are the same."""
    generator = IndependentIdGenerator()

    spans = {generator.generate_span_id() for _ in range(20_000)}
    traces = {generator.generate_trace_id() for _ in range(20_000)}

    assert len(spans) == len(traces) == 20_000
    assert 0 not in spans | traces
    assert 2**60 < max(spans) < 2**64
    assert 2**124 < max(traces) < 2**128
    assert generator.is_trace_id_random()


def test_ids_do_not_follow_the_seed():
    """A program that seeds `random` draws the same numbers, and its spans have other ids."""
    generator = IndependentIdGenerator()
    random.seed(7)
    state = random.getstate()

    first = [generator.generate_trace_id(), generator.generate_span_id()]
    assert random.getstate() == state
    random.seed(7)
    assert [generator.generate_trace_id(), generator.generate_span_id()] != first


FORK = """
import os
from keras_otel.ids import IndependentIdGenerator
generator = IndependentIdGenerator()
reading, writing = os.pipe()
if os.fork() == 0:
    os.write(writing, str(generator.generate_trace_id()).encode())
    os._exit(0)
os.wait()
assert int(os.read(reading, 100)) != generator.generate_trace_id()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here")
def test_a_forked_child_makes_ids_of_its_own():
    """Parent and child do not draw the same ids after a fork."""
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=60)


SEEDED = """
import random, sys, numpy
import logging
logging.disable()
import keras_otel
keras_otel.instrument(export=sys.argv[1])
import keras
model = keras.Sequential([keras.Input((2,)), keras.layers.Activation("softmax")], name="echo")
random.seed(42), numpy.random.seed(42)
state, numbers = random.getstate(), numpy.random.get_state()[1].tolist()
from opentelemetry import metrics, trace
counter = metrics.get_meter("app").create_counter("a.counter")
for _ in range(20):
    with trace.get_tracer("app").start_as_current_span("request"):
        model(numpy.ones((1, 2), "float32"))
        keras_otel.record_evaluation("faithfulness", passed=False)
        counter.add(1)
trace.get_tracer_provider().force_flush()
metrics.get_meter_provider().force_flush()
assert random.getstate() == state
assert numpy.random.get_state()[1].tolist() == numbers
"""


@pytest.mark.parametrize("target", ["file", "http", "grpc"])
def test_a_seeded_program_draws_what_it_drew(tmp_path, target):
    """Spans, exemplars of counters and exports that are tried again use up no random number."""
    address = f"file:{tmp_path}/t" if target == "file" else f"{target}://127.0.0.1:9"

    subprocess.run(
        [sys.executable, "-c", SEEDED, address],
        check=True,
        timeout=120,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "OTEL_EXPORTER_OTLP_TIMEOUT": "2"},
    )


def test_doctor_notes_ids_from_the_global_generator():
    """A provider with the SDK's own ids is noted with what to write instead; one of ours is not."""
    findings = Findings()
    check_id_generator(findings, TracerProvider(shutdown_on_exit=False))
    (note,) = findings.notes
    assert "id_generator=keras_otel.ids.IndependentIdGenerator()" in note

    quiet = Findings()
    check_id_generator(
        quiet, TracerProvider(id_generator=IndependentIdGenerator(), shutdown_on_exit=False)
    )
    check_id_generator(quiet, object())
    assert quiet.notes == quiet.problems == []
