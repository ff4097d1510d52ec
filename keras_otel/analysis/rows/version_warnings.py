"""Warn of silent retrains and mixed versions, which a slice by version would hide."""

from __future__ import annotations

from collections.abc import Iterator

import ibis.expr.types as ir

from keras_otel import semconv
from keras_otel.analysis.sources.tables.fetch import fetch_rows


def lineage_warnings(predictions: ir.Table) -> Iterator[str]:
    """Yield a sentence for each version label with several fingerprints, and each mixed model."""
    group = predictions.group_by(
        model=predictions.model, version=predictions[semconv.MODEL_VERSION]
    ).aggregate(fingerprints=predictions[semconv.MODEL_FINGERPRINT].nunique())
    for row in fetch_rows(group.filter(group.fingerprints > 1).order_by("model", "version")):
        yield (
            f"silent retrain: version {row['version']} of model {row['model']} has "
            f"{row['fingerprints']} fingerprints, so its rates mix different weights"
        )
    for attribute, noun in (
        (semconv.KERAS_VERSION, "Keras versions"),
        (semconv.BACKEND_NAME, "backends"),
    ):
        pairs = predictions.select(model=predictions.model, value=predictions[attribute])
        by_model: dict[str, list[str]] = {}
        for row in fetch_rows(pairs.filter(pairs["value"].notnull()).distinct()):
            by_model.setdefault(row["model"], []).append(row["value"])
        for model, values in sorted(by_model.items()):
            if len(values) > 1:
                yield f"model {model} ran on several {noun}: {', '.join(sorted(values))}"
