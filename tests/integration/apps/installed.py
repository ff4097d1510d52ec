"""Files that other people's packages have installed."""

from __future__ import annotations

import os
from importlib import metadata


def installed_file(distribution: str, name: str) -> str:
    """The path of the one file of this name that a distribution installed."""
    (found,) = (path for path in metadata.files(distribution) or () if path.name == name)
    return os.fspath(found.locate())
