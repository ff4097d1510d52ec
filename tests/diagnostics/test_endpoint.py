"""Endpoints that accept spans, and every way in which they do not."""

from __future__ import annotations

import pytest

from keras_otel.diagnostics import endpoint_grpc, endpoint_http
from keras_otel.diagnostics.endpoint import check_endpoint
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.target import Target, target_of_export

SECRET = "Bearer%20s3cret"


def check(url: str, **environ: str) -> Findings:
    """Check this target."""
    findings = Findings()
    check_endpoint(findings, environ, target_of_export(url, "--endpoint"))
    return findings


def endpoint_line(findings: Findings) -> str:
    """Return the line of the report on the endpoint."""
    return findings.as_json()["facts"]["answer"]


def only_problem(findings: Findings) -> tuple[str, str]:
    """Return message and fix of the problem, which must be the only one."""
    (problem,) = findings.problems
    return problem.message, problem.fix


def test_http_receiver_responds(http_server):
    """A receiver that takes an empty export is fine, and got what an exporter sends."""
    findings = check(http_server.url, OTEL_EXPORTER_OTLP_HEADERS=f"authorization={SECRET},x=1")
    assert findings.problems == []
    assert endpoint_line(findings).startswith("responded 200 in ")
    assert http_server.path == "/v1/traces"
    assert http_server.body == b""
    headers = {name.lower(): value for name, value in http_server.headers.items()}
    assert headers["content-type"] == "application/x-protobuf"
    assert headers["authorization"] == "Bearer s3cret"


def test_shows_names_of_headers_only(http_server):
    """A header's value is a secret."""
    findings = check(http_server.url, OTEL_EXPORTER_OTLP_HEADERS=f"authorization={SECRET}")
    assert findings.as_json()["facts"]["headers"] == ["authorization"]
    assert "s3cret" not in findings.as_text("t", 100) + str(findings.as_json())


def test_sends_the_user_of_the_url(http_server):
    """User and password of the URL go as basic authentication, as the exporter sends them."""
    findings = check(http_server.url.replace("://", "://me:s3cret@"))
    assert http_server.headers["Authorization"] == "Basic bWU6czNjcmV0"
    assert "s3cret" not in findings.as_text("t", 100)


@pytest.mark.parametrize(
    ("status", "message", "fix"),
    [
        (401, "401: the credentials are missing or rejected", "OTEL_EXPORTER_OTLP_HEADERS"),
        (403, "403: the credentials are missing or rejected", "OTEL_EXPORTER_OTLP_HEADERS"),
        (404, "404: no OTLP receiver at the path /v1/traces", "Correct the port"),
        (308, "308: a redirect", "redirects to"),
        (503, "503: temporarily unavailable", "receiver's own log"),
        (500, "500 to an empty export", "receiver's own log"),
    ],
)
def test_http_status_has_its_fix(http_server, status, message, fix):
    """Each status that loses spans has a line of its own."""
    http_server.status = status
    found_message, found_fix = only_problem(check(http_server.url))
    assert message in found_message
    assert fix in found_fix


def test_path_given_twice_has_its_fix(http_server):
    """`/v1/traces` in `export` is appended again: the fix says to remove it."""
    http_server.status = 404
    _, fix = only_problem(check(f"{http_server.url}/v1/traces"))
    assert "Remove /v1/traces from" in fix


def test_path_left_out_has_its_fix(http_server):
    """The variable for traces alone is used unchanged: the fix says to write the path."""
    http_server.status = 404
    variable = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    target = Target(protocol="http", address=http_server.url, is_secure=False, source=variable)
    findings = Findings()
    check_endpoint(findings, {}, target)
    assert only_problem(findings)[1] == f"End {variable} in /v1/traces: it is used unchanged"


def test_a_web_page_is_no_receiver(http_server):
    """A user interface that responds 200 to everything is distinguished from a receiver."""
    http_server.kind = "text/html"
    assert "web page" in only_problem(check(http_server.url))[0]


def test_a_receiver_may_reject_an_empty_export(http_server):
    """400 to an empty export says little about real ones, so it is only a note."""
    http_server.status = 400
    findings = check(http_server.url)
    assert findings.problems == []
    assert "reject" in findings.notes[0]


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_refused_connection(closed_address, scheme):
    """Where nobody listens, the fix is to start a receiver or name another port."""
    message, fix = only_problem(check(f"{scheme}://{closed_address}"))
    assert "connection refused" in message
    assert "Start the Collector" in fix


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_unknown_host(scheme):
    """A name that is not resolved is distinguished from a port without a listener."""
    message, fix = only_problem(check(f"{scheme}://receiver.invalid:4318"))
    assert "receiver.invalid cannot be resolved" in message
    assert "Correct the host name" in fix


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_a_port_that_does_not_respond(unresponsive_address, scheme, monkeypatch):
    """A port that never responds does not hold the doctor up."""
    monkeypatch.setattr(endpoint_http, "_TIMEOUT_S", 0.3)
    monkeypatch.setattr(endpoint_grpc, "_TIMEOUT_S", 0.3)
    assert "no response within" in only_problem(check(f"{scheme}://{unresponsive_address}"))[0]


def test_tls_where_there_is_none(http_server):
    """https:// to a port without TLS is distinguished from a closed port."""
    _, fix = only_problem(check(http_server.url.replace("http://", "https://")))
    assert "http:// instead of https://" in fix


def test_grpc_tls_where_there_is_none(grpc_address):
    """grpcs:// to a port without TLS is distinguished from a closed port."""
    _, fix = only_problem(check(f"grpcs://{grpc_address}"))
    assert "grpc:// instead of grpcs://" in fix


def test_grpc_receiver_responds(grpc_address):
    """A receiver over gRPC is asked with the exporter's own stub."""
    findings = check(f"grpc://{grpc_address}", OTEL_EXPORTER_OTLP_HEADERS="X-Key=right")
    assert findings.problems == []
    assert endpoint_line(findings).startswith("responded OK in ")


def test_grpc_receiver_rejects_the_key(grpc_address):
    """Wrong credentials over gRPC have the same fix as over HTTP."""
    findings = check(f"grpc://{grpc_address}", OTEL_EXPORTER_OTLP_HEADERS="x-key=s3cret")
    message, fix = only_problem(findings)
    assert "UNAUTHENTICATED: the credentials are missing or rejected" in message
    assert "OTEL_EXPORTER_OTLP_HEADERS" in fix


@pytest.mark.parametrize("grpc_address", [False], indirect=True)
def test_grpc_server_without_otlp(grpc_address):
    """Another gRPC service at the port is distinguished from a receiver."""
    assert "does not accept OTLP traces" in only_problem(check(f"grpc://{grpc_address}"))[0]


def test_http_spoken_to_a_grpc_port(grpc_address):
    """The most common mistake: the two ports of OTLP are exchanged."""
    message, fix = only_problem(check(f"http://{grpc_address}"))
    assert "does not speak HTTP" in message
    assert f"write grpc://{grpc_address}" in fix


def test_grpc_spoken_to_an_http_port(http_server):
    """The same mistake the other way round."""
    address = http_server.url.removeprefix("http://")
    message, fix = only_problem(check(f"grpc://{address}"))
    assert "does not speak gRPC" in message
    assert f"write http://{address}" in fix


def test_grpc_spoken_to_an_http2_port(http2_address):
    """Receivers whose HTTP port speaks HTTP/2 respond to gRPC with a bare 404."""
    message, fix = only_problem(check(f"grpc://{http2_address}"))
    assert "does not speak gRPC" in message
    assert f"write http://{http2_address}" in fix


def test_a_proxy_that_fails_is_named(http_server, closed_address, monkeypatch):
    """The proxy is named, and so is the variable that bypasses it."""
    monkeypatch.setenv("http_proxy", f"http://me:s3cret@{closed_address}")
    monkeypatch.setenv("no_proxy", "")
    message, fix = only_problem(check(http_server.url))
    assert f"through the proxy http://{closed_address}" in message
    assert "NO_PROXY=127.0.0.1" in fix


def test_invalid_headers_are_counted_not_shown(http_server):
    """An entry that is no pair may be a key: only the number of such entries is shown."""
    findings = check(http_server.url, OTEL_EXPORTER_OTLP_HEADERS="s3cret,x=1")
    assert only_problem(findings)[0].endswith("has 1 of 2 entries that are not name=value")


def test_certificate_file_that_does_not_exist(http_server):
    """A missing certificate file stops the exporter, so it is a problem."""
    findings = check(http_server.url, OTEL_EXPORTER_OTLP_CERTIFICATE="/no/ca.pem")
    assert only_problem(findings)[0].startswith("OTEL_EXPORTER_OTLP_CERTIFICATE is /no/ca.pem")


def test_new_file_in_a_good_folder(tmp_path):
    """A file that does not exist yet is no problem, and the check does not create it."""
    path = tmp_path / "traces.jsonl"
    findings = check(f"file:{path}")
    assert findings.problems == []
    assert "no file yet" in endpoint_line(findings)
    assert not path.exists()


def test_file_with_lines(tmp_path):
    """The lines of a file are counted."""
    path = tmp_path / "traces.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    findings = check(f"file:{path}")
    assert findings.problems == []
    assert "2 lines" in endpoint_line(findings)


def test_file_with_an_incomplete_line(tmp_path):
    """The next record would be appended to it; the fix, when followed, works."""
    path = tmp_path / "traces.jsonl"
    path.write_text('{"a": 1}\n{"a": ')
    message, fix = only_problem(check(f"file:{path}"))
    assert "is incomplete" in message
    assert f"echo >> {path}" in fix
    with path.open("a") as stream:
        stream.write("\n")
    assert check(f"file:{path}").problems == []


def test_folder_that_is_missing(tmp_path):
    """A missing folder is named with the command that creates it."""
    message, fix = only_problem(check(f"file:{tmp_path}/no/traces.jsonl"))
    assert message.endswith("/no does not exist")
    assert fix == f"mkdir -p {tmp_path}/no"


def test_folder_for_a_file(tmp_path):
    """A folder cannot be written to as a file."""
    assert "is a folder" in only_problem(check(f"file:{tmp_path}"))[0]
