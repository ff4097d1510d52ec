"""Text from outside, such as an LLM's, made fit to be exported."""

from __future__ import annotations


def clean(text: str) -> str:
    """The text as a plain `str` that is valid UTF-8.

    An LLM's answer may be cut in the middle of an emoji; one lone surrogate would keep an exporter
    from encoding the whole batch.
    """
    return str.__str__(text).encode("utf-8", "replace").decode("utf-8")
