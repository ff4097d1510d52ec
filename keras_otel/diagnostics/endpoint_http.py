"""Whether an OTLP/HTTP endpoint answers."""

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
from keras_otel.diagnostics.endpoint_errors import Refusal
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
        """A redirected POST arrives as a GET, without its spans: say it instead."""


def ask_http(
    findings: Findings, environ: Mapping[str, str], target: Target, headers: Mapping[str, str]
) -> None:
    """POST an empty ExportTraceServiceRequest, which is an empty body."""
    proxy = _proxy(target)
    started = time.perf_counter()
    try:
        status, kind = _post(target, headers, endpoint_errors.certificate(environ))
    except (OSError, http.client.HTTPException, ValueError) as error:
        broken = _broken(target, error)
        refusal: Refusal | None = broken
        said = broken.what
    else:
        refusal = _judged(findings, target, status, kind)
        said = f"answers {status} in {(time.perf_counter() - started) * 1e3:.0f} ms"
    via = f" through the proxy {proxy}" if proxy else ""
    findings.fact("answer", "Endpoint", f"{said}{via}")
    if refusal is not None:
        bypass = f"; or keep the proxy out with NO_PROXY={target.host.hostname}" if proxy else ""
        findings.wrong(f"{target.shown}: {refusal.what}{via}", refusal.mend + bypass)


def _post(target: Target, headers: Mapping[str, str], certificate: str | None) -> tuple[int, str]:
    url, authorization = _without_user(target)
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
    context = ssl.create_default_context(cafile=certificate)
    handlers = (_NoRedirect, urllib.request.HTTPSHandler(context=context))
    opener = urllib.request.build_opener(*handlers)
    try:
        # Under opentelemetry-instrument this process's own requests are traced too.
        with suppress_instrumentation(), opener.open(request, timeout=_TIMEOUT_S) as response:
            return response.status, response.headers.get_content_type()
    except HTTPError as error:
        with error:
            return error.code, error.headers.get_content_type()


def _without_user(target: Target) -> tuple[str, dict[str, str]]:
    parts = target.host
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return target.address, {}
    token = base64.b64encode(unquote(user).encode()).decode()
    return parts._replace(netloc=host).geturl(), {"Authorization": f"Basic {token}"}


def _proxy(target: Target) -> str | None:
    host = target.host.hostname or ""
    address = urllib.request.getproxies().get(target.host.scheme)
    if not address or urllib.request.proxy_bypass(host):
        return None
    return address


def _judged(findings: Findings, target: Target, status: int, kind: str) -> Refusal | None:
    """What is wrong with an answer, if anything is."""
    if 200 <= status < 300 and kind == "text/html":
        return Refusal(
            what="a web page answers, no OTLP receiver",
            mend="Name the Collector's or backend's OTLP port, mostly 4318",
        )
    if 200 <= status < 300:
        return None
    if status in (400, 422):
        findings.note(
            f"{status} to an empty export: some receivers refuse one; spans are not empty"
        )
        return None
    return _status_refusal(target, status)


def _status_refusal(target: Target, status: int) -> Refusal:
    what = f"answers {status}"
    if status in (401, 403):
        return endpoint_errors.denied(what)
    if status in (404, 405):
        return Refusal(
            what=f"{what}: no OTLP at the path {target.host.path}", mend=_path_mend(target)
        )
    if 300 <= status < 400:
        return Refusal(
            what=f"{what}: it redirects, which loses the spans",
            mend="Name the address that it redirects to, mostly the same with https://",
        )
    if status == 407:
        return Refusal(what=f"{what}: the proxy wants a login", mend="Correct HTTPS_PROXY")
    if status in (429, 502, 503, 504):
        return Refusal(
            what=f"{what}: not available now",
            mend="Exporters retry for a short while, then drop: see the receiver's own log",
        )
    return Refusal(what=f"{what} to an empty export", mend="See the receiver's own log")


def _path_mend(target: Target) -> str:
    path = target.host.path
    if path.endswith(TRACES_PATH * 2):
        return f"Take {TRACES_PATH} out of {target.source}: it is added"
    if path.endswith(TRACES_PATH):
        return f"Correct the port, or the part before {TRACES_PATH}"
    return f"{target.source} is used as it is: end it in {TRACES_PATH}"


def _broken(target: Target, error: Exception) -> Refusal:
    """What is wrong where no answer came."""
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, socket.gaierror):
        return endpoint_errors.unresolved(target)
    if isinstance(reason, ConnectionRefusedError):
        return endpoint_errors.refused(target)
    if isinstance(reason, TimeoutError):
        return endpoint_errors.silent(target, _TIMEOUT_S)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return endpoint_errors.untrusted(reason.verify_message)
    if isinstance(reason, ssl.SSLError):
        return endpoint_errors.plaintext(target)
    if isinstance(reason, (http.client.HTTPException, ConnectionError)):
        return endpoint_errors.misunderstood(target)
    return Refusal(what=f"cannot be asked ({reason})", mend="Correct the address")
