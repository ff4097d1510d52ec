"""What was read and what was left out."""

from __future__ import annotations

import re
from dataclasses import replace

from keras_otel.analysis.reports.accounting_lines import accounting_lines
from tests.analysis.reports.results import family, normal, result


def test_numbers_add_up():
    """In each line, what was used and what was left out are all that was read."""
    lines = list(accounting_lines(normal()))[:3]

    for line in lines:
        read, *parts = (int(n.replace(",", "")) for n in re.findall(r"\d[\d,]*(?= )", line))
        assert read == sum(parts)


def test_ready_rows_have_no_account():
    """Rows that came ready were not joined by us."""
    assert list(accounting_lines(result(family()))) == []


def test_weights_are_mentioned():
    """A weighted rate is not the quotient of the counts beside it: the report says why."""
    plain = result(family())
    weighted = replace(plain, totals=replace(plain.totals, weighted=True))

    assert list(accounting_lines(weighted)) == [
        "Rates are weighted by the sampling probability of each trace."
    ]
