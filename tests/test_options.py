"""Options: argument over environment over default."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from keras_otel.errors import OptionError
from keras_otel.options import ENVIRONMENT, VARIABLES, Options, resolve

DOCUMENTATION = (Path(__file__).parents[1] / "docs" / "options.md").read_text(encoding="utf-8")
NAMES = [field.name for field in fields(Options)]


def hook(span, inference):
    """A hook to be named by text."""


# For each option: an argument, and another value as the environment's text and as it is read.
CASES = {
    "export": ("file:a.jsonl", "http://localhost:4318", "http://localhost:4318"),
    "propagate": ("all", "none", "none"),
    "on_prediction": (hook, "json:dumps", __import__("json").dumps),
    "max_rows": (5, "7", 7),
    "metrics": (True, "false", False),
    "openinference": (False, "1", True),
    "record": ("inline", "background", "background"),
    "model_version": ("v1", "intent=v2, topic = v3", {"intent": "v2", "topic": "v3"}),
}


def test_every_option_of_the_environment_has_a_case():
    """An option that gets an environment variable gets a test."""
    assert set(CASES) == set(ENVIRONMENT)


@pytest.mark.parametrize("name", CASES)
def test_argument_over_environment_over_default(name):
    """The argument wins, then the environment, then the default; blank text says nothing."""
    argument, text, from_text = CASES[name]
    variable = ENVIRONMENT[name]

    assert getattr(resolve({name: argument}, {variable: text}), name) == argument
    assert getattr(resolve({}, {variable: text}), name) == from_text
    assert getattr(resolve({name: None}, {variable: text}), name) == from_text
    assert getattr(resolve({}, {variable: f"  {text}\n"}), name) == from_text
    assert resolve({}, {variable: "  "}) == resolve({}, {}) == Options()


def test_the_environment_is_the_process_own(monkeypatch):
    """Without another environment the process's own is read."""
    monkeypatch.setenv("OTEL_PYTHON_KERAS_MAX_ROWS", "9")

    assert resolve({}).max_rows == 9


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("tracer_provider", TracerProvider(shutdown_on_exit=False)),
        ("meter_provider", MeterProvider(shutdown_on_exit=False)),
        ("logger_provider", LoggerProvider(shutdown_on_exit=False)),
    ],
)
def test_providers_are_taken_as_they_are(name, provider):
    """A provider is an argument only, and the very object that was given."""
    assert getattr(resolve({name: provider}, {}), name) is provider
    with pytest.raises(OptionError, match=rf"^option '{name}' must be an OpenTelemetry provider"):
        resolve({name: object()}, {})


@pytest.mark.parametrize("text", ["1", "true", "YES", "On"])
def test_ways_to_write_true(text):
    """The usual words for true are read in any case."""
    assert resolve({}, {"OTEL_PYTHON_KERAS_OPENINFERENCE": text}).openinference is True


@pytest.mark.parametrize("text", ["0", "false", "No", "OFF"])
def test_ways_to_write_false(text):
    """The usual words for false are read in any case."""
    assert resolve({}, {"OTEL_PYTHON_KERAS_METRICS": text}).metrics is False


@pytest.mark.parametrize(
    "target",
    [
        "http://localhost:4318",
        "https://collector.example/otlp",
        "grpc://localhost:4317",
        "grpcs://collector:4317",
        "http://[::1]:4318",
        "file:traces.jsonl",
        "file:///tmp/traces.jsonl",
    ],
)
def test_targets_that_can_be_exported_to(target):
    """HTTP, gRPC with and without TLS, and files."""
    assert resolve({"export": target}, {}).export == target


BAD_ARGUMENTS = [
    ("export", 7, "must be text, got int"),
    ("export", "", "write http://host:4318, grpc://host:4317 or file:traces.jsonl"),
    ("export", "localhost:4318", "cannot be 'localhost:4318': write http://host:4318"),
    ("export", "ftp://host", "cannot be 'ftp://host'"),
    ("export", "http://", "cannot be 'http://'"),
    ("export", "http://host:99999", "cannot be 'http://host:99999'"),
    ("export", "http://host:port", "cannot be 'http://host:port'"),
    ("export", "http://[::1", "cannot be 'http://[::1'"),
    ("export", "http://host/?api-key=secret", "has a query string"),
    ("export", "file:", "cannot be 'file:'"),
    ("export", "file:///", "cannot be 'file:///'"),
    ("export", "traces.jsonl", "cannot be 'traces.jsonl'"),
    ("propagate", "some", "must be one of 'genai', 'all', 'none', got 'some'"),
    ("propagate", True, "must be one of 'genai', 'all', 'none', got True"),
    ("propagate", ["all"], "must be one of 'genai', 'all', 'none', got ['all']"),
    ("record", "later", "must be one of 'auto', 'background', 'inline', got 'later'"),
    ("record", True, "must be one of 'auto', 'background', 'inline', got True"),
    ("on_prediction", 7, "must be callable or 'module:function', got int"),
    ("on_prediction", "nothing", "cannot be loaded"),
    ("on_prediction", "no.such.module:f", "cannot be loaded: No module named 'no'"),
    ("on_prediction", "json:nothing", "cannot be loaded"),
    ("on_prediction", ".json:dumps", "cannot be loaded"),
    ("on_prediction", ":f", "cannot be loaded"),
    ("on_prediction", "json:", "cannot be loaded"),
    ("on_prediction", "json:__name__", "is not callable"),
    ("max_rows", 0, "must be a whole number from 1 to 10000, got 0"),
    ("max_rows", 10_001, "must be a whole number from 1 to 10000, got 10001"),
    ("max_rows", True, "must be a whole number from 1 to 10000, got True"),
    ("max_rows", 2.5, "must be a whole number from 1 to 10000, got 2.5"),
    ("max_rows", "32", "must be a whole number from 1 to 10000, got '32'"),
    ("metrics", "yes", "must be true or false, got 'yes'"),
    ("metrics", 1, "must be true or false, got 1"),
    ("openinference", "no", "must be true or false, got 'no'"),
    (
        "model_version",
        7,
        "must be a label such as '2026-11-01' or a mapping of model name to label",
    ),
    ("model_version", " ", "must be a label such as '2026-11-01'"),
    ("model_version", {"intent": 7}, "must be a label such as '2026-11-01'"),
    ("model_version", {"intent": ""}, "must be a label such as '2026-11-01'"),
]


@pytest.mark.parametrize(("name", "value", "words"), BAD_ARGUMENTS)
def test_a_bad_argument_is_one_line_that_names_it(name, value, words):
    """A bad argument raises at once, names the option, and says how to mend it."""
    with pytest.raises(OptionError) as caught:
        resolve({name: value}, {})

    message = str(caught.value)
    assert message.startswith(f"option '{name}' ")
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("export", "localhost", "cannot be 'localhost'"),
        ("propagate", "GENAI", "got 'GENAI'"),
        ("record", "Inline", "got 'Inline'"),
        ("on_prediction", "nothing", "cannot be loaded"),
        ("max_rows", "many", "got 'many'"),
        ("max_rows", "--5", "got '--5'"),
        ("max_rows", "-5", "got -5"),
        ("max_rows", "2.5", "got '2.5'"),
        ("metrics", "maybe", "must be true or false, got 'maybe'"),
        ("openinference", "2", "must be true or false, got '2'"),
        ("model_version", "intent=", "must be a label"),
        ("model_version", "intent=v1,topic", "must be a label"),
    ],
)
def test_a_bad_variable_is_one_line_that_names_it(name, text, words):
    """A bad value of the environment is told with the variable's own name."""
    with pytest.raises(OptionError) as caught:
        resolve({}, {ENVIRONMENT[name]: text})

    message = str(caught.value)
    assert message.startswith(f"{ENVIRONMENT[name]} ")
    assert words in message
    assert "\n" not in message


def test_every_option_has_a_bad_value():
    """No option takes just anything."""
    tried = {name for name, _, _ in BAD_ARGUMENTS}

    assert tried == set(NAMES) - {"tracer_provider", "meter_provider", "logger_provider"}


@given(st.sampled_from(sorted(CASES)), st.text())
def test_any_text_of_the_environment_is_taken_or_refused(name, text):
    """Whatever a variable holds, nothing but an OptionError comes of it."""
    if name == "on_prediction":
        text = f"json:{text}"  # importing any module at all is not for a test
    refusal = ""
    try:
        resolve({}, {ENVIRONMENT[name]: text})
    except OptionError as error:
        refusal = str(error)

    assert refusal == "" or refusal.startswith(ENVIRONMENT[name])


def test_an_argument_hides_a_bad_variable():
    """What is not used is not checked."""
    assert resolve({"max_rows": 5}, {"OTEL_PYTHON_KERAS_MAX_ROWS": "many"}).max_rows == 5


def test_a_misspelt_option_is_recognised():
    """An unknown option is an error that names the one that was meant."""
    with pytest.raises(OptionError) as caught:
        resolve({"max_row": 5}, {})

    assert str(caught.value) == "unknown option 'max_row' (did you mean 'max_rows'?)"


def test_an_unknown_option_lists_the_known():
    """Where nothing is near, all options are named."""
    with pytest.raises(OptionError) as caught:
        resolve({"verbose": True}, {})

    assert str(caught.value) == f"unknown option 'verbose' (known: {', '.join(NAMES)})"


def test_an_unknown_option_with_none_is_unknown_too():
    """A misspelt option is told even where it asks for nothing."""
    with pytest.raises(OptionError, match="did you mean 'export'"):
        resolve({"exports": None}, {})


def test_the_version_label_of_a_model():
    """One label is for all models, a mapping for those that it names."""
    assert Options(model_version="v1").version_of("intent") == "v1"
    assert Options(model_version={"intent": "v1"}).version_of("intent") == "v1"
    assert Options(model_version={"intent": "v1"}).version_of("topic") is None
    assert Options().version_of("intent") is None


def test_the_mapping_of_versions_is_copied():
    """Changing the mapping afterwards changes no option."""
    versions = {"intent": "v1"}
    options = resolve({"model_version": versions}, {})
    versions["intent"] = "v2"

    assert options.version_of("intent") == "v1"


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_documented(name):
    """docs/options.md has a row for the option with its variable and default."""
    (row,) = re.findall(rf"^\| `{name}` \|.*$", DOCUMENTATION, flags=re.MULTILINE)
    default = getattr(Options(), name)

    assert f"`{ENVIRONMENT[name]}`" in row if name in ENVIRONMENT else "none" in row
    assert f"`{default}`" in row.replace('"', "")
    assert f"\n### `{name}`\n" in DOCUMENTATION


def test_documented_variables_exist():
    """docs/options.md names no variable of ours that nothing reads."""
    named = set(re.findall(r"OTEL_PYTHON_KERAS_[A-Z_]+", DOCUMENTATION))

    assert named == set(VARIABLES)


@pytest.mark.parametrize("url", ["http://h:4318?key=s3cret", "grpc://h:4317#s3cret"])
def test_an_export_with_a_query_says_where_keys_go_and_not_the_key(url):
    """A key in the URL would swallow the exporter's path; the message does not repeat it."""
    with pytest.raises(OptionError, match="OTEL_EXPORTER_OTLP_HEADERS") as caught:
        resolve({"export": url}, {})
    assert "s3cret" not in str(caught.value)
