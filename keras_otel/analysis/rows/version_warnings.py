"""Silent retrains and mixed versions: what a slice by version would hide."""

from __future__ import annotations

from collections.abc import Iterator

import ibis.expr.types as ir

from keras_otel import semconv


def lineage_warnings(predictions: ir.Table) -> Iterator[str]:
    """One sentence for each version label with several fingerprints, and each mixed model."""
    group = predictions.group_by(
        model=predictions.model, version=predictions[semconv.MODEL_VERSION]
    ).aggregate(fingerprints=predictions[semconv.MODEL_FINGERPRINT].nunique())
    for row in _rows(group.filter(group.fingerprints > 1).order_by("model", "version")):
        yield (
            f"silent retrain: version {row['version']} of model {row['model']} has "
            f"{row['fingerprints']} fingerprints, so its rates mix different weights"
        )
    for attribute, what in (
        (semconv.KERAS_VERSION, "Keras versions"),
        (semconv.BACKEND_NAME, "backends"),
    ):
        pairs = predictions.select(model=predictions.model, value=predictions[attribute])
        found: dict[str, list[str]] = {}
        for row in _rows(pairs.filter(pairs["value"].notnull()).distinct()):
            found.setdefault(row["model"], []).append(row["value"])
        for model, values in sorted(found.items()):
            if len(values) > 1:
                yield f"model {model} ran on several {what}: {', '.join(sorted(values))}"


def _rows(table: ir.Table) -> list[dict[str, str]]:
    found: list[dict[str, str]] = table.to_pyarrow().to_pylist()
    return found
