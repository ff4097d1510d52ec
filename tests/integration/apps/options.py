"""Print the options that are in force, as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import fields

from keras_otel.inference import active
from keras_otel.options import Options


def annotate(span: object, inference: object) -> None:
    """A hook that the configuration can name."""
    span.set_attribute("app.hook", inference.operation)


if __name__ == "__main__":
    observer = active.observer
    options = observer.options
    said = {field.name: getattr(options, field.name) for field in fields(Options)}
    json.dump(said, sys.stdout, default=lambda hook: f"{hook.__module__}:{hook.__qualname__}")
