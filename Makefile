# make demo and make test need Python 3.11 or later, make and a network: they make their own
# virtual environments. Everything installed lies in .venv, .venv-* and .cache.

PYTHON ?= python3
PIP := bin/pip --disable-pip-version-check --quiet
SOURCES := $(shell find keras_otel -name '*.py' -o -name py.typed) pyproject.toml README.md LICENSE
export TF_CPP_MIN_LOG_LEVEL := 3

# Tests of programs, files and commands: each starts what it needs itself, or none of Keras.
PROGRAM_TESTS := tests/analysis tests/cli tests/dashboards tests/diagnostics tests/integration
# Labels are the same whichever way inferences are recorded; elsewhere in the tests it is inline.
LABEL_TESTS := $(addprefix tests/propagation/test_,baggage.py joins.py one_name.py processors.py \
	publishing.py random_requests.py situations.py unclassified_spans.py)
IGNORED := $(addprefix --ignore=,$(PROGRAM_TESTS) tests/frameworks)

.PHONY: demo test test-models test-programs test-backends test-frameworks test-torch test-stack
.PHONY: stack-servers environments dashboards lint bench judge clean

demo: .venv/.package
	.venv/bin/python examples/intent_router $(ARGS)

# TensorFlow runs every test; the other backends those that touch a model. Two groups at a time:
# `make --jobs=2 --output-sync=target test`.
test: test-models test-programs test-backends test-frameworks

test-models: .venv/.package
	KERAS_BACKEND=tensorflow .venv/bin/pytest $(IGNORED) $(ARGS)

test-programs: .venv/.package .venv-traceai/.package
	KERAS_BACKEND=tensorflow .venv/bin/pytest $(PROGRAM_TESTS) $(ARGS)

test-backends: .venv/.package
	KERAS_BACKEND=jax .venv/bin/pytest tests/backends $(ARGS)
	KERAS_BACKEND=numpy .venv/bin/pytest tests/backends $(ARGS)
	KERAS_BACKEND=openvino .venv/bin/pytest tests/backends $(ARGS)
	KERAS_BACKEND=numpy OTEL_PYTHON_KERAS_RECORD=background .venv/bin/pytest $(LABEL_TESTS) $(ARGS)

# Programs of LangGraph, LangChain, Logfire, Langfuse, MLflow and others.
test-frameworks: .venv/.package .venv-traceai/.package .venv-frameworks/.package
	.venv/bin/pytest tests/frameworks $(ARGS)

test-torch: .venv-torch/.package
	KERAS_BACKEND=torch .venv-torch/bin/pytest tests/backends $(ARGS)

# The configuration that docker-compose.yml mounts, in real servers fed by the demo.
test-stack: stack-servers
	.venv/bin/pytest tests/stack $(ARGS)

# Jaeger, Prometheus and the Collector are built with Go into .cache, once; without Go they are left out.
stack-servers: .venv/.package .venv-phoenix/.dependencies .venv-mlflow/.dependencies
	.venv/bin/python -m tests.go_binaries

# The files that docker-compose.yml mounts into Grafana, Prometheus and Jaeger.
dashboards: .venv/.package
	.venv/bin/keras-otel dashboards export stack/dashboards --service chat

lint: .venv/.package
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

bench: .venv/.package
	.venv/bin/python benchmarks/overhead.py $(ARGS)
	.venv/bin/python benchmarks/propagation.py

# All of Keras's own model, trainer and core layer tests, with and without keras_otel.
judge: .venv/.package
	.venv/bin/python tests/keras_suite/run.py $(ARGS)

# All virtual environments at once: `make --jobs=2 environments`.
environments: .venv/.package .venv-traceai/.package .venv-frameworks/.package .venv-torch/.package
environments: .venv-phoenix/.dependencies .venv-mlflow/.dependencies

# Tests run against the installed package, never against the source folder.
.venv/.package: .venv/.dependencies $(SOURCES)
	.venv/$(PIP) install --no-deps --force-reinstall --no-build-isolation .
	touch $@

.venv/.dependencies: pyproject.toml tests/foreign-models.txt tests/exact-pins.txt
	$(PYTHON) -m venv .venv
	.venv/$(PIP) install --upgrade pip hatchling
	.venv/$(PIP) install '.[tensorflow,jax,openvino,tf-keras,analysis,clickhouse,spark,dashboards,demo,dev]'
	.venv/$(PIP) install --no-deps --requirement tests/foreign-models.txt
	.venv/$(PIP) install --no-deps --requirement tests/exact-pins.txt
	touch $@

.venv-torch/.package: .venv-torch/.dependencies $(SOURCES)
	.venv-torch/$(PIP) install --no-deps --force-reinstall --no-build-isolation .
	touch $@

.venv-torch/.dependencies: pyproject.toml
	$(PYTHON) -m venv .venv-torch
	.venv-torch/$(PIP) install --upgrade pip hatchling
	.venv-torch/$(PIP) install '.[torch,jax,dev]'
	touch $@

# JAX is for Keras's NumPy backend.
.venv-frameworks/.package: .venv-frameworks/.dependencies $(SOURCES)
	.venv-frameworks/$(PIP) install --no-deps --force-reinstall --no-build-isolation .
	touch $@

.venv-frameworks/.dependencies: pyproject.toml tests/frameworks/frameworks.txt
	$(PYTHON) -m venv .venv-frameworks
	.venv-frameworks/$(PIP) install --upgrade pip hatchling
	.venv-frameworks/$(PIP) install '.[jax]' --requirement tests/frameworks/frameworks.txt
	touch $@

# FutureAGI's instrumentation wants an older wrapt than every other test runs with.
.venv-traceai/.package: .venv-traceai/.dependencies $(SOURCES)
	.venv-traceai/$(PIP) install --no-deps --force-reinstall --no-build-isolation .
	touch $@

.venv-traceai/.dependencies: pyproject.toml tests/traceai.txt
	$(PYTHON) -m venv .venv-traceai
	.venv-traceai/$(PIP) install --upgrade pip hatchling
	.venv-traceai/$(PIP) install '.[jax]' 'openai>=2.8' --requirement tests/traceai.txt
	touch $@

.venv-phoenix/.dependencies: tests/stack/phoenix.txt
	$(PYTHON) -m venv .venv-phoenix
	.venv-phoenix/$(PIP) install --requirement tests/stack/phoenix.txt
	touch $@

.venv-mlflow/.dependencies: tests/stack/mlflow.txt
	$(PYTHON) -m venv .venv-mlflow
	.venv-mlflow/$(PIP) install --requirement tests/stack/mlflow.txt
	touch $@

clean:
	rm -rf .venv .venv-torch .venv-traceai .venv-frameworks .venv-phoenix .venv-mlflow .cache build dist
