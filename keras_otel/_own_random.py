"""A random generator of our own, so that a seeded program stays as it was.

Keras draws the seeds of initialisers, dropout and shuffles from Python's global generator. Whatever
else draws from that one gives the models of a seeded program other weights.
"""

from __future__ import annotations

import random
import sys
from typing import Final

from keras_otel._forks import run_in_child

own_random: Final = random.Random()  # noqa: S311 - ids and pauses, no secrets
run_in_child(own_random.seed)  # else parent and child would make the same ids

# Where the SDK and its exporters draw from the global generator: which exemplars a counter keeps,
# and how long the exporters wait before they try again.
_DRAWS: Final = (
    ("opentelemetry.sdk.metrics._internal.exemplar.exemplar_reservoir", "randrange"),
    ("opentelemetry.exporter.otlp.common.http", "random"),
    ("opentelemetry.exporter.otlp.proto.grpc.exporter", "random"),
)


def isolate_sdk() -> None:
    """Let the modules of the SDK that are imported by now draw from our own generator."""
    for module_name, name in _DRAWS:
        module = sys.modules.get(module_name)
        drawn = getattr(module, name, None)
        if drawn is random:
            setattr(module, name, own_random)
        elif drawn is not None and drawn == getattr(random, name, None):
            setattr(module, name, getattr(own_random, name))
