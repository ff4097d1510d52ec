"""Frozen records: what the parts of keras_otel hand to one another.

`Decoded` and `Inference` are made at every inference and are named tuples: making one takes a
third of the time of a frozen dataclass. Read them by name only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple

Task = Literal[
    "multiclass", "binary", "multilabel", "sequence", "regression", "embedding", "opaque"
]
TASKS: tuple[Task, ...] = (
    "multiclass",
    "binary",
    "multilabel",
    "sequence",
    "regression",
    "embedding",
    "opaque",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """Which model this is.

    Attributes:
        name: The model's name.
        version: Its version label, or the fingerprint where no label is known; None only while
            the fingerprint of a large model is still being computed.
        fingerprint: `sha256:` and 12 hex digits over architecture and weights; None until computed.
        version_conflict: True if this version label was seen with another fingerprint.
        number: Tells the models of one process apart, also two with one name; it says nothing
            elsewhere, and is not compared. 0 where it is not known.
    """

    name: str
    version: str | None = None
    fingerprint: str | None = None
    version_conflict: bool = False
    number: int = field(default=0, compare=False, repr=False)

    def is_other_than(self, earlier: ModelIdentity) -> bool:
        """Return True for another model of the same name, and not a copy of the same weights."""
        if 0 in (self.number, earlier.number) or self.number == earlier.number:
            return False
        return self.fingerprint is None or self.fingerprint != earlier.fingerprint

    def is_version_beside(self, earlier: ModelIdentity) -> bool:
        """Return True for two models that somebody named as two versions of one."""
        labels = {self.version, earlier.version}
        return len(labels) == 2 and labels.isdisjoint({None, self.fingerprint, earlier.fingerprint})


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What one row of one output says.

    Attributes:
        task: The kind of head that was read.
        class_name: Label of the predicted class (multiclass, binary).
        class_id: Its index.
        confidence: Probability of that class, in [0, 1]; None where the output is no probability.
        margin: First minus second probability (multiclass).
        value: The predicted value (regression).
        labels: Labels over their threshold (multilabel).
        dimension: Length of the vector (embedding).
        norm: Euclidean norm of the vector (embedding).
    """

    task: Task
    class_name: str | None = None
    class_id: int | None = None
    confidence: float | None = None
    margin: float | None = None
    value: float | None = None
    labels: tuple[str, ...] | None = None
    dimension: int | None = None
    norm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamPrediction:
    """A prediction made earlier in the same request, as later spans see it.

    Plain values only: it can be pickled, queued and compared, and one that you write yourself is
    as good as one of ours.

    Attributes:
        model: Name of the model; `model.output` for one output of a model with several.
        version: The model's version; None while it is not known.
        class_name: Label of the predicted class (multiclass, binary).
        confidence: Probability of that class, in [0, 1]; None where the output is no probability.
        value: The predicted value (regression).
        labels: Labels over their threshold (multilabel).
        trace_id: Trace of the inference span; None where it is not known.
        span_id: The inference span itself.
    """

    model: str
    version: str | None = None
    class_name: str | None = None
    confidence: float | None = None
    value: float | None = None
    labels: tuple[str, ...] | None = None
    trace_id: int | None = None
    span_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A verdict on an LLM answer.

    Attributes:
        name: What was judged, such as `faithfulness`.
        score: A finite number; its range and direction are the evaluator's own.
        passed: Whether the answer is good enough; None where the evaluator does not say.
        label: The verdict in a word; `pass` or `fail` where only `passed` is known.
        explanation: Why.
        error_type: What kept the evaluator from a verdict; there is no score, label or `passed`
            then.
    """

    name: str
    score: float | None = None
    passed: bool | None = None
    label: str | None = None
    explanation: str | None = None
    error_type: str | None = None


class Decoded(NamedTuple):
    """One output of one inference, read column by column; row i is element i of each tuple.

    The tuples hold every row for up to `max_rows` rows, and are empty beyond that; the summary
    fields cover all rows.

    Attributes:
        task: The kind of head that was read.
        rows: Number of rows in the batch.
        output: Name of the output; None where the model has only one.
        classes: Label of the predicted class of each row.
        class_ids: Its index, of each row.
        confidences: Probability of that class, of each row.
        margin: First minus second probability; one row only.
        value: The predicted value; one row only.
        labels: Labels over their threshold; one row only.
        dimension: Length of an embedding.
        norm: Euclidean norm of an embedding; one row only.
        confidence_mean: Mean confidence over all rows, or all positions of a sequence.
        confidence_min: Least confidence over all rows, or all positions of a sequence.
        class_counts: Number of rows of each class, over all rows.
        position_counts: (class, positions) of a sequence, most frequent first; one row only.
        confidence_sample: (class, confidence) of the rows that stand for the batch in a histogram.
        opaque_reason: Why something could not be read; None where everything was.
    """

    task: Task
    rows: int
    output: str | None = None
    classes: tuple[str, ...] = ()
    class_ids: tuple[int, ...] = ()
    confidences: tuple[float, ...] = ()
    margin: float | None = None
    value: float | None = None
    labels: tuple[str, ...] | None = None
    dimension: int | None = None
    norm: float | None = None
    confidence_mean: float | None = None
    confidence_min: float | None = None
    class_counts: Mapping[str, int] = MappingProxyType({})
    position_counts: tuple[tuple[str, int], ...] = ()
    confidence_sample: tuple[tuple[str, float], ...] = ()
    opaque_reason: str | None = None

    def prediction(self, row: int) -> Prediction:
        """What row `row` says.

        Raises:
            IndexError: The batch has no such row, or was too large to keep its rows.
        """
        kept = max(len(self.classes), 1 if self.rows == 1 else 0)
        if not 0 <= row < kept:
            raise IndexError(f"row {row} of a batch of {self.rows} rows is not kept")
        return Prediction(
            task=self.task,
            class_name=self.classes[row] if self.classes else None,
            class_id=self.class_ids[row] if self.class_ids else None,
            confidence=self.confidences[row] if self.confidences else None,
            margin=self.margin,
            value=self.value,
            labels=self.labels,
            dimension=self.dimension,
            norm=self.norm,
        )


class Inference(NamedTuple):
    """One concrete, outermost call of a model outside training.

    Attributes:
        operation: `predict`, `predict_on_batch`, `call` or `traced`.
        identity: Which model was called.
        model_class: Name of the model's class.
        runtime: `keras` or `tf_keras`.
        backend: Name of the Keras backend.
        start_ns: Start, nanoseconds since the epoch.
        duration_s: Duration of the call alone, seconds.
        rows: Rows in the batch; None where the output has no batch dimension to read.
        cold: True for the first call of this function (tracing, compiling).
        outputs: What each output says.
        error: What the call raised; None on success.
    """

    operation: str
    identity: ModelIdentity
    model_class: str
    runtime: str
    backend: str
    start_ns: int
    duration_s: float
    rows: int | None
    cold: bool
    outputs: tuple[Decoded, ...] = ()
    error: BaseException | None = None
