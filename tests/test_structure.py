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

# From the bottom up. A module imports from lower layers, and from its own only without a circle.
LAYERS = (
    ("_scope", "errors", "version", "_active", "_forks", "_unicode"),
    (
        "_guard",
        "_own_random",
        "_patching",
        "_secrets",
        "records",
        "semconv",
        "decoding.agreement",
        "decoding.heads",
    ),
    (
        "_deadline",
        "_seen",
        "_worker",
        "decoding.batches",
        "fingerprint",
        "identity",
        "ids",
        "namesakes",
        "naming",
    ),
    ("options",),
    ("delivery", "_child_exits", "_fit_batches", "_stop_signal"),
    ("decoding.multiclass", "decoding.independent", "decoding.values"),
    ("decoding.sequences",),
    ("decoding.decode", "decoding"),
    ("cards", "limits"),
    ("emission",),
    (
        "propagation.genai",
        "propagation.remote",
        "propagation.members",
        "propagation.carriers",
        "propagation.pipelines",
        "propagation.homes",
        "propagation.units",
    ),
    ("propagation.tree", "propagation.recent", "propagation.stamps", "propagation.explicit"),
    ("propagation.news", "propagation.waiting", "propagation.batches"),
    ("propagation.contexts",),
    ("propagation.flow",),
    ("propagation.flows",),
    ("propagation.concerns",),
    ("propagation.flow_events",),
    ("propagation.undecided",),
    ("propagation.reading", "propagation.publishing"),
    (
        "propagation.rows",
        "propagation.processors",
        "propagation.attachment",
        "propagation.baggage",
        "propagation",
    ),
    ("counting",),
    ("metrics",),
    ("_exits",),
    ("export", "flushing"),
    ("runtimes.assignments", "runtimes.variables"),
    ("runtimes.assigning",),
    ("_weights",),
    ("runtimes.adapter", "runtimes.activations", "runtimes.arrays", "runtimes.call_source"),
    ("runtimes.containers", "runtimes.losses"),
    ("runtimes.structures", "runtimes.graph"),
    ("runtimes.last_layers",),
    ("runtimes.inspection",),
    ("runtimes.heads",),
    ("_call", "_hashing"),
    ("_models",),
    ("_own_outputs",),
    ("_outputs",),
    ("_observer",),
    ("runtimes.steps", "runtimes.autograph"),
    ("runtimes.calls", "runtimes.keras_models", "runtimes.overrides"),
    ("runtimes.keras3", "runtimes.tf_keras"),
    ("runtimes.packages", "runtimes.traced", "runtimes"),
    ("feedback.notes", "feedback.forms", "feedback.subject"),
    ("feedback.verdict", "feedback.upstream", "feedback.outlets"),
    ("feedback.entries",),
    ("feedback.evaluations", "feedback.outcomes", "feedback"),
    ("description", "instrumentor"),
    ("",),
    (
        "analysis.sources.telemetry",
        "analysis.sources.http_json",
        "analysis.sources.text",
        "analysis.sources.schema",
        "analysis.sources.container_logs",
        "analysis.sources.frames",
    ),
    ("analysis.sources.columns", "analysis.sources.evaluations", "analysis.sources.row_values"),
    ("analysis.sources.row_forms",),
    ("analysis.sources.intake",),
    (
        "analysis.sources.otlp",
        "analysis.sources.otlp_values",
        "analysis.sources.jaeger",
        "analysis.sources.rows",
        "analysis.sources.unreadable",
    ),
    ("analysis.sources.documents", "analysis.sources.files", "analysis.sources.unpacking"),
    ("analysis.sources.json_text", "analysis.sources.protobuf_file"),
    ("analysis.sources.lines", "analysis.sources.csv_file", "analysis.sources.parquet_file"),
    (
        "analysis.sources.evaluation_tables",
        "analysis.sources.engines",
        "analysis.sources.jaeger_api",
        "analysis.sources.phoenix",
        "analysis.sources.shares",
        "analysis.sources.span_owners",
    ),
    ("analysis.sources.clickhouse",),
    ("analysis.sources.reading", "analysis.sources"),
    (
        "analysis.attributes",
        "analysis.wanted",
        "analysis.bins",
        "analysis.cuts",
        "analysis.fail_rules",
        "analysis.frames",
        "analysis.intervals",
        "analysis.lineage",
        "analysis.materialise",
        "analysis.sampling",
        "analysis.stamps",
        "analysis.trace_sample",
        "analysis.verdicts",
    ),
    (
        "analysis.answers",
        "analysis.numbers",
        "analysis.pairs",
        "analysis.predictions",
        "analysis.significance",
    ),
    ("analysis.features",),
    ("analysis.trace_values", "analysis.clusters", "analysis.sampling_signs"),
    ("analysis.screened_attributes",),
    ("analysis.row_keys", "analysis.accounting"),
    ("analysis.tables", "analysis.cells"),
    ("analysis.result", "analysis.sums", "analysis.lattice", "analysis.effects"),
    ("analysis.comparison", "analysis.candidates", "analysis.confounding"),
    ("analysis.cohorts", "analysis.examples", "analysis.selection", "analysis.unexplained"),
    ("analysis.known_slices", "analysis.screening"),
    ("analysis.shortlist",),
    ("analysis.findings", "analysis.settings"),
    ("analysis.direction",),
    ("analysis.family",),
    ("analysis.slicing", "analysis.changes"),
    ("analysis.ready_columns", "analysis.ready_file", "analysis.ready_table"),
    ("analysis.ready_rows", "analysis"),
    (
        "analysis.reports.mix_and_rate",
        "analysis.reports.quantities",
        "analysis.reports.ranges",
        "analysis.reports.trace_links",
    ),
    ("analysis.reports.wording",),
    (
        "analysis.reports.carried_cells",
        "analysis.reports.readings",
        "analysis.reports.slice_lines",
    ),
    ("analysis.reports.change_lines",),
    (
        "analysis.reports.contents",
        "analysis.reports.csv_lines",
        "analysis.reports.json_document",
    ),
    (
        "analysis.reports.plots",
        "analysis.reports.plots.labels",
        "analysis.reports.plots.plot",
        "analysis.reports.plots.themed",
    ),
    (
        "analysis.reports.plots.decomposition",
        "analysis.reports.plots.heat_map",
        "analysis.reports.plots.rates",
        "analysis.reports.plots.shares",
    ),
    ("analysis.reports.plots.comparison",),
    ("analysis.reports.plots.gallery",),
    ("analysis.reports.markdown", "analysis.reports.page", "analysis.reports.table"),
    ("analysis.reports",),
    ("dashboards.jaeger", "dashboards.series"),
    ("dashboards.expressions", "dashboards.panels"),
    ("dashboards.rules",),
    ("dashboards.rows",),
    ("dashboards.grafana",),
    ("dashboards.files", "dashboards"),
    ("cli",),
)

# What each part of the package knows nothing of.
STRANGERS = {
    "decoding": {"opentelemetry", "keras", "tf_keras", "tensorflow", "jax", "torch", "wrapt"},
    "records": {"opentelemetry", "numpy"},
    "semconv": {"opentelemetry", "numpy"},
    "identity": {"opentelemetry", "numpy"},
    "cards": {"opentelemetry", "numpy"},
    "fingerprint": {"opentelemetry"},
    "_patching": {"opentelemetry", "numpy"},
    "emission": {"numpy"},
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
    """The modules that a module imports anywhere, but for type checkers only."""
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
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


def layer(name: str) -> int:
    """The height of a module; a new one must be given a place in LAYERS."""
    exact = [height for height, names in enumerate(LAYERS) if name in names]
    if not exact and name.startswith("cli."):
        return len(LAYERS) - 1
    assert exact, f"{name} has no place in LAYERS"
    return exact[0]


@pytest.mark.parametrize("name", sorted(TREES))
def test_imports_point_downwards(name):
    """No module imports one of a higher layer."""
    upward = {other for other in own_imports(TREES[name]) if layer(other) > layer(name)}

    assert upward == set()


def test_layers_name_each_module_once():
    """The list of layers is the package's own."""
    listed = [name for names in LAYERS for name in names]

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
    parts = {"_outputs", "emission", "propagation.publishing"}
    glue = {name for name, tree in TREES.items() if parts <= own_imports(tree)}

    assert glue == {"_observer"}


@pytest.mark.parametrize("part", sorted(STRANGERS))
def test_parts_know_nothing_of_strangers(part):
    """Decoding knows no OpenTelemetry, records no numpy, and so on."""
    for name, tree in TREES.items():
        if name == part or name.startswith(f"{part}."):
            at_the_top = ast.Module(body=tree.body, type_ignores=[])
            packages = {found.partition(".")[0] for found in imports(at_the_top)}
            if part == "fingerprint":
                packages.discard("numpy")  # inside a function
            assert packages & STRANGERS[part] == set()


def test_a_framework_is_never_imported():
    """Keras and its backends are the program's to import; the package looks them up."""
    # `cli.probe` runs in a process of its own, whose work it is to import Keras.
    importing = {
        name: {found.partition(".")[0] for found in imports(tree)} & FRAMEWORKS
        for name, tree in TREES.items()
        if name != "cli.probe"
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
