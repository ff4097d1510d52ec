"""Sums over the rows of many slices at a time: all that rates, intervals and tests need.

Rows of one cluster depend on one another, so that variances need the squares of the sums over each cluster.
Without clusters each row is a cluster of its own, and these are sums of squared weights.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from keras_otel.analysis.aggregation.arrays import Codes, Floats
from keras_otel.analysis.aggregation.cells import Cells, totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Sums over the rows of S slices; n_i and k_i are a cluster's weighted rows and failures.

    Attributes:
        rows: [S], number of rows.
        failed: [S], number of rows that failed.
        n: [S], sum of weights.
        k: [S], sum of the weights of failures.
        squares: [S], sum of squared weights.
        clusters: [S], number of clusters with a row in the slice.
        nn: [S], sum of n_i n_i; n_i and k_i are of the cluster's part in the slice.
        nk: [S], sum of n_i k_i.
        kk: [S], sum of k_i k_i.
        n_all: [S], sum of n_i N_i; N_i and K_i are of the whole cluster.
        k_all: [S], sum of k_i N_i.
        n_fails: [S], sum of n_i K_i.
        k_fails: [S], sum of k_i K_i.
    """

    rows: Floats
    failed: Floats
    n: Floats
    k: Floats
    squares: Floats
    clusters: Floats
    nn: Floats
    nk: Floats
    kk: Floats
    n_all: Floats
    k_all: Floats
    n_fails: Floats
    k_fails: Floats

    def flipped(self) -> Self:
        """Return the sums with failures and successes swapped."""
        return replace(
            self,
            failed=self.rows - self.failed,
            k=self.n - self.k,
            nk=self.nn - self.nk,
            kk=self.nn - 2 * self.nk + self.kk,
            k_all=self.n_all - self.k_all,
            n_fails=self.n_all - self.n_fails,
            k_fails=self.n_all - self.n_fails - self.k_all + self.k_fails,
        )

    def select(self, chosen: npt.ArrayLike) -> Self:
        """Return the sums of some of the slices."""
        return type(self)(**{f.name: getattr(self, f.name)[chosen] for f in fields(self)})

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of_rows(cls, rows: Floats, failed: Floats) -> Sums:
        """Return the sums of independent rows that all have weight 1, [S]."""
        of_failures = dict.fromkeys(("nk", "kk", "k_all", "n_fails", "k_fails"), failed)
        of_rows = dict.fromkeys(("squares", "clusters", "nn", "n_all"), rows)
        return Sums(rows=rows, failed=failed, n=rows, k=failed, **of_rows, **of_failures)

    @classmethod
    def concatenated(cls, parts: list[Sums]) -> Sums:
        """Concatenate the sums of several sets of slices."""
        return Sums(
            **{
                f.name: np.concatenate([getattr(part, f.name) for part in parts])
                if parts
                else np.zeros(0)
                for f in fields(Sums)
            }
        )


class Summing:
    """The sums over any grouping of cells.

    Args:
        cells: The cells of all rows.
    """

    def __init__(self, cells: Cells) -> None:
        self._cells = cells
        self._n_of_cluster: Floats = np.zeros(0)
        self._k_of_cluster: Floats = np.zeros(0)
        if cells.clusters is not None:
            count = int(cells.clusters.max(initial=-1)) + 1
            n = totals(cells.clusters, cells.weight, count)
            k = totals(cells.clusters, cells.failed_weight, count)
            self._n_of_cluster, self._k_of_cluster = n[cells.clusters], k[cells.clusters]
        self.all = self.by(np.zeros(len(cells.rows), dtype=np.int64), 1)

    def by(self, groups: Codes, count: int) -> Sums:
        """Add up the rows of each group.

        Args:
            groups: [C], the group of each cell.
            count: Number of groups.
        """
        cells = self._cells

        def total(values: Floats) -> Floats:
            return totals(groups, values, count)

        squares = total(cells.weight_squares)
        counted: dict[str, Floats] = {
            "rows": total(cells.rows),
            "failed": total(cells.failed),
            "squares": squares,
        }
        if not cells.is_weighted:
            counted["n"], counted["k"] = counted["rows"], counted["failed"]
        else:
            counted["n"], counted["k"] = total(cells.weight), total(cells.failed_weight)
        if cells.clusters is None:
            failures = counted["failed"] if not cells.is_weighted else total(cells.failed_squares)
            by_cluster = {"clusters": counted["rows"], "nn": squares, "n_all": squares}
            by_cluster |= dict.fromkeys(("nk", "kk", "k_all", "n_fails", "k_fails"), failures)
        else:
            by_cluster = self._by_cluster(groups, cells.clusters, count)
        return Sums(**counted, **by_cluster)

    def _by_cluster(self, groups: Codes, clusters: Codes, count: int) -> dict[str, Any]:
        """Add up squares and products of the sums over each cluster within each group."""
        cells = self._cells
        has_rows = cells.rows > 0
        pairs = groups[has_rows] * (int(clusters.max(initial=0)) + 1) + clusters[has_rows]
        order = np.argsort(pairs, kind="stable")
        starts = np.flatnonzero(np.diff(pairs[order], prepend=-1))
        weight, failed = cells.weight[has_rows], cells.failed_weight[has_rows]
        n = np.add.reduceat(weight[order], starts) if starts.size else np.zeros(0)
        k = np.add.reduceat(failed[order], starts) if starts.size else np.zeros(0)
        first = order[starts]
        group = groups[has_rows][first]
        n_all, k_all = self._n_of_cluster[has_rows][first], self._k_of_cluster[has_rows][first]

        def total(values: Floats) -> Floats:
            return totals(group, values, count)

        return {
            "clusters": total(np.ones(len(group))),
            "nn": total(n * n),
            "nk": total(n * k),
            "kk": total(k * k),
            "n_all": total(n * n_all),
            "k_all": total(k * n_all),
            "n_fails": total(n * k_all),
            "k_fails": total(k * k_all),
        }
