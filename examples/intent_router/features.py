"""Text as numbers: which words, pairs of words and parts of words it has.

A hash says which column a part belongs to, so that there is no vocabulary to keep with the model,
and the model runs on every backend.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

COLUMNS = 4096
_PART = 4  # letters of a part of a word: "psychology" and "psychologist" share most of theirs


def features(texts: Sequence[str]) -> np.ndarray:
    """One row of unit length for each text: (texts, 4096), float32."""
    rows = np.zeros((len(texts), COLUMNS), "float32")
    for row, text in zip(rows, texts, strict=True):
        row[[zlib.crc32(part.encode()) % COLUMNS for part in _parts(text)]] = 1
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1)


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return re.findall(r"[a-z0-9']+", text.lower())


def _parts(text: str) -> Iterator[str]:
    single = words(text)
    yield from single
    yield from (f"{first} {second}" for first, second in pairwise(single))
    for word in single:
        marked = f"^{word}$"
        yield from (marked[i : i + _PART] for i in range(max(len(marked) - _PART + 1, 1)))
