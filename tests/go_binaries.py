"""Real servers that are written in Go, built once into the cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

COLLECTOR_VERSION = "0.155.0"
COLLECTOR_SOURCE = Path(__file__).parent / "integration" / "collector"

JAEGER_MODULE = "github.com/jaegertracing/jaeger"
JAEGER_VERSION = "v1.76.0"  # holds Jaeger 2.13

PROMETHEUS_MODULE = "github.com/prometheus/prometheus"
PROMETHEUS_VERSION = "v0.315.0"  # holds Prometheus 3.15


def build_collector() -> Path | None:
    """The Collector, of the components that tests need; None where there is no Go."""
    source = b"".join(path.read_bytes() for path in sorted(COLLECTOR_SOURCE.iterdir()))
    key = f"{COLLECTOR_VERSION}-{hashlib.sha256(source).hexdigest()[:12]}"

    def build(go: str, binary: Path) -> None:
        command = [go, "build", "-trimpath", "-o", os.fspath(binary), "."]
        subprocess.run(command, cwd=COLLECTOR_SOURCE, check=True)

    return _built("collector", key, build)


def build_jaeger() -> Path | None:
    """Jaeger with its storage in memory, without its web page; None where there is no Go."""

    def build(go: str, binary: Path) -> None:
        _build_module(go, binary, JAEGER_MODULE, JAEGER_VERSION, "cmd/jaeger")

    return _built("jaeger", JAEGER_VERSION, build)


def build_prometheus() -> Path | None:
    """Prometheus, without service discovery and its web page; None where there is no Go."""
    return _built_of_prometheus("prometheus")


def build_promtool() -> Path | None:
    """What checks Prometheus's rules and tests them; None where there is no Go."""
    return _built_of_prometheus("promtool")


def _built_of_prometheus(name: str) -> Path | None:
    def build(go: str, binary: Path) -> None:
        _build_module(
            go, binary, PROMETHEUS_MODULE, PROMETHEUS_VERSION, f"cmd/{name}", tags="remove_all_sd"
        )

    return _built(name, PROMETHEUS_VERSION, build)


def _built(name: str, key: str, build: Callable[[str, Path], None]) -> Path | None:
    """A binary in the cache folder (`KERAS_OTEL_CACHE`, else `.cache` in the checkout)."""
    root = Path(__file__).parents[1]
    cache = Path(os.environ.get("KERAS_OTEL_CACHE") or root / ".cache").resolve()
    binary = cache / f"{name}-{key}" / name
    if binary.exists():
        return binary
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        return None
    binary.parent.mkdir(parents=True, exist_ok=True)
    # Built beside its place and moved, so that a build that is cut off leaves nothing to trust.
    unfinished = binary.with_name(f"{name}.{os.getpid()}")
    build(go, unfinished)
    unfinished.replace(binary)
    return binary


def _build_module(
    go: str, binary: Path, module: str, version: str, package: str, *, tags: str = ""
) -> None:
    """Build a package of a module that `go install` refuses for its `replace` lines.

    A module of our own requires what that one requires, and has its checksums.
    """
    downloaded = json.loads(
        subprocess.run(
            [go, "mod", "download", "-json", f"{module}@{version}"],
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
    )
    folder = binary.parent / "source"
    folder.mkdir(exist_ok=True)
    theirs = Path(downloaded["GoMod"]).read_text(encoding="utf-8")
    required = "\n".join(re.findall(r"^require \(.*?^\)", theirs, flags=re.DOTALL | re.MULTILINE))
    (language,) = re.findall(r"^go .*$", theirs, flags=re.MULTILINE)
    (folder / "go.mod").write_text(
        f"module build\n\n{language}\n\n{required}\n\nrequire {module} {version}\n"
    )
    sums = (Path(downloaded["Dir"]) / "go.sum").read_text(encoding="utf-8")
    own = f"{module} {version} {downloaded['Sum']}\n{module} {version}/go.mod {downloaded['GoModSum']}\n"
    (folder / "go.sum").write_text(sums + own)
    subprocess.run(
        [
            go,
            "build",
            "-trimpath",
            "-mod=mod",
            f"-tags={tags}",
            "-o",
            os.fspath(binary),
            f"{module}/{package}",
        ],
        cwd=folder,
        check=True,
    )
    shutil.rmtree(folder)


if __name__ == "__main__":
    for built in (build_collector(), build_jaeger(), build_prometheus(), build_promtool()):
        print(built or "Go is not installed: nothing is built")
