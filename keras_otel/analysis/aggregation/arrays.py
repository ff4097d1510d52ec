"""Types of the arrays that slices are computed with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
"""Sums, rates and other numbers."""

Codes = npt.NDArray[np.int64]
"""Indices of values, clusters or groups."""

Mask = npt.NDArray[np.bool_]
"""Which cells or slices are selected."""
