"""Cards: a small JSON file beside a model's artefact that identifies and describes the model.

`intent.keras` has its card in `intent.keras.card.json` (or `intent.card.json`). The format is
documented in `docs/cards.md` with a JSON schema.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from keras_otel.errors import CardError, DescriptionError
from keras_otel.identity.identity import Description, checked_description
from keras_otel.identity.naming import version_from_path

SCHEMA_VERSION = 1
SUFFIX = ".card.json"

# A card is read inside the user's `load_model`, which a large file that is no card must not delay.
_MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The content of a card.

    Attributes:
        description: Name, version, labels, task and threshold.
        fingerprint: Fingerprint of the model that the card was written for.
        lineage: Where the model comes from, as free-form strings, numbers and booleans.
    """

    description: Description
    fingerprint: str | None = None
    lineage: Mapping[str, Any] | None = None


def card_path(artefact: str | os.PathLike[str]) -> Path:
    """Return the path at which the card of an artefact is written."""
    path = Path(artefact)
    return path if path.name.endswith(SUFFIX) else path.with_name(path.name + SUFFIX)


def find_card(artefact: str | os.PathLike[str]) -> Path | None:
    """Return the path of the card beside an artefact, if there is one."""
    path = Path(artefact)
    candidates = [card_path(path)]
    if version_from_path(path.name) is None:  # the card of `v1` is not that of `v1.2`
        candidates.append(path.with_name(path.stem + SUFFIX))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def read_card(path: Path) -> Card:
    """Read and check a card.

    Raises:
        CardError: The file cannot be read or is not a card; the message says which and what to do.
    """
    try:
        is_too_large = path.stat().st_size > _MAX_BYTES
        content = None if is_too_large else json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CardError(
            f"{path}: cannot be read as JSON ({error}); write it again with "
            "keras_otel.save_card(model, path)"
        ) from error
    if is_too_large:
        raise CardError(
            f"{path}: larger than {_MAX_BYTES} bytes, not a card; write it again with "
            "keras_otel.save_card(model, path)"
        )
    try:
        return _card(content)
    except (DescriptionError, TypeError, KeyError) as error:
        raise CardError(f"{path}: {error}") from error


def write_card(path: Path, card: Card) -> None:
    """Write a card, completely or not at all.

    Raises:
        CardError: The file cannot be written.
    """
    content: dict[str, Any] = {"schema_version": SCHEMA_VERSION}
    content |= {
        field: value for field, value in asdict(card.description).items() if value is not None
    }
    if card.fingerprint is not None:
        content["fingerprint"] = card.fingerprint
    if card.lineage:
        content["lineage"] = dict(card.lineage)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(path)
    except (OSError, TypeError, ValueError, RecursionError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise CardError(f"{path}: cannot be written ({error})") from error


def _card(content: object) -> Card:
    if not isinstance(content, dict):
        raise DescriptionError(f"a card is a JSON object, got {type(content).__name__}")
    version = content.get("schema_version")
    if isinstance(version, bool) or version != SCHEMA_VERSION:
        raise DescriptionError(f"schema_version must be {SCHEMA_VERSION}, got {version!r}")
    fingerprint, lineage = content.get("fingerprint"), content.get("lineage")
    if fingerprint is not None and not isinstance(fingerprint, str):
        raise DescriptionError(f"fingerprint must be text, got {type(fingerprint).__name__}")
    if lineage is not None and not isinstance(lineage, dict):
        raise DescriptionError(f"lineage must be an object, got {type(lineage).__name__}")
    description = checked_description(
        **{field: content.get(field) for field in Description.__dataclass_fields__}
    )
    return Card(description=description, fingerprint=fingerprint, lineage=lineage)
