"""Confidence and latency as ranges."""

from __future__ import annotations

import ibis
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_otel import semconv
from keras_otel.analysis.rows.fixed_bins import confidence_bin, duration_bin

_CONFIDENCES = st.floats(0, 1) | st.sampled_from(semconv.CONFIDENCE_EDGES)


@settings(max_examples=25, deadline=None)
@given(st.lists(_CONFIDENCES, min_size=1, max_size=30))
def test_the_bins_of_the_metric(values):
    """The engine gives each confidence the bin that the metric gives it."""
    table = ibis.memtable({"value": values}, schema={"value": "float64"})

    found = table.select(bin=confidence_bin(table.value)).to_pyarrow()["bin"].to_pylist()

    assert found == [semconv.confidence_bin(value) for value in values]


def test_the_bins_of_durations():
    """The metric's boundaries; what is missing stays missing."""
    table = ibis.memtable(
        {"value": [0.0, 0.0005, 0.002, 9.9, 10.0, 70.0, None]}, schema={"value": "float64"}
    )

    found = table.select(bin=duration_bin(table.value)).to_pyarrow()["bin"].to_pylist()

    assert found == [
        "[0,0.0005)",
        "[0.0005,0.001)",
        "[0.001,0.0025)",
        "[5,10)",
        "[10,inf)",
        "[10,inf)",
        None,
    ]
