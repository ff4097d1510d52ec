"""Heads: what kind of output a model has, and how certain its scale is."""

from __future__ import annotations

import enum
from dataclasses import dataclass

DEFAULT_THRESHOLD = 0.5


class Scale(enum.Enum):
    """What the numbers of a classification head are."""

    PROBABILITY = "probability"
    """Known from the model itself: a softmax or sigmoid made them."""
    LOGIT = "logit"
    """Known from the model itself: a linear layer made them."""
    HINGE = "hinge"
    """Known from the loss: the largest score, or the sign of the only one, is the class."""
    UNKNOWN = "unknown"
    """Only the values can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiclass:
    """One class of several; a row has one column for each."""

    labels: tuple[str, ...] | None = None
    scale: Scale = Scale.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """Class 1 against class 0; a row has one column, the score of class 1."""

    labels: tuple[str, ...] | None = None
    scale: Scale = Scale.UNKNOWN
    threshold: float = DEFAULT_THRESHOLD


@dataclass(frozen=True, slots=True, kw_only=True)
class Multilabel:
    """Any number of labels; a row has one column for each. One threshold, or one per label."""

    labels: tuple[str, ...] | None = None
    scale: Scale = Scale.UNKNOWN
    thresholds: tuple[float, ...] = (DEFAULT_THRESHOLD,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """A class for each position of a row: each token of a text, each pixel of an image.

    Attributes:
        inner: The head that each position is read with.
    """

    inner: Multiclass | Binary | Multilabel


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression:
    """A number for each row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """A vector for each row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undetermined:
    """Only the values are known: rows that are probabilities are classes, others are opaque."""

    labels: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opaque:
    """An output that cannot be read, and why."""

    reason: str


Head = Multiclass | Binary | Multilabel | Sequence | Regression | Embedding | Undetermined | Opaque
