"""Ready rows as cells and sums, and the independent answers to hold them to."""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa

from keras_otel.analysis.aggregation.cells import Cells, cells_by_family
from keras_otel.analysis.aggregation.features import features_of


def frame(rows: int, *, seed: int, features: int = 4, values: int = 3) -> pd.DataFrame:
    """Random rows: features `f0`..., `failed`, `weight` and `cluster`."""
    rng = np.random.default_rng(seed)
    columns = {
        f"f{n}": np.char.add("v", rng.integers(0, values, rows).astype(str))
        for n in range(features)
    }
    return pd.DataFrame(
        {
            **columns,
            "failed": rng.random(rows) < 0.2,
            "weight": rng.choice([1.0, 2.0, 4.0, 1.5], rows),
            "cluster": np.char.add("c", rng.integers(0, max(rows // 6, 1), rows).astype(str)),
        }
    )


def cells_of(
    data: pd.DataFrame, features: Sequence[str], *, weighted: bool = False, clustered: bool = False
) -> Cells:
    """The cells of rows of one family."""
    table = table_of(data, weighted=weighted)
    chosen = features_of(table, features, features, support=30).features
    ((_, _, cells),) = cells_by_family(table, chosen, is_clustered=clustered, is_weighted=weighted)
    return cells


def table_of(data: pd.DataFrame, *, weighted: bool = False) -> ir.Table:
    """Rows of one family as a table."""
    connection = ibis.duckdb.connect()
    return connection.create_table(
        "given",
        pa.Table.from_pandas(
            data.assign(
                model="m",
                eval="e",
                error=False,
                count=1,
                trace_id=[f"{n:08d}" for n in range(len(data))],
                weight=data["weight"] if weighted else 1.0,
            ),
            preserve_index=False,
        ),
    )
