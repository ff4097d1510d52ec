"""Text of the program's, made fit to be sent: valid UTF-8, and not too long.

Half of a surrogate pair, as cutting a text within an emoji leaves it, cannot be encoded, and takes
the whole batch of spans or metrics with it that it is sent in.
"""

from __future__ import annotations

import hashlib
from typing import Final

NAME_LENGTH: Final = 256
"""Characters of a name, version, label or other value that things are grouped by."""

MESSAGE_LENGTH: Final = 8_192
"""Characters of an exception's message or an explanation."""

TRACEBACK_LENGTH: Final = 32_768
"""Characters of a traceback."""

_DIGEST_LENGTH: Final = 12


def well_formed(text: str) -> str:
    """Return the text as a plain `str` in which no surrogate stands alone.

    A pair of surrogates is the character that it means; what stands alone is U+FFFD.
    """
    plain = str.__str__(text)
    if plain.isascii():
        return plain
    try:
        plain.encode()
    except UnicodeEncodeError:
        return plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return plain


def name_of(text: str) -> str:
    """Return a well-formed name of at most `NAME_LENGTH` characters.

    A longer one ends in a digest of the whole, so that two that begin alike stay two.
    """
    plain = well_formed(text)
    if len(plain) <= NAME_LENGTH:
        return plain
    digest = hashlib.sha256(plain.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{plain[: NAME_LENGTH - _DIGEST_LENGTH - 1]}…{digest}"


def message_of(text: str) -> str:
    """Return the well-formed beginning of a message."""
    plain = str.__str__(text)
    if len(plain) > MESSAGE_LENGTH:
        plain = plain[: MESSAGE_LENGTH - 1] + "…"
    return well_formed(plain)


def traceback_of(text: str) -> str:
    """Return a well-formed traceback; of one that is too long, how it begins and how it ends."""
    plain = str.__str__(text)
    if len(plain) > TRACEBACK_LENGTH:
        begin, end = TRACEBACK_LENGTH // 4, TRACEBACK_LENGTH // 4 * 3 - 3
        plain = f"{plain[:begin]}\n…\n{plain[-end:]}"
    return well_formed(plain)
