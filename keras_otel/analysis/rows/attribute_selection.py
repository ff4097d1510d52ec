"""Which attributes go into a row, where they are looked for, and what is told of those asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir

from keras_otel.analysis.rows.attribute_discovery import Screened, screened_attributes
from keras_otel.analysis.rows.attributes import attribute_names, in_maps
from keras_otel.analysis.rows.clusters import AUTO
from keras_otel.analysis.rows.feature_columns import MISSING, column_of
from keras_otel.analysis.rows.suggestions import nearest_first
from keras_otel.analysis.rows.trace_attributes import SEVERAL
from keras_otel.analysis.rows.trace_sample import Sample
from keras_otel.errors import SourceError

CLUSTER = "cluster "
"""What the name of a column starts with that has the clusters by an attribute nobody asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Attributes, by where they are looked for.

    Attributes:
        features: What rows are sliced by.
        named: Those that somebody named, for features or clusters, and that not every row has.
        asked: Those of them that are in maps.
        cluster: The attribute that clusters are made by; None where none is asked for.
        clusters: Attributes that clusters could be made by, if none is.
        of_inferences: Those looked for on inference spans and their resources.
        of_answers: On evaluated spans and their resources.
        of_traces: On all spans of a trace.
        left_out: How many attributes were not looked at, because there are too many.
    """

    features: tuple[str, ...]
    named: tuple[str, ...]
    asked: tuple[str, ...]
    cluster: str | None
    clusters: tuple[str, ...]
    of_inferences: tuple[str, ...]
    of_answers: tuple[str, ...]
    of_traces: tuple[str, ...]
    left_out: int


def keys_of(sample: Sample, known: Sequence[str], by: Sequence[str], cluster: str | None) -> Keys:
    """Choose the attributes of rows.

    Args:
        sample: Some traces.
        known: The features that every row has.
        by: Attributes asked for; where there are none, those of all spans that may say something.
        cluster: The attribute that clusters are made by, `auto`, or None.
    """
    given = None if cluster == AUTO else cluster
    named = [key for key in (*by, *([given] if given else [])) if key not in known]
    asked = in_maps(named)
    screened = Screened(own=(), others=(), clusters=())
    if not by or given is None:
        screened = screened_attributes(sample.spans, sample.of)
    own, others = (
        () if by else tuple(key for key in keys if key != given)
        for keys in (screened.own, screened.others)
    )
    clusters = () if given is not None else screened.clusters
    more = [key for key in dict.fromkeys(by) if key not in known]
    return Keys(
        features=(*known, *more, *own, *others),
        named=_once(named),
        asked=tuple(asked),
        cluster=given,
        clusters=clusters,
        of_inferences=_once(asked, own, clusters),
        of_answers=_once(asked, others, clusters),
        of_traces=_once(asked, others, clusters),
        left_out=0 if by else screened.left_out,
    )


def _once(*keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for some in keys for key in some))


def key_warnings(rows: ir.Table, spans: ir.Table, keys: Keys) -> Iterator[str]:
    """A sentence on each attribute of which some traces have several values, and on those not looked at.

    Args:
        rows: Those of `build.build_rows`, with a column for each of `keys.asked`.
        spans: All of them.
        keys: What was looked for.

    Raises:
        SourceError: No row has an attribute that was asked for.
    """
    wanted: dict[str, Any] = {}
    for place, key in enumerate(keys.named):
        column = rows.cluster if key == keys.cluster else rows[column_of(key)]
        wanted[f"present{place}"] = column.count()
        if key in keys.asked:
            is_several = column.isnull() & rows[f"{SEVERAL}{key}"]
            wanted[f"several{place}"] = rows.trace_id.nunique(where=is_several)
    found = rows.aggregate(**wanted).to_pyarrow().to_pylist()[0] if wanted else {}
    for place, key in enumerate(keys.named):
        several = int(found.get(f"several{place}") or 0)
        if not found[f"present{place}"]:
            raise SourceError(_nowhere(key, several, rows, spans, keys))
        if several:
            rest = "counts for itself" if key == keys.cluster else f"has {MISSING} there"
            yield (
                f"{key} has several values in {several:,} traces whose inference and evaluated span have "
                f"none: such a row {rest}"
            )
    if keys.left_out:
        yield (
            f"{keys.left_out:,} more attributes of spans were not looked at, to save time: name those that "
            "may matter with --by"
        )


def _nowhere(key: str, several: int, rows: ir.Table, spans: ir.Table, keys: Keys) -> str:
    if several:
        return (
            f"every trace that has the attribute {key!r} has several values of it, and neither its "
            "inference nor its evaluated span has it: set it on one of these"
        )
    there = attribute_names(spans.semi_join(rows, "trace_id")) | set(keys.features)
    return (
        f"no trace with a prediction has the attribute {key!r}: there is "
        f"{nearest_first(key, there - {key})}"
    )
