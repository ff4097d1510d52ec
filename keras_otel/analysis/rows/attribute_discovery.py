"""Which attributes rows are sliced by where nobody names any: those of all spans, found in a part of them.

Attributes of spans and resources are many, and most say nothing: they name a request, never differ, or repeat
what a feature says. A part of the traces shows which; it is chosen by trace id, so that it is the same in every engine.
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

MOST: Final = 60
_LEAST: Final = 4
_LOOKED_UP: Final = 12_000_000
"""Spans times attributes of other spans than the inference: each is looked up in each span."""

_MOST_KEYS: Final = 500
_MOST_CLUSTERS: Final = 2

_FEW: Final = 50
_FEW_NUMBERS: Final = 10
_ROWS_OF_A_VALUE: Final = 20
"""With fewer rows to a value than that, few values have enough to be tested."""
_RARE: Final = 0.005

# Of our own: ids, times and what a feature says already are no new features.
_OWN: Final = frozenset(
    {
        semconv.OPERATION_NAME,
        semconv.MODEL_PRECISION,
        semconv.MODEL_VERSION_CONFLICT,
    }
)
_OWN_PREFIX: Final = "keras."

# What evaluators write is the outcome, and what is known of the answer is next to it: a long one is no
# cause of its failure. The rest are places in code and the libraries' own.
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
"""Of too many, those of the LLM come first, and those that every server has last."""
_NO_QUANTITIES = re.compile(
    r".*(^|[._])(id|pid|port|time|timestamp|line|lineno|number|index|seed)$"
)
"""Numbers that have no more and less of something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Screened:
    """What was found.

    Attributes:
        own: Attributes of inference spans and resources that rows may be sliced by, those of the LLM
            and the most widespread first.
        others: The same of other spans.
        clusters: Attributes of sessions and users, the closest first.
        left_out: How many more could have been sliced by.
    """

    own: tuple[str, ...]
    others: tuple[str, ...]
    clusters: tuple[str, ...]
    left_out: int = 0


def screened_attributes(sample: ir.Table, spans: int) -> Screened:
    """Look at the attributes of some traces.

    Args:
        sample: Their spans.
        spans: How many spans there are in all.
    """
    found = _counted(_with_predictions(sample))
    traces = max((each["traces"] for each in found), default=0)
    usable = sorted((each for each in found if _is_feature(each, traces)), key=_place)
    # Engines do not tell columns apart by case.
    usable = list({each["key"].lower(): each for each in reversed(usable)}.values())[::-1]
    own = [each["key"] for each in usable if not each["elsewhere"]]
    others = [each["key"] for each in usable if each["elsewhere"]]
    most = min(MOST, max(_LEAST, _LOOKED_UP // max(spans, 1)))
    there = {each["key"] for each in found}
    kept, kept_others = own[:MOST], others[:most]
    return Screened(
        own=tuple(kept),
        others=tuple(kept_others),
        clusters=tuple(key for key in clusters.ATTRIBUTES if key in there)[:_MOST_CLUSTERS],
        left_out=len(usable) - len(kept) - len(kept_others),
    )


def _with_predictions(sample: ir.Table) -> ir.Table:
    """The spans of traces with a prediction, or all where no trace has one."""
    slim = sample.select(
        "trace_id", "attributes", "resource", is_prediction=sample[semconv.MODEL_NAME].notnull()
    )
    slim = materialised(slim, "sample")
    traces = slim.filter(slim.is_prediction).select("trace_id").distinct()
    return slim.semi_join(traces, "trace_id") if traces.count().to_pyarrow().as_py() else slim


def _counted(sample: ir.Table) -> list[dict[str, Any]]:
    """Each key with the number of traces that have it, and of its values; the most widespread first."""
    parts = []
    for column in ("attributes", "resource"):
        spread = sample.filter(sample[column].notnull()).select(
            "trace_id",
            elsewhere=~sample.is_prediction if column == "attributes" else False,
            told=sample[column],
            key=sample[column].keys().unnest(),
        )
        value = spread.told.get(spread.key, ibis.null("string")).nullif("")
        parts.append(spread.select("trace_id", "key", "elsewhere", value=value))
    pairs = ibis.union(*parts)
    pairs = pairs.filter(pairs["value"].notnull())
    by_key = pairs.group_by("key").aggregate(
        traces=pairs.trace_id.nunique(),
        distinct=pairs["value"].nunique(),
        numbers=pairs["value"].try_cast("float64").count(),
        n=pairs.count(),
        elsewhere=pairs.elsewhere.cast("int8").max(),
    )
    ordered = by_key.order_by([by_key.traces.desc(), by_key.key]).limit(_MOST_KEYS)
    found: list[dict[str, Any]] = ordered.to_pyarrow().to_pylist()
    return found


def _place(found: dict[str, Any]) -> tuple[int, int, str]:
    key: str = found["key"]
    rank = 0 if key.startswith(_FIRST) else 2 if _LAST.match(key) else 1
    return rank, -found["traces"], key


def _is_feature(found: dict[str, Any], traces: int) -> bool:
    key, distinct, having = found["key"], found["distinct"], found["traces"]
    if key in clusters.ATTRIBUTES or (key.startswith(_OWN_PREFIX) and key not in _OWN):
        return False
    if _NO_FEATURES.match(key) or having < _RARE * traces:
        return False
    if distinct == 1:
        return bool(having < (1 - _RARE) * traces)
    if found["numbers"] == found["n"] and distinct > _FEW_NUMBERS:
        return _NO_QUANTITIES.match(key) is None
    is_short = distinct <= _FEW and distinct * 2 <= having
    return is_short or bool(distinct * _ROWS_OF_A_VALUE <= having)
