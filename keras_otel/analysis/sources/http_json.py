"""Questions to a server's HTTP API, with one clear line for each way they can fail."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from keras_otel.errors import SourceError

_TIMEOUT_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """One server's API.

    Attributes:
        base: Address that all paths are below.
        server: What answers there, such as `Jaeger's query service`.
        example: An address that would be right.
    """

    base: str
    server: str
    example: str

    def get(self, path: str) -> dict[str, Any]:
        """The JSON object at a path.

        Raises:
            SourceError: The server cannot be reached, or does not answer with one.
        """
        try:
            with urlopen(f"{self.base}{path}", timeout=_TIMEOUT_S) as response:  # noqa: S310 - the user's own URL
                answer = json.load(response)
        except HTTPError as error:
            error.close()
            raise SourceError(
                f"{self.base} answers {error.code} to {path.partition('?')[0]}: is it {self.server}, as in "
                f"{self.example}?"
            ) from error
        except (URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            raise SourceError(
                f"{self.base} cannot be reached ({reason}): is {self.server} up there?"
            ) from error
        except ValueError as error:
            raise SourceError(
                f"{self.base} does not answer in JSON: it is not {self.server}"
            ) from error
        if not isinstance(answer, dict):
            raise SourceError(f"{self.base} answers with no object: it is not {self.server}")
        return answer
