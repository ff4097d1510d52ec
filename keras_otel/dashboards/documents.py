"""Write the files of `keras-otel dashboards export`."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from keras_otel.dashboards.jaeger import Places, page_configuration
from keras_otel.errors import DashboardError

GRAFANA: Final = "grafana/keras-upstream.json"
PROMETHEUS: Final = "prometheus/keras.yaml"
JAEGER: Final = "jaeger/ui.json"

_PACKAGES: Final = {"grafana_foundation_sdk": "grafana-foundation-sdk", "yaml": "pyyaml"}


def export(folder: Path, places: Places) -> list[Path]:
    """Write the dashboard, the rules and the page's configuration.

    Args:
        folder: Folder to write to; it is created if it does not exist. Files of the same names are
            overwritten.
        places: Addresses of the pages that link to each other.

    Returns:
        The paths of the files.

    Raises:
        DashboardError: A package that is needed is not installed, or the folder cannot be written to.
    """
    contents = documents(places)
    written = []
    for name, text in contents.items():
        file = folder / name
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise DashboardError(f"{file} cannot be written: {error.strerror}") from error
        written.append(file)
    return written


def documents(places: Places) -> dict[str, str]:
    """Return the content of each file by its name.

    Raises:
        DashboardError: A package that is needed is not installed.
    """
    missing = [package for module, package in _PACKAGES.items() if not find_spec(module)]
    if missing:
        raise DashboardError(
            f"{missing[0]} is not installed: pip install 'keras-otel[dashboards]' brings what the "
            "dashboards are made with"
        )
    from keras_otel.dashboards.grafana import dashboard_model
    from keras_otel.dashboards.rules import rule_file

    return {
        GRAFANA: _as_json(dashboard_model(places.jaeger)),
        PROMETHEUS: _as_yaml(rule_file()),
        JAEGER: _as_json(page_configuration(places)),
    }


def _as_json(content: Any) -> str:
    return json.dumps(content, indent=1) + "\n"


def _as_yaml(content: Any) -> str:
    import yaml

    note = "# Made by `keras-otel dashboards export`: change it there, or copy it.\n"
    text: str = yaml.safe_dump(content, sort_keys=False, width=100, allow_unicode=True)
    return note + text
