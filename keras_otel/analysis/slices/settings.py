"""Settings of the analysis."""

from __future__ import annotations

from dataclasses import dataclass

from keras_otel.analysis.slices.significance import Correction


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How rows are sliced.

    Attributes:
        by: Attributes whose values are listed; class, version and confidence by default.
        adjust_for: Attributes that confounding is always reported for, besides the model's version.
        min_support: Minimum number of rows in a slice; by default 30, or 0.5 % of all rows if that is more.
        max_predicates: Maximum number of predicates in a slice, 1 to 3.
        fdr: How p values are corrected for the slices tested.
        list_all: Whether all slices tested are listed, at most 500 of them.
        better: Whether slices that fail less often than the rest are reported too.
    """

    by: tuple[str, ...] = ()
    adjust_for: tuple[str, ...] = ()
    min_support: int | None = None
    max_predicates: int = 3
    fdr: Correction = "bh"
    list_all: bool = False
    better: bool = False
