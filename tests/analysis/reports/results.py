"""Results to report, made from counts: rates and intervals are computed, none is written down."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from keras_otel import semconv
from keras_otel.analysis import slice_failures
from keras_otel.analysis.result import (
    Cohort,
    EvalResult,
    Predicate,
    Slice,
    SliceResult,
    Totals,
    VersionCell,
)
from keras_otel.analysis.rows.accounting import Accounting, RowCounts
from keras_otel.analysis.rows.fixed_bins import CONFIDENCE_BINS, DURATION_BINS
from keras_otel.analysis.rows.predictions import PredictionCounts
from keras_otel.analysis.rows.verdicts import EvaluationCounts
from keras_otel.analysis.slices.intervals import risk_ratio_interval, wilson
from keras_otel.analysis.slices.significance import hypergeometric_tail

COUNTS = {
    ("v1", "refund"): (1400, 112),
    ("v1", "billing"): (1000, 90),
    ("v1", "cancel"): (600, 48),
    ("v2", "refund"): (1365, 423),
    ("v2", "billing"): (750, 75),
    ("v2", "cancel"): (450, 36),
}
"""Rows and failures by version and class."""

HOSTILE = (
    "</title><script>alert(1)</script><img src=x onerror=alert(2)> &amp; \"'`|*_[x](http://x.test)"
)
LONG = "a_very_long_class_name_" * 12
UNICODE = "返金 Ärger كلمة 🙂"


def interval(ends):
    return float(ends[0]), float(ends[1])


def cohort(by, value, n, failed):
    rate = failed / n if n else 0.0
    return Cohort(
        by=by, value=value, n=n, failed=failed, rate=rate, ci=interval(wilson(rate, max(n, 1)))
    )


def a_slice(predicates, counts, everything, **changes):
    """A slice from its rows and failures and those of all rows."""
    (n, failed), (rows, all_failed) = counts, everything
    rest, failed_rest = rows - n, all_failed - failed
    rate, rate_rest = failed / n, failed_rest / rest
    p = float(hypergeometric_tail(failed, n, all_failed, rows))
    fields = {
        "predicates": tuple(Predicate(attribute=key, value=value) for key, value in predicates),
        "n": n,
        "failed": failed,
        "rate": rate,
        "ci": interval(wilson(rate, n)),
        "rate_rest": rate_rest,
        "risk_difference": rate - rate_rest,
        "risk_ratio": rate / rate_rest if rate_rest else float("inf"),
        "risk_ratio_ci": interval(risk_ratio_interval(failed, n, failed_rest, rest)),
        "excess_failures": failed - n * rate_rest,
        "excess_failures_lower": max(0.0, n * (interval(wilson(rate, n))[0] - rate_rest)),
        "share_of_failures": (failed - n * rate_rest) / all_failed,
        "p": p,
        "q": p,
        "significant": True,
        "example_trace_ids": tuple(f"{n:016x}{number:016x}" for number in range(1, 6)),
    }
    return Slice(**{**fields, **changes})


def by(place, counts):
    """Counts added up by version (0) or class (1)."""
    sums = {}
    for key, (n, failed) in counts.items():
        before = sums.get(key[place], (0, 0))
        sums[key[place]] = (before[0] + n, before[1] + failed)
    return sums


def everything(counts):
    return sum(n for n, _ in counts.values()), sum(failed for _, failed in counts.values())


def family(counts=COUNTS, slices=(), **changes):
    """One evaluation from counts by version and class; confidence and latency spread over all bins."""
    rows, failed = everything(counts)
    cohorts = [
        cohort(attribute, value, *pair)
        for place, attribute in ((1, semconv.PREDICTION_CLASS), (0, semconv.MODEL_VERSION))
        for value, pair in by(place, counts).items()
    ]
    cells = [
        VersionCell(
            version=version, attribute=semconv.PREDICTION_CLASS, value=value, n=n, failed=failed_
        )
        for (version, value), (n, failed_) in counts.items()
    ]
    for attribute, bins in (
        (semconv.CONFIDENCE_BIN, CONFIDENCE_BINS),
        (semconv.DURATION_BIN, DURATION_BINS[1:7]),
    ):
        cells += [
            VersionCell(
                version=version,
                attribute=attribute,
                value=each,
                n=n // len(bins),
                failed=failed_ // len(bins),
            )
            for version, (n, failed_) in by(0, counts).items()
            for each in bins
        ]
    fields = {
        "eval": "answer_correct",
        "model": "intent",
        "rows": rows,
        "failed": failed,
        "rate": failed / rows if rows else 0.0,
        "slices_tested": 41 if 0 < failed < rows else 0,
        "cohorts": tuple(cohorts),
        "slices": tuple(slices),
        "plot_cohorts": tuple(cohorts),
        "version_cells": tuple(cells),
    }
    return EvalResult(**{**fields, **changes})


def result(*families, warnings=(), accounting=None):
    """A result whose totals are those of its evaluations."""
    rows, failed = sum(f.rows for f in families), sum(f.failed for f in families)
    return SliceResult(
        totals=Totals(
            rows=rows,
            failed=failed,
            rate=failed / rows if rows else 0.0,
            evaluated_traces=rows,
            traces=rows + 100,
            errors=7,
            weighted=False,
        ),
        evals=tuple(families),
        warnings=tuple(warnings),
        accounting=accounting,
    )


def normal():
    """A planted slice, a confounded one, warnings and accounts."""
    total = everything(COUNTS)
    found = [
        a_slice(
            [(semconv.MODEL_VERSION, "v2"), (semconv.PREDICTION_CLASS, "refund")],
            COUNTS["v2", "refund"],
            total,
        ),
        a_slice(
            [(semconv.CONFIDENCE_BIN, "[0.5,0.6)")],
            (600, 150),
            total,
            confounded_by=(semconv.MODEL_VERSION,),
        ),
    ]
    return result(
        family(slices=found),
        warnings=["silent retrain: version v2 of model intent has 2 fingerprints"],
        accounting=accounts(total[0]),
    )


def accounts(rows):
    return Accounting(
        predictions=PredictionCounts(
            spans=rows + 160, duplicates=12, failed=1, batches=40, usable=rows + 107
        ),
        evaluations=EvaluationCounts(
            deliveries=rows + 32, duplicates=20, same_trace=1, counted=rows + 11
        ),
        rows=RowCounts(
            triples=rows + 107,
            evaluated=rows,
            errors=7,
            not_evaluated=94,
            ambiguous=4,
            after=2,
            several=70,
            from_keys=1,
            traces=rows + 100,
            evaluated_traces=rows,
            answered=rows + 2,
        ),
    )


def with_value(value):
    """The normal result with one class renamed, also in its slice, eval, model and warning."""
    counts = {(version, value if c == "refund" else c): n for (version, c), n in COUNTS.items()}
    found = a_slice(
        [(semconv.PREDICTION_CLASS, value), (value, value)],
        by(1, counts)[value],
        everything(counts),
        confounded_by=(value,),
        example_trace_ids=(value,),
    )
    return result(family(counts, [found], eval=value, model=value), warnings=[f"about {value}"])


def many_slices(number=30):
    """More slices and classes than a comment or a plot has room for."""
    counts = {("v1", f"class-{each:02}"): (100 + each, 10 + each % 7) for each in range(number)}
    total = everything(counts)
    found = [
        a_slice([(semconv.PREDICTION_CLASS, value)], pair, total)
        for (_, value), pair in counts.items()
    ]
    return result(family(counts, found))


@cache
def answers(rows=3000):
    """Rows of answers: a class that one version fails on, low confidence, names of every kind."""
    random = np.random.default_rng(7)
    classes = random.choice(
        ["refund", HOSTILE, UNICODE, LONG, "a,b&c=d"], rows, p=[0.4, 0.2, 0.2, 0.1, 0.1]
    )
    versions = random.choice(["v1", "v2", "v10"], rows, p=[0.5, 0.4, 0.1])
    confidences = random.choice(CONFIDENCE_BINS, rows)
    rate = np.where((classes == "refund") & (versions == "v2"), 0.4, 0.08)
    rate += np.where(np.isin(confidences, CONFIDENCE_BINS[:3]), 0.1, 0)
    return pd.DataFrame(
        {
            "wrong": random.random(rows) < rate,
            semconv.PREDICTION_CLASS: classes,
            semconv.MODEL_VERSION: versions,
            semconv.CONFIDENCE_BIN: confidences,
            semconv.DURATION_BIN: random.choice(DURATION_BINS[:5], rows),
            "tier": random.choice(["pro", "free", None], rows),
            "letter": random.choice(list("abcdefghijklmnopqrst"), rows),
        }
    )


@cache
def sliced():
    """Sliced from rows, so that the page has their cells."""
    return slice_failures(answers(), failed="wrong")


RESULTS = {
    "sliced": sliced,
    "normal": normal,
    "no evaluation": result,
    "no row": lambda: result(family({})),
    "one class": lambda: result(family({("v1", "refund"): (500, 50)})),
    "all failed": lambda: result(family({("v1", "a"): (60, 60), ("v2", "b"): (40, 40)})),
    "none failed": lambda: result(family({("v1", "a"): (60, 0), ("v2", "b"): (40, 0)})),
    "one row": lambda: result(family({("v1", "a"): (1, 1)})),
    "nothing found": lambda: result(family()),
    "nothing tested": lambda: result(family(slices_tested=0)),
    "long names": lambda: with_value(LONG),
    "unicode": lambda: with_value(UNICODE),
    "hostile": lambda: with_value(HOSTILE),
    "dollars": lambda: with_value(r"$\frac{a}$ and $b$"),
    "many slices": many_slices,
    "two evaluations": lambda: result(family(), family(eval="faithfulness", model="toxicity")),
}
"""Every shape of result that a report must bear."""
