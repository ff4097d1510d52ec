"""Select the attributes that go into rows and the spans they are read from, and warn of those with several values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir

from keras_otel.analysis.rows.attribute_discovery import DiscoveredAttributes, discover_attributes
from keras_otel.analysis.rows.attributes import attribute_names, in_maps
from keras_otel.analysis.rows.clusters import AUTO
from keras_otel.analysis.rows.feature_columns import MISSING, column_of
from keras_otel.analysis.rows.suggestions import nearest_first
from keras_otel.analysis.rows.trace_attributes import SEVERAL
from keras_otel.analysis.rows.trace_sample import Sample
from keras_otel.analysis.sources.tables.fetch import fetch_row
from keras_otel.errors import SourceError

CLUSTER = "cluster "
"""Prefix of columns with possible clusters: by an attribute that was not requested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowAttributes:
    """Attributes of rows, by the spans that they are read from.

    Attributes:
        features: The attributes that rows are sliced by.
        requested: Those that the user named, for features or clusters, and that not every row has.
        requested_in_maps: Those of them that have no column of their own in the table of spans.
        cluster: The attribute that rows are clustered by; None where none is requested.
        possible_clusters: Attributes that rows could be clustered by, where none is requested.
        on_inferences: Attributes to read from inference spans and their resources.
        on_answers: Attributes to read from evaluated spans and their resources.
        on_traces: Attributes to read from any span of a trace.
        left_out: Number of attributes that were not looked at, because there are too many.
    """

    features: tuple[str, ...]
    requested: tuple[str, ...]
    requested_in_maps: tuple[str, ...]
    cluster: str | None
    possible_clusters: tuple[str, ...]
    on_inferences: tuple[str, ...]
    on_answers: tuple[str, ...]
    on_traces: tuple[str, ...]
    left_out: int


def select_attributes(
    sample: Sample, common: Sequence[str], by: Sequence[str], cluster: str | None
) -> RowAttributes:
    """Select the attributes of rows.

    Args:
        sample: Some traces.
        common: The features that every row has.
        by: Requested attributes; where there are none, those of all spans that may be useful.
        cluster: The attribute that rows are clustered by, `auto`, or None.
    """
    cluster_key = None if cluster == AUTO else cluster
    requested = [key for key in (*by, *([cluster_key] if cluster_key else [])) if key not in common]
    requested_in_maps = in_maps(requested)
    discovered = DiscoveredAttributes(own=(), others=(), clusters=())
    if not by or cluster_key is None:
        discovered = discover_attributes(sample.spans, sample.total_spans)
    own, others = (
        () if by else tuple(key for key in keys if key != cluster_key)
        for keys in (discovered.own, discovered.others)
    )
    possible_clusters = () if cluster_key is not None else discovered.clusters
    further = [key for key in dict.fromkeys(by) if key not in common]
    return RowAttributes(
        features=(*common, *further, *own, *others),
        requested=_without_repeats(requested),
        requested_in_maps=tuple(requested_in_maps),
        cluster=cluster_key,
        possible_clusters=possible_clusters,
        on_inferences=_without_repeats(requested_in_maps, own, possible_clusters),
        on_answers=_without_repeats(requested_in_maps, others, possible_clusters),
        on_traces=_without_repeats(requested_in_maps, others, possible_clusters),
        left_out=0 if by else discovered.left_out,
    )


def _without_repeats(*groups: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for keys in groups for key in keys))


def attribute_warnings(rows: ir.Table, spans: ir.Table, attributes: RowAttributes) -> Iterator[str]:
    """Yield a sentence on each attribute with several values in some traces, and on those not looked at.

    Args:
        rows: The rows of `build.build_rows`, with a column for each of `attributes.requested_in_maps`.
        spans: All spans.
        attributes: The attributes that were looked for.

    Raises:
        SourceError: No row has a requested attribute.
    """
    aggregates: dict[str, Any] = {}
    for place, key in enumerate(attributes.requested):
        column = rows.cluster if key == attributes.cluster else rows[column_of(key)]
        aggregates[f"present{place}"] = column.count()
        if key in attributes.requested_in_maps:
            is_several = column.isnull() & rows[f"{SEVERAL}{key}"]
            aggregates[f"several{place}"] = rows.trace_id.nunique(where=is_several)
    counts = fetch_row(rows.aggregate(**aggregates)) if aggregates else {}
    for place, key in enumerate(attributes.requested):
        several = int(counts.get(f"several{place}") or 0)
        if not counts[f"present{place}"]:
            names = attribute_names(spans.semi_join(rows, "trace_id")) | set(attributes.features)
            raise SourceError(_absence(key, several, names))
        if several:
            rest = "counts for itself" if key == attributes.cluster else f"has {MISSING} there"
            yield (
                f"{key} has several values in {several:,} traces whose inference and evaluated span have "
                f"none: such a row {rest}"
            )
    if attributes.left_out:
        yield (
            f"{attributes.left_out:,} more attributes of spans were not looked at, to save time: name those that "
            "may matter with --by"
        )


def _absence(key: str, several: int, names: set[str]) -> str:
    """Return why no row has an attribute: all traces have several values of it, or no trace has it."""
    if several:
        return (
            f"every trace that has the attribute {key!r} has several values of it, and neither its "
            "inference nor its evaluated span has it: set it on one of these"
        )
    return (
        f"no trace with a prediction has the attribute {key!r}: there is "
        f"{nearest_first(key, names - {key})}"
    )
