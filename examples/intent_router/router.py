"""The upstream model: which topic is a question about?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
from corpus import TOPICS
from features import features


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a question goes, and how sure the model is."""

    topic: str
    confidence: float


class Router:
    """The versions of the intent model in a folder, one of which is in use."""

    def __init__(self, folder: Path) -> None:
        self._models = {
            path.parent.name: keras.models.load_model(path)
            for path in sorted(folder.glob("*/intent.keras"))
        }
        if not self._models:
            raise FileNotFoundError(f"{folder}: there is no VERSION/intent.keras in it")
        self.version = next(iter(self._models))

    @property
    def versions(self) -> list[str]:
        """The versions that can be deployed."""
        return list(self._models)

    def deploy(self, version: str) -> None:
        """Use another version from now on.

        Raises:
            KeyError: There is no such version.
        """
        self._models[version]
        self.version = version

    def route(self, question: str) -> Route:
        """Ask the model. That this becomes a span is keras_otel's doing."""
        output = self._models[self.version](features([question]))
        probabilities = keras.ops.convert_to_numpy(output)[0]
        best = int(probabilities.argmax())
        return Route(topic=TOPICS[best], confidence=float(probabilities[best]))
