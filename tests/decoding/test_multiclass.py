"""One class of several."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_otel.decoding.decode import NOT_FINITE, decode
from keras_otel.decoding.heads import Multiclass, Scale
from keras_otel.decoding.multiclass import ALL_ZERO
from tests.decoding.strategies import (
    EXTENSION_DTYPES,
    matrices,
    patient,
    probabilities,
    scales,
    softmax,
    softmaxes,
)

PROBABILITY = Multiclass(scale=Scale.PROBABILITY)
LOGIT = Multiclass(scale=Scale.LOGIT)
UNKNOWN = Multiclass(scale=Scale.UNKNOWN)
NAMES = ("refund", "order", "other")
ROW = np.array([[0.2, 0.7, 0.1]])


@given(matrices(max_columns=80))
@patient
def test_logits_batch_is_the_loop_over_its_rows(scores):
    """A batch of logits says of each row what the row alone says."""
    batch = decode(LOGIT, scores)
    alone = [decode(LOGIT, scores[i : i + 1]) for i in range(len(scores))]

    assert batch.classes == tuple(one.classes[0] for one in alone)
    assert batch.class_ids == tuple(one.class_ids[0] for one in alone)
    assert batch.confidences == pytest.approx([one.confidences[0] for one in alone], rel=1e-5)


@given(probabilities(max_columns=80), st.sampled_from([PROBABILITY, UNKNOWN]))
@patient
def test_probabilities_batch_is_the_loop_over_its_rows(rows, head):
    """A batch of probabilities says of each row what the row alone says."""
    batch = decode(head, rows)
    alone = [decode(head, rows[i : i + 1]) for i in range(len(rows))]

    assert batch.class_ids == tuple(one.class_ids[0] for one in alone)
    assert batch.confidences == tuple(one.confidences[0] for one in alone)
    assert [one.margin for one in alone] == pytest.approx(
        [np.diff(np.partition(row, -2)[-2:])[0] for row in rows]
    )


@given(matrices(dtype=np.float64, max_columns=80))
@patient
def test_confidence_is_the_largest_softmax(scores):
    """The confidence of logits is their largest softmax, as computed one by one in float64."""
    reference = softmaxes(scores)

    decoded = decode(LOGIT, scores)

    assert reference.sum(axis=1) == pytest.approx(1.0)
    assert decoded.confidences == pytest.approx(reference.max(axis=1), rel=1e-12)
    assert decoded.class_ids == tuple(scores.argmax(axis=1))
    assert decoded.confidence_mean is None or decoded.confidence_mean == pytest.approx(
        reference.max(axis=1).mean()
    )
    assert decoded.confidence_min is None or decoded.confidence_min == pytest.approx(
        reference.max(axis=1).min()
    )


@given(matrices(dtype=np.float64, max_columns=80, max_rows=1))
@patient
def test_margin_of_logits_is_the_difference_of_the_two_largest(scores):
    """The margin of one row of logits is the first minus the second probability."""
    second, first = sorted(softmax(scores[0]))[-2:]

    assert decode(LOGIT, scores).margin == pytest.approx(first - second, abs=1e-12)


@given(matrices(max_rows=4), st.data())
@patient
def test_permuting_columns_and_labels_changes_no_class(scores, data):
    """Columns and labels in another order name the same classes with the same confidence."""
    columns = scores.shape[1]
    labels = tuple("abcdefgh"[:columns])
    order = data.draw(st.permutations(range(columns)))

    straight = decode(Multiclass(labels=labels, scale=Scale.LOGIT), scores)
    permuted = decode(
        Multiclass(labels=tuple(labels[i] for i in order), scale=Scale.LOGIT), scores[:, order]
    )

    for row, one, other in zip(scores.tolist(), straight.classes, permuted.classes, strict=True):
        assert one == other or row.count(max(row)) > 1  # of equal scores the first is taken
    assert permuted.confidences == pytest.approx(straight.confidences, rel=1e-5)


@given(matrices(dtype=np.float64), st.floats(-100, 100))
@patient
def test_a_constant_added_to_logits_changes_nothing(scores, constant):
    """Softmax knows only differences."""
    straight, shifted = decode(LOGIT, scores), decode(LOGIT, scores + constant)

    for row, one, other in zip(scores, straight.class_ids, shifted.class_ids, strict=True):
        assert row[one] == pytest.approx(row[other], abs=1e-9)  # rounding may make a tie
    assert shifted.confidences == pytest.approx(straight.confidences, rel=1e-9)


@given(
    st.lists(
        st.lists(st.sampled_from([-1e4, -50.0, 0.0, 50.0, 1e4, -np.inf]), min_size=3, max_size=3),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from([np.float16, np.float32, np.float64]),
)
@patient
def test_extreme_and_masked_logits_stay_finite(rows, dtype):
    """Logits of ±10 000 and masked ones of -inf give a finite confidence; all masked gives none."""
    scores = np.array(rows, dtype=dtype)
    is_masked = np.isneginf(scores).all(axis=1)

    decoded = decode(LOGIT, scores)

    if is_masked.all():
        assert decoded.opaque_reason == NOT_FINITE
        assert not decoded.class_counts
    elif is_masked.any():
        assert decoded.opaque_reason == f"{is_masked.sum()} of {len(rows)} rows are NaN or infinite"
    else:
        assert all(1 / 3 - 1e-6 <= c <= 1.0 for c in decoded.confidences)
        assert len(decoded.confidences) == len(rows)


def test_labels_name_the_classes():
    """The label in the place of the largest score is the class."""
    decoded = decode(Multiclass(labels=NAMES, scale=Scale.PROBABILITY), ROW)

    assert decoded.task == "multiclass"
    assert decoded.prediction(0).class_name == "order"
    assert decoded.prediction(0).class_id == 1
    assert decoded.prediction(0).confidence == pytest.approx(0.7)
    assert decoded.prediction(0).margin == pytest.approx(0.5)
    assert decoded.class_counts == {"order": 1}
    assert decoded.confidence_sample == (("order", pytest.approx(0.7)),)


@pytest.mark.parametrize("labels", [NAMES[:2], (*NAMES, "more"), ()])
@pytest.mark.parametrize("rows", [1, 3])
def test_labels_that_do_not_fit_are_not_used(labels, rows):
    """With more or fewer labels than columns the id is the class: a wrong name is worse than none."""
    decoded = decode(Multiclass(labels=labels, scale=Scale.PROBABILITY), ROW.repeat(rows, axis=0))

    assert decoded.classes == ("1",) * rows
    assert decoded.class_counts == {"1": rows}


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("column", [0, 1, 2])
@pytest.mark.parametrize("head", [PROBABILITY, LOGIT, UNKNOWN])
def test_rows_that_are_not_finite_have_no_class(head, column, bad, rows):
    """Where every row holds NaN or infinity there is no class, and the reason says why."""
    array = ROW.repeat(rows, axis=0)
    array[:, column] = bad

    decoded = decode(head, array)

    assert decoded.task == "multiclass"
    assert decoded.rows == rows
    assert decoded.opaque_reason == NOT_FINITE
    assert decoded.classes == decoded.class_ids == decoded.confidences == ()
    assert decoded.class_counts == {}


@given(probabilities(min_rows=2), st.sampled_from([PROBABILITY, LOGIT, UNKNOWN]), st.data())
@patient
def test_a_batch_with_bad_rows_is_summarised_over_the_rest(rows, head, data):
    """Bad rows leave the arrays out; counts and means are those of the batch without them."""
    bad = data.draw(st.sets(st.integers(0, len(rows) - 1), min_size=1, max_size=len(rows) - 1))
    array = rows.copy()
    array[sorted(bad), 0] = np.nan

    decoded = decode(head, array)
    rest = decode(head, np.delete(rows, sorted(bad), axis=0))

    assert decoded.rows == len(rows)
    assert decoded.classes == decoded.class_ids == decoded.confidences == ()
    assert decoded.opaque_reason == f"{len(bad)} of {len(rows)} rows are NaN or infinite"
    assert decoded.class_counts == rest.class_counts
    mean, least = sum(rest.confidences) / len(rest.confidences), min(rest.confidences)
    assert decoded.confidence_mean == pytest.approx(mean)
    assert decoded.confidence_min == pytest.approx(least)


@given(matrices(max_rows=40), scales, st.integers(1, 40))
@patient
def test_class_counts_add_up_to_the_rows(scores, scale, max_rows):
    """Every row is counted in exactly one class, whether its class is listed or not."""
    scores[(scores == 0).all(axis=1)] += 1  # a row of zeros is padding
    decoded = decode(Multiclass(scale=scale), scores, max_rows=max_rows)

    assert sum(decoded.class_counts.values()) == len(scores)
    if decoded.classes:
        assert decoded.class_counts == {
            name: decoded.classes.count(name) for name in decoded.classes
        }


@pytest.mark.parametrize(("rows", "is_kept"), [(31, True), (32, True), (33, False)])
def test_batches_beyond_max_rows_are_summaries(rows, is_kept):
    """A batch of exactly `max_rows` rows is listed, one of a row more is summarised."""
    array = np.tile(ROW, (rows, 1))

    decoded = decode(PROBABILITY, array, max_rows=32)

    assert len(decoded.classes) == len(decoded.confidences) == (rows if is_kept else 0)
    assert decoded.confidence_mean == pytest.approx(0.7)
    assert decoded.confidence_min == pytest.approx(0.7)
    assert decoded.class_counts == {"1": rows}
    assert len(decoded.confidence_sample) == (rows if is_kept else 1)
    assert set(decoded.confidence_sample) == {("1", 0.7)}


def test_the_sample_of_a_large_batch_is_its_middle_row():
    """A batch beyond `max_rows` is represented by one of its rows."""
    confidence = np.linspace(0.5, 0.99, 100)
    array = np.stack([confidence, 1 - confidence], axis=1)

    sample = decode(PROBABILITY, array, max_rows=10).confidence_sample

    assert sample == (("0", confidence[50]),)


def test_classes_that_nobody_wants_are_not_counted():
    """Without metrics a large batch costs neither counts nor a sample, and keeps its summary."""
    decoded = decode(PROBABILITY, np.tile(ROW, (40, 1)), count_classes=False)

    assert decoded.class_counts == {}
    assert decoded.confidence_sample == ()
    assert decoded.confidence_mean == pytest.approx(0.7)


@pytest.mark.parametrize("rows", [1, 3])
def test_scores_of_unknown_scale_have_a_class_without_confidence(rows):
    """The largest score is the class whatever the scale, but no probability is made up."""
    scores = np.tile([[3.0, -1.0, 0.5]], (rows, 1))

    decoded = decode(UNKNOWN, scores)

    assert decoded.class_ids == (0,) * rows
    assert decoded.confidences == ()
    assert decoded.confidence_mean is None
    assert decoded.margin is None
    assert decoded.confidence_sample == ()
    assert decoded.class_counts == {"0": rows}


@pytest.mark.parametrize("rows", [1, 3])
def test_verified_probabilities_must_look_like_probabilities(rows):
    """A wrapped function's result is no probability because its model ends in a softmax."""
    raw = decode(PROBABILITY, np.tile([[3.0, -1.0, 0.5]], (rows, 1)), verify=True)
    real = decode(PROBABILITY, ROW.repeat(rows, axis=0), verify=True)

    assert raw.class_ids == (0,) * rows
    assert raw.confidences == ()
    assert real.confidences == pytest.approx((0.7,) * rows)


@pytest.mark.parametrize("rows", [1, 3])
def test_verified_logits_that_sum_to_one_are_probabilities(rows):
    """Where a wrapped function applied the softmax itself it is not applied twice."""
    array = ROW.repeat(rows, axis=0)

    assert decode(LOGIT, array, verify=True).confidences == pytest.approx((0.7,) * rows)
    assert decode(LOGIT, array).confidences == pytest.approx((max(softmax(ROW[0])),) * rows)


@pytest.mark.parametrize("rows", [1, 3])
def test_impossible_probabilities_give_no_confidence(rows):
    """A confidence outside [0, 1] is none, even where the model has a softmax."""
    decoded = decode(PROBABILITY, np.tile([[0.0, 7.0]], (rows, 1)))

    assert decoded.class_ids == (1,) * rows
    assert decoded.confidences == ()


@pytest.mark.parametrize("rows", [2, 70])
def test_huge_finite_scores_are_no_bad_rows(rows):
    """Scores whose sum overflows are still finite, each one."""
    decoded = decode(UNKNOWN, np.tile([[1e308, 1.7e308]], (rows, 1)))

    assert decoded.opaque_reason is None
    assert decoded.class_counts == {"1": rows}


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4", np.longdouble])
def test_every_float_is_read(dtype, rows):
    """Halves to long doubles of either byte order give Python's own numbers."""
    decoded = decode(PROBABILITY, ROW.repeat(rows, axis=0).astype(dtype))

    assert decoded.confidences == pytest.approx((0.7,) * rows, rel=1e-3)
    assert {type(value) for value in decoded.confidences} == {float}
    assert {type(value) for value in decoded.class_ids} == {int}
    if rows == 1:
        assert type(decoded.margin) is float
    else:
        assert type(decoded.confidence_mean) is float
        assert type(decoded.confidence_min) is float


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("dtype", EXTENSION_DTYPES)
def test_floats_that_numpy_lacks_are_read(dtype, rows):
    """bfloat16 and float8 probabilities give the class and the confidence as rounded."""
    array = np.tile([[0.25, 0.625, 0.125]], (rows, 1)).astype(dtype)

    decoded = decode(PROBABILITY, array)

    assert decoded.class_ids == (1,) * rows
    assert decoded.confidences == (0.625,) * rows


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("dtype", [np.int8, np.int64])
def test_quantised_logits_do_not_wrap(dtype, rows):
    """The differences of int8 logits do not fit in int8, and come out right all the same."""
    scores = np.tile([[100, -100, 99]], (rows, 1)).astype(dtype)

    decoded = decode(LOGIT, scores)

    assert decoded.confidences == pytest.approx((max(softmax([100, -100, 99])),) * rows)


@pytest.mark.parametrize("rows", [1, 3])
def test_one_hot_booleans_are_certain(rows):
    """One True in a row of booleans is a class of probability 1."""
    decoded = decode(UNKNOWN, np.tile([[False, True, False]], (rows, 1)))

    assert decoded.class_ids == (1,) * rows
    assert decoded.confidences == (1.0,) * rows


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8, np.uint64])
def test_an_output_of_class_ids_is_read_as_such(dtype):
    """Whole numbers of shape (rows,) are classes whose confidence nobody knows."""
    decoded = decode(Multiclass(labels=NAMES), np.array([2, 0, 2], dtype=dtype))

    assert decoded.classes == ("other", "refund", "other")
    assert decoded.confidences == ()
    assert decoded.class_counts == {"refund": 1, "other": 2}


@pytest.mark.parametrize("ids", [[0, 3], [-1, 0]])
def test_class_ids_outside_the_labels_are_opaque(ids):
    """An id that no label stands for is no class."""
    decoded = decode(Multiclass(labels=NAMES), np.array(ids))

    assert decoded.classes == ()
    assert decoded.opaque_reason == "class ids outside 0 to 2"


def test_huge_class_ids_cost_no_memory():
    """Counting an id of 10^15 takes room for one class, not for all below it."""
    decoded = decode(Multiclass(), np.array([10**15, 3, 10**15]))

    assert decoded.class_counts == {"3": 1, str(10**15): 2}


@pytest.mark.parametrize("columns", [3, 70])
def test_an_empty_batch_has_no_rows(columns):
    """No rows are no classes and no reason to complain."""
    decoded = decode(PROBABILITY, np.zeros((0, columns)))

    assert decoded.rows == 0
    assert decoded.classes == ()
    assert decoded.opaque_reason is None


@pytest.mark.parametrize("shape", [(2, 1), (2, 0), (2,)])
def test_one_column_holds_no_classes(shape):
    """A single score cannot be one class of several."""
    decoded = decode(LOGIT, np.zeros(shape))

    assert decoded.task == "opaque"
    assert decoded.opaque_reason == "one column holds no classes"
    assert decoded.rows == 2


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 1, 1, 3)])
def test_middle_axes_of_length_one_are_looked_through(shape):
    """Global pooling that keeps its axes still leaves one vector a row."""
    assert decode(PROBABILITY, ROW.reshape(shape)).classes == ("1",)


@pytest.mark.parametrize("shape", [(1, 2, 3), (1, 2, 1, 3)])
def test_many_predictions_a_row_are_opaque(shape):
    """A class for each position (token, pixel) is not one class."""
    decoded = decode(PROBABILITY, np.full(shape, 1 / 3))

    assert decoded.task == "opaque"
    assert decoded.opaque_reason == f"output of rank {len(shape)} holds many predictions a row"


def test_a_number_without_batch_dimension_is_opaque():
    """Rank 0 holds no rows."""
    decoded = decode(PROBABILITY, np.array(0.5))

    assert decoded.task == "opaque"
    assert decoded.opaque_reason == "output has no batch dimension"


@given(st.integers(0, 40))
def test_rows_that_were_kept_can_be_asked_for(rows):
    """`prediction(i)` is row i of a listed batch, and an IndexError for any other."""
    decoded = decode(PROBABILITY, np.tile(ROW, (rows, 1)), max_rows=8)

    kept = rows if rows <= 8 else 0
    assert [decoded.prediction(i).class_id for i in range(kept)] == [1] * kept
    with pytest.raises(IndexError, match=f"of a batch of {rows} rows is not kept"):
        decoded.prediction(kept)


@pytest.mark.parametrize("head", [PROBABILITY, UNKNOWN])
@pytest.mark.parametrize("columns", [3, 70])
def test_a_row_of_zeros_names_no_class(head, columns):
    """Zeros are padding: the first class of several that are equally impossible is no class."""
    decoded = decode(head, np.zeros((1, columns)))

    assert (decoded.task, decoded.classes, decoded.class_counts) == ("multiclass", (), {})
    assert decoded.opaque_reason == ALL_ZERO
    assert decode(head, np.zeros((4, columns))).opaque_reason == ALL_ZERO


def test_padding_below_detections_is_left_out():
    """Rows of zeros leave the arrays out; mean, minimum and counts are those of the other rows."""
    rows = np.vstack([ROW, ROW[:, ::-1], np.zeros((3, 3))])

    decoded = decode(PROBABILITY, rows)

    assert decoded.rows == 5
    assert (decoded.classes, decoded.confidences) == ((), ())
    assert decoded.class_counts == {"1": 2}
    assert decoded.confidence_mean == pytest.approx(0.7)
    assert decoded.opaque_reason == "3 of 5 rows are all zero"


def test_padding_and_nan_are_both_named():
    """A batch with padding and NaN says how many rows of each it holds."""
    rows = np.vstack([ROW, ROW, np.zeros((1, 3)), np.full((1, 3), np.nan)])

    assert decode(PROBABILITY, rows).opaque_reason == (
        "1 of 4 rows are all zero; 1 of 3 rows are NaN or infinite"
    )


@pytest.mark.parametrize("rows", [1, 3])
def test_logits_of_zero_are_a_tie(rows):
    """A linear layer may well give zeros; those of a wrapped function are padding."""
    zeros = np.zeros((rows, 4))

    assert decode(LOGIT, zeros).confidences == (0.25,) * rows
    assert decode(LOGIT, zeros, verify=True).opaque_reason == ALL_ZERO


@given(matrices(min_rows=1, max_rows=40, max_columns=80))
@patient
def test_hinge_scores_have_a_class_and_no_confidence(scores):
    """The largest score is the class, and nothing makes a probability of it."""
    decoded = decode(Multiclass(scale=Scale.HINGE), scores, max_rows=40)

    assert decoded.class_ids == tuple(scores.argmax(axis=1).tolist())
    assert decoded.confidences == ()
    assert decoded.confidence_mean is None
