"""What an adapter of a runtime can do, and which ones are installed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from keras_otel._patching import PatchSet
from keras_otel.identity.fingerprint import Weight

if TYPE_CHECKING:
    from keras_otel.introspection.variables import Means


class Adapter(Protocol):
    """One runtime: what to patch, what a call is, what a model is."""

    name: str
    backend: str
    version: str
    means: Means
    """How its variables can be seen to change."""

    def install(self, patches: PatchSet) -> None:
        """Patch the runtime, adding to `patches`."""
        ...

    def owns(self, model: Any) -> bool:
        """True if the model belongs to this runtime."""
        ...

    def is_inference(
        self, operation: str, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> bool:
        """False for a call that can be seen, before it runs, to be training or building."""
        ...

    def is_building(self) -> bool:
        """True where nothing computed now is concrete."""
        ...

    def is_cold(self, model: Any, operation: str) -> bool | None:
        """True if this call must build its function; None where only the first call tells."""
        ...

    def architecture(self, model: Any) -> dict[str, Any]:
        """The model's serialised configuration."""
        ...

    def has_weights(self, model: Any) -> bool:
        """False while the weights cannot be read."""
        ...

    def weights(self, model: Any) -> Iterable[Weight]:
        """Every weight in the order of `model.weights`."""
        ...

    def weight_bytes(self, model: Any) -> int:
        """Size of all weights, without reading them."""
        ...

    def variables(self, model: Any) -> Sequence[Any]:
        """The variables behind the weights, in their order."""
        ...

    def vocabularies(self, model: Any) -> list[list[str]]:
        """Vocabularies of the layers that have one."""
        ...

    def parts(self, model: Any) -> frozenset[int]:
        """The ids of the model and of every layer below it."""
        ...

    def given_name(self, model: Any) -> str | None:
        """The model's name if a person chose it."""
        ...

    def precision(self, model: Any) -> str | None:
        """What most weighted layers compute in."""
        ...

    def source(self, model: Any) -> str | None:
        """Where the model was loaded from, if it remembers."""
        ...


installed: list[Adapter] = []
"""The adapters whose packages are imported and patched."""
