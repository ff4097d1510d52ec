"""How findings are printed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_otel.diagnostics.findings import Findings, redacted

NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=6, max_size=12)


@given(user=NAMES, password=NAMES, key=NAMES)
def test_no_url_shows_its_secrets(user, password, key):
    """User, password and query string of a URL are shown nowhere."""
    secret = {user: "u-" + user, password: "p-" + password, key: "k-" + key}
    u, p, k = secret[user], secret[password], secret[key]
    findings = Findings()
    url = f"https://{u}:{p}@host:4318/v1?key={k}"
    findings.add_fact("target", "Spans go to", f"{url} (x)")
    findings.add_problem(f"{url}: refused", f"write {url}")
    findings.add_note(f"see {url}")
    shown = findings.as_text("t", 100) + str(findings.as_json())
    assert all(word not in shown for word in (u, p, k))
    assert "https://host:4318/v1" in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot be 'http://u:p@h:1/x?k=v': write", "cannot be 'http://h:1/x': write"),
        ("http://[::1:4318", "http://[::1:4318"),
        ("http://[::1:4318?key=k", "http://..."),
        ("no address at all?", "no address at all?"),
    ],
)
def test_removes_only_secrets(text, shown):
    """The text around a URL stays unchanged."""
    assert redacted(text) == shown


def test_aligns_and_counts():
    """Values start in one column, and each problem is one line however long."""
    findings = Findings()
    findings.add_fact(
        "a", "First", "one two three four five six seven eight nine ten eleven twelve"
    )
    findings.add_fact("b", "Second", "short")
    findings.add_problem("w" * 200, "Fix it")
    lines = findings.as_text("title", 60).splitlines()
    assert lines[0] == "title: 1 problem found"
    assert lines[2].startswith("First          one")
    assert lines[3].startswith("               ")
    assert lines[-1] == f"  1. {'w' * 200}. Fix it."


def test_json_keeps_the_former_keys_of_a_problem():
    """`what` and `mend` have the same texts as `message` and `fix`."""
    findings = Findings()
    findings.add_problem("it is wrong", "Fix it")
    assert findings.as_json()["problems"] == [
        {"message": "it is wrong", "fix": "Fix it", "what": "it is wrong", "mend": "Fix it"}
    ]
