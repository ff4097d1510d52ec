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
    findings.fact("target", "Spans go to", f"{url} (x)")
    findings.wrong(f"{url}: refused", f"write {url}")
    findings.note(f"see {url}")
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
def test_takes_only_secrets_out(text, shown):
    """What is around an address stays as it is."""
    assert redacted(text) == shown


def test_aligns_and_counts():
    """Values start in one column, and each problem is one line however long."""
    findings = Findings()
    findings.fact("a", "First", "one two three four five six seven eight nine ten eleven twelve")
    findings.fact("b", "Second", "short")
    findings.wrong("w" * 200, "Mend it")
    lines = findings.as_text("title", 60).splitlines()
    assert lines[0] == "title: 1 thing wrong"
    assert lines[2].startswith("First          one")
    assert lines[3].startswith("               ")
    assert lines[-1] == f"  1. {'w' * 200}. Mend it."
