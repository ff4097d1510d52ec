"""Ids of traces and spans that leave Python's global random generator alone."""

from __future__ import annotations

from opentelemetry.sdk.trace.id_generator import IdGenerator

from keras_otel._own_random import own_random


class IndependentIdGenerator(IdGenerator):
    """Draws ids from a generator of its own.

    The SDK's `RandomIdGenerator` draws from Python's global `random`, from which Keras takes the
    seeds of initialisers, dropout and shuffles: a seeded program would get other weights for every
    model that it builds after its first span. `instrument(export=...)` uses this one; give it to a
    provider of your own:

        TracerProvider(id_generator=IndependentIdGenerator())
    """

    def generate_span_id(self) -> int:
        """Return 64 random bits that are not all zero."""
        while not (span_id := own_random.getrandbits(64)):
            pass
        return span_id

    def generate_trace_id(self) -> int:
        """Return 128 random bits that are not all zero."""
        while not (trace_id := own_random.getrandbits(128)):
            pass
        return trace_id

    def is_trace_id_random(self) -> bool:
        """Return True: all bits are random."""
        return True
