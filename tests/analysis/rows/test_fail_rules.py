"""Rules for failed evaluations, as they are written."""

from __future__ import annotations

import pytest

from keras_otel.analysis.rows.fail_rules import FailRule
from keras_otel.errors import SourceError


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        (
            "faithfulness: score<0.5",
            FailRule(name="faithfulness", field="score", operator="<", bound=0.5),
        ),
        ("a:score >= 1e3", FailRule(name="a", field="score", operator=">=", bound=1000.0)),
        (
            "is it: so: label=no",
            FailRule(name="is it: so", field="label", operator="==", bound="no"),
        ),
        ("a: label != yes", FailRule(name="a", field="label", operator="!=", bound="yes")),
    ],
)
def test_rules(written, rule):
    """A name, what is compared, how, and with what."""
    assert FailRule.parse(written) == rule


@pytest.mark.parametrize(
    "written", ["", "score<0.5", "a: score", "a: score<low", "a: score<nan", "a: label<b", "a: x<1"]
)
def test_what_is_no_rule(written):
    """The error shows the rule and how one is written."""
    with pytest.raises(SourceError, match=r"write it as 'faithfulness: score<0\.5'"):
        FailRule.parse(written)
