"""Request JSON from a server's HTTP API, bounded in time and size, with a clear line for each kind of failure."""

from __future__ import annotations

import json
import queue
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, Final, Self
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from keras_otel.errors import SourceError

LARGEST_ANSWER: Final = 512 * 1024 * 1024
"""Bytes of one answer, after unpacking."""

_TIMEOUT_S: Final = 60.0
_CHUNK: Final = 64 * 1024
_ATTEMPTS: Final = 3
_BUSY: Final = (429, 502, 503, 504)
# Of the library, all of whose errors are OSError, and of Python's own HTTP; SourceError is a ValueError.
_FAILURES: Final = (OSError, ValueError, HTTPException)
_MOST_REDIRECTS: Final = 5
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The timeout and headers of requests to servers.

    Attributes:
        timeout_s: Longest time for a response, from the request to the last byte, in seconds; 60 by default, and
            for databases the default of the driver.
        headers: Sent with each request, to the servers that are sources and to no other.
    """

    timeout_s: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A server's address, with its credentials apart.

    Attributes:
        url: The address without user, password and query string.
        user: The user's name; None where there is none.
        password: The password; empty where there is none.
    """

    url: str
    user: str | None
    password: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Parse an address.

        Raises:
            SourceError: It is malformed.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host:
            raise SourceError(
                f"the address {url} cannot be read: write http://user:password@host:port, and %2F, %23, %3F "
                "and %40 for / # ? @ in a password"
            )
        bracketed = f"[{host}]" if ":" in host else host
        netloc = bracketed if port is None else f"{bracketed}:{port}"
        return cls(
            url=urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), "", "")),
            user=None if parts.username is None else unquote(parts.username),
            password=unquote(parts.password or ""),
        )


class Api:
    """The API of a server; a context manager that closes its connections.

    Args:
        address: The address that all paths are below.
        server: The name of what should answer there, such as `Jaeger's query service`.
        example: A correct address, for error messages.
        access: Timeout and headers.
    """

    def __init__(self, address: Address, *, server: str, example: str, access: Access) -> None:
        self.base = address.url
        self._server = server
        self._example = example
        self._timeout_s = access.timeout_s or _TIMEOUT_S
        self._session = _session(address, access)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def list_in(self, answer: Mapping[str, Any], key: str = "data") -> list[Any]:
        """Return the list under a key of a response; an empty one where it is null or missing.

        Raises:
            SourceError: It is something else.
        """
        elements = answer.get(key)
        if elements is not None and not isinstance(elements, list):
            raise SourceError(
                f"{self.base} answers with no list under {key!r}: it is not {self._server}"
            )
        return elements or []

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON object at a path.

        Raises:
            SourceError: The server cannot be reached, or does not answer with one in time.
        """
        status, body = self._within_time(lambda is_late: self._fetch(path, is_late))
        if status in (401, 403):
            raise SourceError(
                f"{self.base} answers {status}, it wants to know who asks: give "
                "--header 'Authorization: Bearer TOKEN', or user:password@ in the address"
            )
        if status != 200:
            raise SourceError(
                f"{self.base} answers {status} to {path.partition('?')[0]}: is it {self._server}, as in "
                f"{self._example}?"
            )
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise SourceError(
                f"{self.base} does not answer in JSON: it is not {self._server}"
            ) from error
        if not isinstance(answer, dict):
            raise SourceError(f"{self.base} answers with no object: it is not {self._server}")
        return answer

    def _within_time(
        self, ask: Callable[[threading.Event], tuple[int, bytes]]
    ) -> tuple[int, bytes]:
        """What is answered in time.

        The library bounds the time between two bytes only, so it asks in a thread of its own.
        """
        is_late = threading.Event()
        answers: queue.SimpleQueue[tuple[int, bytes] | Exception] = queue.SimpleQueue()

        def work() -> None:
            outcome: tuple[int, bytes] | Exception = ConnectionError("no answer")
            try:
                outcome = ask(is_late)
            except _FAILURES as error:
                outcome = error
            finally:
                answers.put(outcome)

        threading.Thread(target=work, daemon=True, name="keras_otel source").start()
        try:
            answer = answers.get(timeout=self._timeout_s)
        except queue.Empty:
            is_late.set()
            raise SourceError(
                f"{self.base} has not answered within {self._timeout_s:g} s: ask for less with --since, "
                "or wait longer with --timeout SECONDS"
            ) from None
        if isinstance(answer, SourceError):
            raise answer
        if isinstance(answer, Exception):
            raise SourceError(
                f"{self.base} cannot be reached ({_reason(answer)}): is {self._server} up there?"
            ) from answer
        return answer

    def _fetch(self, path: str, is_late: threading.Event) -> tuple[int, bytes]:
        url = f"{self.base}{path}"
        for _ in range(_MOST_REDIRECTS):
            with self._session.get(
                url, timeout=self._timeout_s, stream=True, allow_redirects=False
            ) as response:
                if not response.is_redirect:
                    return response.status_code, self._body(response, is_late)
                url = urljoin(url, response.headers["Location"])
            if not _is_same_server(self.base, url):
                raise SourceError(
                    f"{self.base} sends its readers to another server, {_origin(url)}: name that one, or log "
                    "in with --header"
                )
        raise SourceError(f"{self.base} sends its readers round in circles: check the address")

    def _body(self, response: Any, is_late: threading.Event) -> bytes:
        parts: list[bytes] = []
        size = 0
        for chunk in response.iter_content(_CHUNK):
            size += len(chunk)
            if is_late.is_set():
                break
            if size > LARGEST_ANSWER:
                raise SourceError(
                    f"{self.base} answers with more than {LARGEST_ANSWER // 2**20} MiB: ask for less with --since"
                )
            parts.append(chunk)
        return b"".join(parts)


def _session(address: Address, access: Access) -> Any:
    import requests
    from requests.adapters import HTTPAdapter
    from requests.auth import HTTPBasicAuth
    from urllib3.util import Retry

    session = requests.Session()
    retry = Retry(
        total=_ATTEMPTS - 1,
        backoff_factor=0.2,
        status_forcelist=_BUSY,
        raise_on_status=False,
        respect_retry_after_header=False,  # it may be an hour
    )
    for scheme in _PORTS:
        session.mount(f"{scheme}://", HTTPAdapter(max_retries=retry))
    session.headers.update(access.headers)
    # With something in its place, no password of the user's .netrc goes before a header.
    session.auth = _nobody
    if address.user is not None:
        session.auth = HTTPBasicAuth(address.user.encode(), address.password.encode())
    return session


def _nobody(request: Any) -> Any:
    return request


def _is_same_server(base: str, url: str) -> bool:
    """Return True for the same host and port, also where the server redirects to TLS."""
    ours, theirs = urlsplit(base), urlsplit(url)
    if theirs.scheme not in _PORTS or ours.hostname != theirs.hostname:
        return False
    is_upgrade = (ours.scheme, theirs.scheme) == ("http", "https")
    return is_upgrade or _port(base) == _port(url)


def _port(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.port or _PORTS.get(parts.scheme)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _reason(error: BaseException) -> str:
    """Return the first cause of an error, in a few words."""
    inner = getattr(error, "reason", None) or (error.args[0] if error.args else None)
    if isinstance(inner, BaseException):
        return _reason(inner)
    words = re.sub(r"^.*?\): ", "", " ".join(str(error).split()))
    return words[:200] or type(error).__name__
