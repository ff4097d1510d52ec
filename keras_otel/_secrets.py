"""Texts without the passwords and keys that addresses in them carry, fit to be printed."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from keras_otel._unicode import well_formed

_SCHEME: Final = r"[A-Za-z][A-Za-z0-9+.-]*://"
_URL: Final = re.compile(rf"{_SCHEME}[^\s'\"<>,;)]+")
_WITH_USER: Final = re.compile(rf"(?P<scheme>{_SCHEME})(?P<user>[^\s<>\"]*)@")
_HOST: Final = re.compile(r"[^:@]*(:\d*)?|\[[0-9A-Fa-f:.]+\](:\d*)?")


def redacted(text: str) -> str:
    """The text with the user, password and query string of each URL taken out."""
    without = _WITH_USER.sub(_without_user, text)
    return well_formed(_URL.sub(lambda match: safe_url(match[0]), without))


def _without_user(match: re.Match[str]) -> str:
    """A password may hold any character, also those that end a host."""
    user: str = match["user"]
    host, mark, rest = re.match(r"([^/?#]*)([/?#]?)(.*)", user, re.DOTALL).groups()  # type: ignore[union-attr]  # it matches any text
    if mark and _HOST.fullmatch(host):
        # The @ is part of a path.
        return match[0]
    if mark and "@" in host:
        return f"{match['scheme']}{host.rpartition('@')[2]}{mark}{rest}@"
    return str(match["scheme"])


def safe_url(url: str) -> str:
    """A URL without user, password, query string and fragment."""
    url = _WITH_USER.sub(_without_user, url)
    try:
        parts = urlsplit(url)
    except ValueError:
        # What may be a secret stands before an @ or after a ?; without these there is none.
        return url.partition("://")[0] + "://..." if any(mark in url for mark in "@?#") else url
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
