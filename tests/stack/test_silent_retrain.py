"""A retrain under the same version label, seen by the stack and by nobody else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from keras_otel.dashboards.rules import groups
from tests.stack.servers import Binaries, running, wait_until

SERVICE = """
import os, sys
import keras_otel

keras_otel.instrument(export=sys.argv[1])

import keras
import numpy as np

keras.utils.set_random_seed(int(sys.argv[2]))
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="softmax")])
keras_otel.describe(model, name="filter", version="2026-11-01", labels=["fine", "toxic"])
for _ in range(5):
    model(np.ones((1, 2), "float32"))
"""


def test_two_processes_with_other_weights(binaries: Binaries, tmp_path: Path) -> None:
    """One deployment says nothing; a second one with other weights fires the alert."""
    (alert,) = (
        rule.expression
        for group in groups()
        for rule in group.rules
        if rule.name == "KerasSilentRetrain"
    )
    seen = 'count by (keras_model_fingerprint) (traces_span_metrics_calls_total{keras_model_name="filter"})'
    with running(binaries, tmp_path) as stack:

        def deploy(seed: int) -> None:
            command = [sys.executable, "-c", SERVICE, stack.otlp, str(seed)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr

        def fired() -> list[tuple[str, str]]:
            return [
                (each["metric"]["keras_model_name"], each["metric"]["keras_model_version"])
                for each in stack.query(alert)
            ]

        deploy(1)
        assert wait_until(lambda: len(stack.query(seen)) == 1)
        recorded = "model_version:keras_model_fingerprints:count1d"
        assert wait_until(lambda: stack.query(f"{recorded} == 1"))
        assert fired() == []

        deploy(2)
        assert wait_until(lambda: len(stack.query(seen)) == 2)
        assert wait_until(fired) == [("filter", "2026-11-01")]
