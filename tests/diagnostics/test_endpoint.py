"""Endpoints that answer, and every way in which they do not."""

from __future__ import annotations

import pytest

from keras_otel.diagnostics import endpoint_grpc, endpoint_http
from keras_otel.diagnostics.endpoint import check_answer
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.target import Target, from_export

SECRET = "Bearer%20s3cret"


def asked(url: str, **environ: str) -> Findings:
    """What asking this target finds."""
    findings = Findings()
    check_answer(findings, environ, from_export(url, "--endpoint"))
    return findings


def answer(findings: Findings) -> str:
    """The line on the endpoint."""
    return findings.as_json()["facts"]["answer"]


def only_problem(findings: Findings) -> tuple[str, str]:
    """What is wrong and its mend, where exactly one thing is."""
    (problem,) = findings.problems
    return problem.what, problem.mend


def test_http_receiver_answers(http_server):
    """A receiver that takes an empty export is fine, and got what an exporter sends."""
    findings = asked(http_server.url, OTEL_EXPORTER_OTLP_HEADERS=f"authorization={SECRET},x=1")
    assert findings.problems == []
    assert answer(findings).startswith("answers 200 in ")
    assert http_server.path == "/v1/traces"
    assert http_server.body == b""
    headers = {name.lower(): value for name, value in http_server.headers.items()}
    assert headers["content-type"] == "application/x-protobuf"
    assert headers["authorization"] == "Bearer s3cret"


def test_shows_names_of_headers_only(http_server):
    """A header's value is a secret."""
    findings = asked(http_server.url, OTEL_EXPORTER_OTLP_HEADERS=f"authorization={SECRET}")
    assert findings.as_json()["facts"]["headers"] == ["authorization"]
    assert "s3cret" not in findings.as_text("t", 100) + str(findings.as_json())


def test_sends_the_user_of_the_url(http_server):
    """User and password of the URL go as basic authentication, as the exporter sends them."""
    findings = asked(http_server.url.replace("://", "://me:s3cret@"))
    assert http_server.headers["Authorization"] == "Basic bWU6czNjcmV0"
    assert "s3cret" not in findings.as_text("t", 100)


@pytest.mark.parametrize(
    ("status", "what", "mend"),
    [
        (401, "401: not allowed", "OTEL_EXPORTER_OTLP_HEADERS"),
        (403, "403: not allowed", "OTEL_EXPORTER_OTLP_HEADERS"),
        (404, "404: no OTLP at the path /v1/traces", "Correct the port"),
        (308, "308: it redirects", "redirects to"),
        (503, "503: not available now", "receiver's own log"),
        (500, "500 to an empty export", "receiver's own log"),
    ],
)
def test_http_status_has_its_mend(http_server, status, what, mend):
    """Each status that loses spans has a line of its own."""
    http_server.status = status
    said, mended = only_problem(asked(http_server.url))
    assert what in said
    assert mend in mended


def test_path_given_twice_has_its_mend(http_server):
    """`/v1/traces` in `export` is added again: the mend says to take it out."""
    http_server.status = 404
    _, mend = only_problem(asked(f"{http_server.url}/v1/traces"))
    assert "Take /v1/traces out" in mend


def test_path_left_out_has_its_mend(http_server):
    """The variable for traces alone is used as it is: the mend says to write the path."""
    http_server.status = 404
    variable = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    target = Target(protocol="http", address=http_server.url, is_secure=False, source=variable)
    findings = Findings()
    check_answer(findings, {}, target)
    assert only_problem(findings)[1] == f"{variable} is used as it is: end it in /v1/traces"


def test_a_web_page_is_no_receiver(http_server):
    """A user interface that answers 200 to everything is told from a receiver."""
    http_server.kind = "text/html"
    assert "web page" in only_problem(asked(http_server.url))[0]


def test_a_receiver_may_refuse_an_empty_export(http_server):
    """400 to an empty export says little about real ones, so it is only a note."""
    http_server.status = 400
    findings = asked(http_server.url)
    assert findings.problems == []
    assert "refuse" in findings.notes[0]


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_refused_connection(closed_address, scheme):
    """Where nobody listens, the mend is to start somebody or name another port."""
    what, mend = only_problem(asked(f"{scheme}://{closed_address}"))
    assert "connection refused" in what
    assert "Start the Collector" in mend


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_unknown_host(scheme):
    """A name without an address is told from a port without a listener."""
    what, mend = only_problem(asked(f"{scheme}://receiver.invalid:4318"))
    assert "receiver.invalid cannot be resolved" in what
    assert "Correct the host name" in mend


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_silent_port(silent_address, scheme, monkeypatch):
    """A port that says nothing does not hold the doctor up."""
    monkeypatch.setattr(endpoint_http, "_TIMEOUT_S", 0.3)
    monkeypatch.setattr(endpoint_grpc, "_TIMEOUT_S", 0.3)
    assert "no answer within" in only_problem(asked(f"{scheme}://{silent_address}"))[0]


def test_encryption_where_there_is_none(http_server):
    """https:// to a plain port is told from a port that is closed."""
    _, mend = only_problem(asked(http_server.url.replace("http://", "https://")))
    assert "http:// instead of https://" in mend


def test_grpc_encryption_where_there_is_none(grpc_address):
    """grpcs:// to a plain port is told from a port that is closed."""
    _, mend = only_problem(asked(f"grpcs://{grpc_address}"))
    assert "grpc:// instead of grpcs://" in mend


def test_grpc_receiver_answers(grpc_address):
    """A receiver over gRPC is asked with the exporter's own stub."""
    findings = asked(f"grpc://{grpc_address}", OTEL_EXPORTER_OTLP_HEADERS="X-Key=right")
    assert findings.problems == []
    assert answer(findings).startswith("answers OK in ")


def test_grpc_receiver_wants_another_key(grpc_address):
    """Wrong credentials over gRPC have the same mend as over HTTP."""
    findings = asked(f"grpc://{grpc_address}", OTEL_EXPORTER_OTLP_HEADERS="x-key=s3cret")
    what, mend = only_problem(findings)
    assert "UNAUTHENTICATED: not allowed" in what
    assert "OTEL_EXPORTER_OTLP_HEADERS" in mend


@pytest.mark.parametrize("grpc_address", [False], indirect=True)
def test_grpc_server_without_otlp(grpc_address):
    """Another gRPC service at the port is told from a receiver."""
    assert "takes no OTLP traces" in only_problem(asked(f"grpc://{grpc_address}"))[0]


def test_http_spoken_to_a_grpc_port(grpc_address):
    """The commonest mistake of all: the two ports of OTLP exchanged."""
    what, mend = only_problem(asked(f"http://{grpc_address}"))
    assert "does not speak HTTP" in what
    assert f"write grpc://{grpc_address}" in mend


def test_grpc_spoken_to_an_http_port(http_server):
    """The same mistake the other way round."""
    address = http_server.url.removeprefix("http://")
    what, mend = only_problem(asked(f"grpc://{address}"))
    assert "does not speak gRPC" in what
    assert f"write http://{address}" in mend


def test_grpc_spoken_to_an_http2_port(http2_address):
    """Receivers whose HTTP port knows HTTP/2 answer gRPC with a bare 404."""
    what, mend = only_problem(asked(f"grpc://{http2_address}"))
    assert "does not speak gRPC" in what
    assert f"write http://{http2_address}" in mend


def test_a_proxy_in_the_way_is_named(http_server, closed_address, monkeypatch):
    """A proxy that fails is named, and so is the way around it."""
    monkeypatch.setenv("http_proxy", f"http://me:s3cret@{closed_address}")
    monkeypatch.setenv("no_proxy", "")
    what, mend = only_problem(asked(http_server.url))
    assert f"through the proxy http://{closed_address}" in what
    assert "NO_PROXY=127.0.0.1" in mend


def test_broken_headers_are_counted_not_shown(http_server):
    """An entry that is no pair may be a key: only the number of such entries is said."""
    findings = asked(http_server.url, OTEL_EXPORTER_OTLP_HEADERS="s3cret,x=1")
    assert only_problem(findings)[0].endswith("has 1 of 2 entries that are not name=value")


def test_certificate_that_is_not_there(http_server):
    """A file of certificates that does not exist stops the exporter, so it is said."""
    findings = asked(http_server.url, OTEL_EXPORTER_OTLP_CERTIFICATE="/no/ca.pem")
    assert only_problem(findings)[0].startswith("OTEL_EXPORTER_OTLP_CERTIFICATE names /no/ca.pem")


def test_new_file_in_a_good_folder(tmp_path):
    """A file that is not there yet is fine, and asking does not make it."""
    path = tmp_path / "traces.jsonl"
    findings = asked(f"file:{path}")
    assert findings.problems == []
    assert "no file yet" in answer(findings)
    assert not path.exists()


def test_file_with_lines(tmp_path):
    """The lines of a file are counted."""
    path = tmp_path / "traces.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    findings = asked(f"file:{path}")
    assert findings.problems == []
    assert "2 lines" in answer(findings)


def test_file_with_a_cut_line(tmp_path):
    """A last line without an end would swallow the next one; the mend, followed, mends it."""
    path = tmp_path / "traces.jsonl"
    path.write_text('{"a": 1}\n{"a": ')
    what, mend = only_problem(asked(f"file:{path}"))
    assert "is cut" in what
    assert f"echo >> {path}" in mend
    with path.open("a") as stream:
        stream.write("\n")
    assert asked(f"file:{path}").problems == []


def test_folder_that_is_missing(tmp_path):
    """A missing folder is named with the command that makes it."""
    what, mend = only_problem(asked(f"file:{tmp_path}/no/traces.jsonl"))
    assert what.endswith("/no does not exist")
    assert mend == f"mkdir -p {tmp_path}/no"


def test_folder_for_a_file(tmp_path):
    """A folder cannot take lines."""
    assert "is a folder" in only_problem(asked(f"file:{tmp_path}"))[0]
