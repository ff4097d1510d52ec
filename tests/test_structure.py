"""The package's shape: who imports whom, what is public, what is loaded."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import keras_otel

PACKAGE = Path(keras_otel.__file__).parent

# From the bottom up: folders, and the modules that lie beside them. A module imports from lower
# layers, and from its own folder without a circle.
LAYERS = (
    ("errors", "version", "_forks", "_unicode"),
    ("_guard", "_own_random", "_patching", "_secrets", "records", "semconv"),
    ("_span_limits", "_worker", "ids", "options", "decoding", "identity"),
    ("introspection", "propagation"),
    ("row_counts",),
    ("metrics",),
    ("inference",),
    ("feedback", "export", "runtimes"),
    ("description", "instrumentor"),
    ("",),
    ("analysis.sources.tables",),
    ("analysis.sources.formats",),
    ("analysis.sources.servers",),
    ("analysis.sources",),
    ("analysis.rows",),
    ("analysis.aggregation",),
    ("analysis.result",),
    ("analysis.slices",),
    ("analysis.reports", "analysis"),
    ("dashboards", "diagnostics"),
    ("cli",),
)

# What each part of the package knows nothing of.
STRANGERS = {
    "decoding": {"opentelemetry", "keras", "tf_keras", "tensorflow", "jax", "torch", "wrapt"},
    "records": {"opentelemetry", "numpy"},
    "semconv": {"opentelemetry", "numpy"},
    "identity": {"opentelemetry", "numpy"},
    "_patching": {"opentelemetry", "numpy"},
    "inference.span": {"numpy"},
    "metrics": {"numpy"},
    "feedback": {"keras", "tf_keras", "numpy"},
    "dashboards": {"opentelemetry", "keras", "tf_keras", "numpy"},
}

FRAMEWORKS = {"keras", "tf_keras", "tensorflow", "jax", "jaxlib", "torch", "openvino"}


def modules() -> dict[str, ast.Module]:
    """The syntax tree of each module, by its name below the package."""
    trees = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        trees[name] = ast.parse(path.read_text(encoding="utf-8"))
    return trees


TREES = modules()


def imports(tree: ast.Module) -> set[str]:
    """The modules that a module imports anywhere, also for type checkers: a reader follows both."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own_imports(tree: ast.Module) -> set[str]:
    """The modules of the package that a module imports, by their names below it."""
    found = set()
    for name in imports(tree):
        if name != "keras_otel" and not name.startswith("keras_otel."):
            continue
        below = name.removeprefix("keras_otel").removeprefix(".")
        # `from keras_otel.records import Decoded` imports records; `from keras_otel import x`, x.
        found.add(below if below in TREES else below.rpartition(".")[0])
    return found


def place(name: str) -> str:
    """The entry of LAYERS for a module: itself, or the closest folder around it that is listed."""
    listed = {entry for entries in LAYERS for entry in entries}
    while name not in listed:
        assert name, "the module has no place in LAYERS"
        name = name.rpartition(".")[0]
    return name


def layer(name: str) -> int:
    """The height of a module; a new folder must be given a place in LAYERS."""
    return next(height for height, entries in enumerate(LAYERS) if place(name) in entries)


@pytest.mark.parametrize("name", sorted(TREES))
def test_imports_point_downwards(name):
    """No module imports one of a higher layer, or one beside its folder."""
    upward = {
        other
        for other in own_imports(TREES[name])
        if layer(other) > layer(name)
        or (layer(other) == layer(name) and place(other) != place(name))
    }

    assert upward == set()


def test_layers_name_each_place_once():
    """The list of layers is the package's own."""
    listed = [entry for entries in LAYERS for entry in entries]

    assert len(listed) == len(set(listed))
    assert set(listed) <= set(TREES)


def test_no_module_imports_itself_by_way_of_another():
    """There is no circle, also within a layer."""
    remaining = {name: own_imports(tree) - {name} for name, tree in TREES.items()}
    while remaining:
        free = [name for name, wanted in remaining.items() if not wanted & set(remaining)]
        assert free, f"a circle among {sorted(remaining)}"
        for name in free:
            del remaining[name]


def test_only_the_observer_brings_decoding_and_emission_together():
    """One module knows how outputs are read, how spans are made and where predictions go."""
    parts = {"inference.outputs", "inference.span", "propagation.publishing"}
    glue = {name for name, tree in TREES.items() if parts <= own_imports(tree)}

    assert glue == {"inference.observer"}


@pytest.mark.parametrize("part", sorted(STRANGERS))
def test_parts_know_nothing_of_strangers(part):
    """Decoding knows no OpenTelemetry, records no numpy, and so on."""
    for name, tree in TREES.items():
        if name == part or name.startswith(f"{part}."):
            at_the_top = ast.Module(body=tree.body, type_ignores=[])
            packages = {found.partition(".")[0] for found in imports(at_the_top)}
            if name == "identity.fingerprint":
                packages.discard("numpy")  # inside a function
            assert packages & STRANGERS[part] == set()


def test_a_framework_is_never_imported():
    """Keras and its backends are the program's to import; the package looks them up."""
    # `diagnostics.probe` runs in a process of its own, whose work it is to import Keras.
    importing = {
        name: {found.partition(".")[0] for found in imports(tree)} & FRAMEWORKS
        for name, tree in TREES.items()
        if name != "diagnostics.probe"
    }

    assert {name: found for name, found in importing.items() if found} == {}


IMPORT = """
import json, sys
import {module}
heavy = {{"keras", "tf_keras", "tensorflow", "jax", "torch", "numpy", "openvino"}}
print(json.dumps(sorted(heavy & set(sys.modules))))
"""


@pytest.mark.parametrize("module", ["keras_otel", "keras_otel.cli", "keras_otel.instrumentor"])
def test_importing_loads_nothing_heavy(module):
    """`import keras_otel` and the command line load neither Keras, nor a backend, nor numpy."""
    answer = subprocess.run(
        [sys.executable, "-c", IMPORT.format(module=module)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert json.loads(answer.stdout) == []


def test_the_public_names():
    """At most sixteen names are public, sorted, and all are there."""
    names = keras_otel.__all__

    assert names == sorted(names)
    assert len(names) <= 16  # fifteen, and `__version__`
    assert all(hasattr(keras_otel, name) for name in names)


def catches_everything(tree: ast.Module) -> bool:
    """True if a module catches `Exception`, `BaseException` or anything, and goes on."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "BaseException"
            is_passed_on = isinstance(node.body[-1], ast.Raise)
            if {"Exception", "BaseException"} & set(caught.strip("()").split(", ")) and (
                not is_passed_on
            ):
                return True
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).endswith("suppress")
            and {"Exception", "BaseException"} & {ast.unparse(a) for a in node.args}
        ):
            return True
    return False


def test_only_the_guard_catches_every_exception():
    """What may raise anything goes through `guarded`, where it is counted.

    But for what a user throws into a generator or coroutine, which is handed on to it.
    """
    catching = {name for name, tree in TREES.items() if catches_everything(tree)}
    assert catching == {"_guard", "runtimes.steps"}


def test_no_module_is_called_for_what_it_is_not():
    """A module is named after what it holds."""
    vague = {"utils", "util", "helpers", "common", "base", "manager", "misc"}

    assert {name for name in TREES if set(name.split(".")) & vague} == set()
