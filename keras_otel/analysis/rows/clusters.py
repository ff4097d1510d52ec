"""Rows that depend on one another, as those of a session do: how much that matters, and what it is called."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import ibis
import ibis.expr.types as ir

from keras_otel import semconv

AUTO: Final = "auto"
"""Instead of a name: the first of the usual ones whose values repeat."""

ATTRIBUTES: Final = (
    "session.id",
    semconv.GENAI_CONVERSATION,
    "langfuse.session.id",
    "user.id",
    "enduser.id",
    "langfuse.user.id",
)
"""Attributes whose values rows depend on one another within, the closest first."""

_COLUMNS: Final = (
    "sessionid",
    "session",
    "genaiconversationid",
    "conversationid",
    "conversation",
    "userid",
    "user",
    "enduserid",
    "traceid",
    "rowid",
    "id",
)
"""The same for columns of ready rows, without case and punctuation."""

LEAST: Final = 20
"""Clusters below which rates are not tested by cluster."""
_NOTABLE: Final = 1.1
_STANDARD_ERRORS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Clusters:
    """The clusters that an attribute makes of the rows.

    Attributes:
        name: Of the attribute or column.
        count: How many there are, in the family where there are most.
        repeats: Whether some has several rows.
        effect: By how much the variance of the overall rate is larger than that of as many independent
            rows (the design effect), in the family where it is largest; 1 where no cluster repeats.
    """

    name: str
    count: int
    repeats: bool
    effect: float

    @property
    def is_usable(self) -> bool:
        """True if rates can be tested by these clusters, and the result is another one."""
        return self.repeats and self.count >= LEAST

    @property
    def is_notable(self) -> bool:
        """True if rates vary more than by chance, and by more than a tenth."""
        noise = _STANDARD_ERRORS * math.sqrt(2 / max(self.count, 1))
        return self.is_usable and self.effect > _NOTABLE and self.effect > 1 + noise


def alike(columns: Sequence[str]) -> list[str]:
    """The columns of ready rows that are called as clusters are, the closest first."""
    plain = {name: "".join(c for c in name.lower() if c.isalnum()) for name in columns}
    return [name for known in _COLUMNS for name in columns if plain[name] == known]


def clusters_of(table: ir.Table, columns: Mapping[str, str]) -> list[Clusters]:
    """Measure what each of several columns does to the rates.

    The variance of a rate p = K/N by clusters is Σ(k - p·n)²/N² over each cluster's sums n and k, that of
    independent rows Σw²(y - p)²/N² (Kish 1965, Survey Sampling, 5.4).

    Args:
        table: The rows, as in `row_table.Rows`.
        columns: For each name, the column of the table that has the clusters.
    """
    return [_measured(table, name, column) for name, column in columns.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clustering:
    """Which clusters rows have.

    Attributes:
        name: Of the attribute or column; None where each row stands for itself.
        warnings: What is said of it.
    """

    name: str | None
    warnings: tuple[str, ...] = ()


def clustered(
    rows: ir.Table, asked: str | None, columns: Mapping[str, str]
) -> tuple[ir.Table, Clustering]:
    """The rows with their clusters, and what is said of those that they could have.

    Args:
        rows: As in `row_table.Rows`; with their clusters already where those are asked for by name.
        asked: The name, `auto`, or None.
        columns: Clusters that there could be: for each name the column that has them.
    """
    if asked not in (None, AUTO):
        return rows, Clustering(name=asked)
    found = clusters_of(rows, columns)
    if asked is None:
        return rows, Clustering(name=None, warnings=tuple(cluster_warnings(found)))
    name, sentence = chosen(found)
    if name is not None:
        rows = rows.mutate(cluster=rows[columns[name]].cast("string"))
    return rows, Clustering(name=name, warnings=(sentence,))


def cluster_warnings(found: Sequence[Clusters]) -> Iterator[str]:
    """One sentence on the first that matters."""
    for clusters in found:
        if clusters.is_notable:
            yield (
                f"rows with the same {clusters.name} resemble one another: rates vary "
                f"{clusters.effect:.1f} times as much as those of independent rows, which makes findings of "
                f"chance; give --cluster {clusters.name}"
            )
            return


def chosen(found: Sequence[Clusters]) -> tuple[str | None, str]:
    """What `auto` takes, and the sentence that says so."""
    for clusters in found:
        if clusters.is_usable:
            return clusters.name, f"rows are clustered by {clusters.name}"
    return None, (
        "no usual attribute of sessions or users repeats: rows count as independent; name another with "
        "--cluster"
    )


def _measured(table: ir.Table, name: str, column: str) -> Clusters:
    families = _sums(table, column).to_pyarrow().to_pylist()
    return Clusters(
        name=name,
        count=max((int(each["clusters"]) for each in families), default=0),
        repeats=any(each["most"] > 1 for each in families),
        effect=max((_effect(each) for each in families), default=1.0),
    )


def _sums(table: ir.Table, column: str) -> ir.Table:
    rows = table.filter(table.failed.notnull() & ~table.error)
    weight, many = rows.weight.cast("float64"), rows["count"].cast("float64")
    failure = rows.failed.cast("float64")
    by_cluster = (
        rows.select(
            eval=rows["eval"],
            model=rows.model,
            cluster=ibis.coalesce(
                rows[column].cast("string"), ibis.literal("trace ").concat(rows.trace_id)
            ),
            many=many,
            w=weight * many,
            wf=weight * many * failure,
            w2=weight * weight * many,
            w2f=weight * weight * many * failure,
        )
        .group_by(["eval", "model", "cluster"])
        .aggregate(
            rows=lambda t: t.many.sum(),
            n=lambda t: t.w.sum(),
            k=lambda t: t.wf.sum(),
            w2=lambda t: t.w2.sum(),
            w2f=lambda t: t.w2f.sum(),
        )
    )
    return by_cluster.group_by(["eval", "model"]).aggregate(
        clusters=by_cluster.count(),
        most=by_cluster.rows.max(),
        n=by_cluster.n.sum(),
        k=by_cluster.k.sum(),
        nn=(by_cluster.n * by_cluster.n).sum(),
        nk=(by_cluster.n * by_cluster.k).sum(),
        kk=(by_cluster.k * by_cluster.k).sum(),
        w2=by_cluster.w2.sum(),
        w2f=by_cluster.w2f.sum(),
    )


def _effect(sums: Mapping[str, Any]) -> float:
    if not sums["n"]:
        return 1.0
    p = sums["k"] / sums["n"]
    clustered = sums["kk"] - 2 * p * sums["nk"] + p * p * sums["nn"]
    independent = sums["w2f"] * (1 - 2 * p) + p * p * sums["w2"]
    return float(clustered / independent) if independent > 0 else 1.0
