"""Whether an OTLP/HTTP endpoint accepts spans."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import time
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import IO, Final
from urllib.error import HTTPError, URLError
from urllib.parse import unquote

from opentelemetry.instrumentation.utils import suppress_instrumentation

from keras_otel.diagnostics import endpoint_errors
from keras_otel.diagnostics.certificates import ca_file
from keras_otel.diagnostics.endpoint_errors import EndpointError
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.target import TRACES_PATH, Target
from keras_otel.version import __version__

_TIMEOUT_S: Final = 3.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> None:
        """Follow no redirect: a redirected POST arrives as a GET, without its spans."""


def check_http_endpoint(
    findings: Findings, environ: Mapping[str, str], target: Target, headers: Mapping[str, str]
) -> None:
    """Check that the endpoint accepts an export without spans, which is a POST without a body."""
    proxy = _proxy_url(target)
    started = time.perf_counter()
    error: EndpointError | None
    try:
        status, content_type = _post_empty_export(target, headers, ca_file(environ))
    except (OSError, http.client.HTTPException, ValueError) as exception:
        error = _connection_error(target, exception)
        outcome = error.message
    else:
        error = _response_error(findings, target, status, content_type)
        outcome = f"responded {status} in {(time.perf_counter() - started) * 1e3:.0f} ms"
    via = f" through the proxy {proxy}" if proxy else ""
    findings.add_fact("answer", "Endpoint", f"{outcome}{via}")
    if error is not None:
        bypass = f"; or bypass the proxy with NO_PROXY={target.url_parts.hostname}" if proxy else ""
        findings.add_problem(f"{target.display_url}: {error.message}{via}", error.fix + bypass)


def _post_empty_export(
    target: Target, headers: Mapping[str, str], ca_path: str | None
) -> tuple[int, str]:
    """Return the status code and the content type of the response."""
    url, authorization = _split_credentials(target)
    request = urllib.request.Request(  # noqa: S310 - the scheme was checked to be http(s)
        url,
        data=b"",
        method="POST",
        headers={
            "Content-Type": "application/x-protobuf",
            "User-Agent": f"keras-otel/{__version__}",
            **authorization,
            **headers,
        },
    )
    context = ssl.create_default_context(cafile=ca_path)
    handlers = (_NoRedirect, urllib.request.HTTPSHandler(context=context))
    opener = urllib.request.build_opener(*handlers)
    try:
        # Under opentelemetry-instrument this process's own requests are traced too.
        with suppress_instrumentation(), opener.open(request, timeout=_TIMEOUT_S) as response:
            return response.status, response.headers.get_content_type()
    except HTTPError as error:
        with error:
            return error.code, error.headers.get_content_type()


def _split_credentials(target: Target) -> tuple[str, dict[str, str]]:
    """Return the URL without user and password, and the header that carries them."""
    parts = target.url_parts
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return target.address, {}
    token = base64.b64encode(unquote(user).encode()).decode()
    return parts._replace(netloc=host).geturl(), {"Authorization": f"Basic {token}"}


def _proxy_url(target: Target) -> str | None:
    """Return the proxy that the environment names for the target's host."""
    host = target.url_parts.hostname or ""
    proxy = urllib.request.getproxies().get(target.url_parts.scheme)
    if not proxy or urllib.request.proxy_bypass(host):
        return None
    return proxy


def _response_error(
    findings: Findings, target: Target, status: int, content_type: str
) -> EndpointError | None:
    """Return what is wrong with a response; None where nothing is."""
    is_success = 200 <= status < 300
    if is_success and content_type == "text/html":
        # User interfaces respond 200 to every path.
        return EndpointError(
            message="a web page responded, not an OTLP receiver",
            fix="Name the Collector's or backend's OTLP port, usually 4318",
        )
    if is_success:
        return None
    if status in (400, 422):
        findings.add_note(
            f"Status {status} in response to an empty export: some receivers reject an empty one "
            "and accept others"
        )
        return None
    return _status_error(target, status)


def _status_error(target: Target, status: int) -> EndpointError:
    response = f"responded {status}"
    if status in (401, 403):
        return endpoint_errors.unauthorized(response)
    if status in (404, 405):
        return EndpointError(
            message=f"{response}: no OTLP receiver at the path {target.url_parts.path}",
            fix=_path_fix(target),
        )
    if 300 <= status < 400:
        return EndpointError(
            message=f"{response}: a redirect, with which spans are lost",
            fix="Name the URL that it redirects to, usually the same with https://",
        )
    if status == 407:
        return EndpointError(
            message=f"{response}: the proxy requires authentication", fix="Correct HTTPS_PROXY"
        )
    if status in (429, 502, 503, 504):
        return EndpointError(
            message=f"{response}: temporarily unavailable",
            fix="See the receiver's own log: exporters retry for a short time, then drop spans",
        )
    return EndpointError(message=f"{response} to an empty export", fix="See the receiver's own log")


def _path_fix(target: Target) -> str:
    path = target.url_parts.path
    if path.endswith(TRACES_PATH * 2):
        return f"Remove {TRACES_PATH} from {target.source}: it is appended"
    if path.endswith(TRACES_PATH):
        return f"Correct the port, or the part before {TRACES_PATH}"
    return f"End {target.source} in {TRACES_PATH}: it is used unchanged"


def _connection_error(target: Target, exception: Exception) -> EndpointError:
    """Return what is wrong where no response came."""
    reason = exception.reason if isinstance(exception, URLError) else exception
    if isinstance(reason, socket.gaierror):
        return endpoint_errors.host_not_found(target)
    if isinstance(reason, ConnectionRefusedError):
        return endpoint_errors.connection_refused(target)
    if isinstance(reason, TimeoutError):
        return endpoint_errors.timed_out(target, _TIMEOUT_S)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return endpoint_errors.untrusted_certificate(reason.verify_message)
    if isinstance(reason, ssl.SSLError):
        return endpoint_errors.tls_not_supported(target)
    if isinstance(reason, (http.client.HTTPException, ConnectionError)):
        return endpoint_errors.wrong_protocol(target)
    return EndpointError(message=f"the request failed ({reason})", fix="Correct the URL")
