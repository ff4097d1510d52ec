"""Discover the attributes to slice by where the user names none: those of all spans, found in a sample of traces.

Attributes of spans and resources are many, and most are useless for slicing: they identify a request, never differ, or repeat a
feature. A sample of the traces shows which; it is chosen by trace id, so that it is the same in every engine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import ibis
import ibis.expr.types as ir

from keras_otel import semconv
from keras_otel.analysis.rows import clusters
from keras_otel.analysis.rows.materialise import materialised
from keras_otel.analysis.sources.tables.fetch import fetch_count, fetch_rows

MOST: Final = 60
_LEAST: Final = 4
_LOOKED_UP: Final = 12_000_000
"""Most lookups of attributes of other spans than the inference: each is looked up in each span."""

_MOST_KEYS: Final = 500
_MOST_CLUSTERS: Final = 2

_FEW: Final = 50
_FEW_NUMBERS: Final = 10
_ROWS_PER_VALUE: Final = 20
"""With fewer rows per value than that, few values have enough rows to be tested."""
_RARE: Final = 0.005

# Of keras_otel's own attributes only these are features: others are ids, times or repeat a feature.
_OWN: Final = frozenset(
    {
        semconv.OPERATION_NAME,
        semconv.MODEL_PRECISION,
        semconv.MODEL_VERSION_CONFLICT,
    }
)
_OWN_PREFIX: Final = "keras."

# What evaluators write is the outcome, and properties of the answer come with it: a long answer is no cause of
# its failure. The others are places in code and internals of libraries.
_NO_FEATURES = re.compile(
    r"(gen_ai\.evaluation|gen_ai\.usage|gen_ai\.response|gen_ai\.output|llm\.token_count|llm\.usage"
    r"|llm\.output_messages|output|ai\.usage|ai\.response|eval|evaluations|trace\.evaluations"
    r"|langfuse\.score|exception|thread|code|telemetry|otel|internal)\."
)
_FIRST: Final = ("gen_ai.", "llm.", "ai.")
_LAST = re.compile(
    r"(http|url|server|client|net|network|db|rpc|host|k8s|container|cloud|process|os|user_agent|service"
    r"|deployment|faas|messaging|peer)\."
)
"""The order where there are too many: attributes of the LLM first, those that every server has last."""
_NO_QUANTITIES = re.compile(
    r".*(^|[._])(id|pid|port|time|timestamp|line|lineno|number|index|seed)$"
)
"""Names of numbers that measure no quantity: ranges of them mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveredAttributes:
    """Attributes that rows may be sliced or clustered by.

    Attributes:
        own: Attributes of inference spans and resources to slice by, those of the LLM and the most
            widespread first.
        others: Attributes of other spans, likewise.
        clusters: Attributes of sessions and users, the closest first.
        left_out: Number of further attributes that could have been sliced by.
    """

    own: tuple[str, ...]
    others: tuple[str, ...]
    clusters: tuple[str, ...]
    left_out: int = 0


def discover_attributes(sample: ir.Table, spans: int) -> DiscoveredAttributes:
    """Find the attributes to slice and cluster by in a sample of traces.

    Args:
        sample: The spans of the sample.
        spans: Number of all spans.
    """
    attributes = _count_attributes(_with_predictions(sample))
    traces = max((counts["traces"] for counts in attributes), default=0)
    usable = sorted((counts for counts in attributes if _is_feature(counts, traces)), key=_rank)
    # Engines do not distinguish columns by case: the first of several spellings counts.
    usable = list({counts["key"].lower(): counts for counts in reversed(usable)}.values())[::-1]
    own = [counts["key"] for counts in usable if not counts["elsewhere"]]
    others = [counts["key"] for counts in usable if counts["elsewhere"]]
    most_others = min(MOST, max(_LEAST, _LOOKED_UP // max(spans, 1)))
    keys = {counts["key"] for counts in attributes}
    kept, kept_others = own[:MOST], others[:most_others]
    return DiscoveredAttributes(
        own=tuple(kept),
        others=tuple(kept_others),
        clusters=tuple(key for key in clusters.ATTRIBUTES if key in keys)[:_MOST_CLUSTERS],
        left_out=len(usable) - len(kept) - len(kept_others),
    )


def _with_predictions(sample: ir.Table) -> ir.Table:
    """Return the spans of traces with a prediction; all spans where no trace has one."""
    slim = sample.select(
        "trace_id", "attributes", "resource", is_prediction=sample[semconv.MODEL_NAME].notnull()
    )
    slim = materialised(slim, "sample")
    traces = slim.filter(slim.is_prediction).select("trace_id").distinct()
    return slim.semi_join(traces, "trace_id") if fetch_count(traces) else slim


def _count_attributes(sample: ir.Table) -> list[dict[str, Any]]:
    """Count the traces that have each key, and its values; the most widespread key first."""
    parts = []
    for column in ("attributes", "resource"):
        by_key = sample.filter(sample[column].notnull()).select(
            "trace_id",
            elsewhere=~sample.is_prediction if column == "attributes" else False,
            attributes=sample[column],
            key=sample[column].keys().unnest(),
        )
        value = by_key.attributes.get(by_key.key, ibis.null("string")).nullif("")
        parts.append(by_key.select("trace_id", "key", "elsewhere", value=value))
    pairs = ibis.union(*parts)
    pairs = pairs.filter(pairs["value"].notnull())
    counts = pairs.group_by("key").aggregate(
        traces=pairs.trace_id.nunique(),
        distinct=pairs["value"].nunique(),
        numbers=pairs["value"].try_cast("float64").count(),
        n=pairs.count(),
        elsewhere=pairs.elsewhere.cast("int8").max(),
    )
    return fetch_rows(counts.order_by([counts.traces.desc(), counts.key]).limit(_MOST_KEYS))


def _rank(counts: dict[str, Any]) -> tuple[int, int, str]:
    key: str = counts["key"]
    rank = 0 if key.startswith(_FIRST) else 2 if _LAST.match(key) else 1
    return rank, -counts["traces"], key


def _is_feature(counts: dict[str, Any], traces: int) -> bool:
    """Return True for an attribute that differs between traces, and has few enough values to slice by."""
    key, distinct, having = counts["key"], counts["distinct"], counts["traces"]
    if key in clusters.ATTRIBUTES or (key.startswith(_OWN_PREFIX) and key not in _OWN):
        return False
    if _NO_FEATURES.match(key) or having < _RARE * traces:
        return False
    if distinct == 1:
        return bool(having < (1 - _RARE) * traces)
    if counts["numbers"] == counts["n"] and distinct > _FEW_NUMBERS:
        return _NO_QUANTITIES.match(key) is None
    is_short = distinct <= _FEW and distinct * 2 <= having
    return is_short or bool(distinct * _ROWS_PER_VALUE <= having)
