"""Whether traces look sampled."""

from __future__ import annotations

import random
import uuid

import ibis
import pyarrow as pa
import pytest

from keras_otel.analysis.rows.sampling_detection import signs_of_sampling
from keras_otel.analysis.sources.tables.schema import SPANS

TRACES = 400


def any_id(rng, _):
    """A trace id as the SDK makes it."""
    return f"{rng.getrandbits(128):032x}"


def of_a_tenth(rng, _):
    """One that `TraceIdRatioBased(0.1)` keeps."""
    return f"{rng.getrandbits(64):016x}{int(rng.random() * 0.1 * 2**64):016x}"


def spans(ids=any_id, *, without_root=0, attributes=(), tracestate=None):
    """Traces of two spans; of some the first is not there."""
    rng = random.Random(4)
    found = []
    for number in range(TRACES):
        trace, root, child = ids(rng, number), f"{2 * number + 1:016x}", f"{2 * number + 2:016x}"
        both = [(root, None), (child, root)]
        for span, parent in both[number < without_root :]:
            found.append(
                {
                    "trace_id": trace,
                    "span_id": span,
                    "parent_span_id": parent,
                    "start_ns": 0,
                    "duration_ns": 1,
                    "tracestate": tracestate,
                    "attributes": list(attributes),
                    "resource": [],
                }
            )
    connection = ibis.duckdb.connect()
    return connection.create_table("spans", pa.Table.from_pylist(found, schema=SPANS))


@pytest.mark.parametrize(
    ("table", "sign"),
    [
        (spans(), None),
        (spans(lambda _, n: f"{n + 1:032x}"), None),
        (spans(lambda rng, _: uuid.UUID(int=rng.getrandbits(128), version=4).hex), None),
        (spans(of_a_tenth), "all trace ids are below a bound, as where 10.0% of them are kept"),
        (spans(without_root=TRACES), None),
        (spans(without_root=8), None),
        (
            spans(without_root=TRACES // 2),
            "50% of the traces lack a span that others are children of",
        ),
        (
            spans(attributes=[("sampler.type", "probabilistic")]),
            "spans have the attribute sampler.type",
        ),
        (spans(tracestate="a=b,es=s:0.1"), "a sampler has written into the tracestate"),
        (spans(tracestate="ot=rv:0123456789abcd"), None),
    ],
    ids=[
        "whole",
        "counted ids",
        "UUIDs",
        "a ratio",
        "called from elsewhere",
        "few gaps",
        "gaps",
        "attribute",
        "tracestate",
        "tracestate of nobody who samples",
    ],
)
def test_signs(table, sign):
    """What samplers leave is seen, and what looks alike is not."""
    found = signs_of_sampling(table)

    assert (found or "").replace("9.9%", "10.0%") == (sign or "")
