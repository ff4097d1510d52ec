"""Addresses in texts: what is secret in them goes, and the rest stays."""

from __future__ import annotations

import json

import pytest

from keras_otel import instrument
from keras_otel._secrets import redacted
from keras_otel.analysis.reports import render_json
from keras_otel.cli import main
from keras_otel.errors import OptionError
from tests.analysis.reports.results import result

SECRET = "hunter2"
URLS = [
    f"clickhouse://reader:{SECRET}@127.0.0.1:9/otel",
    f"clickhouse://reader:{SECRET}@127.0.0.1:9/otel?traces=t&token={SECRET}",
    f"http://user:{SECRET}@127.0.0.1:9",
    f"http://user:a@{SECRET}@127.0.0.1:9/jaeger",
    f"http://user:a/{SECRET}@127.0.0.1:9",
    f"http://user:a#{SECRET}@127.0.0.1:9",
    f"http://user:a,{SECRET})'@127.0.0.1:9",
    f"http://{SECRET}@127.0.0.1:9",
    f"phoenix+http://:{SECRET}@127.0.0.1:9/default",
    f"phoenix+http://127.0.0.1:9/default?api_key={SECRET}",
    f"ftp://u:{SECRET}@127.0.0.1",
]


@pytest.mark.parametrize("url", URLS)
def test_secrets_go(url):
    """Whatever a password holds and wherever it stands, the host is still said."""
    for text in (
        url,
        f"{url} cannot be reached: is it up?",
        f"the engine {url!r} (here)",
        repr([url]),
    ):
        found = redacted(text)
        assert SECRET not in found
        assert "127.0.0.1" in found


@pytest.mark.parametrize(
    "text",
    [
        "http://h:1234/a@b/c cannot be reached",
        "https://[::1]:4318/v1/traces",
        "mail me@example.org about x://h",
        "traces@2026/a:b.jsonl does not exist",
        "C:\\traces\\a.jsonl",
    ],
)
def test_the_rest_stays(text):
    """What looks like a secret and is none is not touched."""
    assert redacted(text) == text


@pytest.mark.parametrize("url", URLS)
def test_slice_keeps_secrets(url, capsys):
    """Neither a source nor an evaluation's nor an engine's address is repeated with its secrets."""
    for arguments in ([url], ["nowhere.jsonl", "--evals", url], [url, "--engine", url]):
        assert main(["slice", *arguments]) == 2
        said = capsys.readouterr().err
        assert SECRET not in said
        assert said.count("\n") == 1


def test_json_keeps_secrets():
    """The document says where its numbers are from, without the way in."""
    document = render_json(result(), URLS)

    assert SECRET not in document
    assert json.loads(document)["sources"][0] == "clickhouse://127.0.0.1:9/otel"


@pytest.mark.parametrize("url", [URLS[-1], f"http://u:{SECRET}/x@h", f"grpc://u:{SECRET}@:0"])
def test_instrument_keeps_secrets(url):
    """A target that cannot be used is refused without its password."""
    with pytest.raises(OptionError) as caught:
        instrument(export=url)

    assert SECRET not in str(caught.value)
