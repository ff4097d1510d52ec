"""The Compose file, by Compose's own binary, and the image that it builds."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.stack.servers import COMPOSE, ROOT, ask, free_port, process

BIN = Path(sys.executable).parent
DOCKERFILE = ROOT / "stack" / "Dockerfile"
PUBLISHED = {"chat", "collector", "jaeger", "prometheus", "grafana", "phoenix"}


@pytest.fixture(scope="module")
def resolved() -> dict[str, Any]:
    """What Compose makes of the file, with all profiles."""
    done = subprocess.run(
        [BIN / "docker-compose", "--profile", "*", "config", "--format", "json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    services: dict[str, Any] = json.loads(done.stdout)["services"]
    return services


def test_phoenix_is_a_profile() -> None:
    """`docker compose up` starts the stack, and `--profile phoenix` two services more."""

    def services(*options: str) -> set[str]:
        command = [BIN / "docker-compose", *options, "config", "--services"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return set(done.stdout.split())

    usual = services()
    assert usual == {"chat", "llm", "load", "collector", "jaeger", "prometheus", "grafana"}
    assert services("--profile", "phoenix") - usual == {"phoenix", "forward"}


def test_only_this_machine_can_connect(resolved: dict[str, Any]) -> None:
    """Every published port is one of the loopback address."""
    ports = {name: service["ports"] for name, service in resolved.items() if "ports" in service}

    assert set(ports) == PUBLISHED
    assert {port["host_ip"] for of_one in ports.values() for port in of_one} == {"127.0.0.1"}


def test_versions_are_pinned(resolved: dict[str, Any]) -> None:
    """Each image has the tag of one version, but for the one that is built here."""
    images = {service["image"] for service in resolved.values()} - {"keras-otel-demo"}

    assert [
        image for image in images if not re.search(r":(version-)?v?\d+\.\d+\.\d+$", image)
    ] == []


def test_what_is_mounted_is_there(resolved: dict[str, Any]) -> None:
    """Each file that Compose mounts is in the repository: for a missing one it makes a folder."""
    binds = [
        Path(volume["source"])
        for service in resolved.values()
        for volume in service.get("volumes", ())
        if volume["type"] == "bind"
    ]

    assert binds
    assert [path for path in binds if not path.exists()] == []


def test_a_service_waits_for_what_it_needs(resolved: dict[str, Any]) -> None:
    """Whom another one waits for has a health check, but for the image that cannot ask itself."""
    for name, service in resolved.items():
        for needed, how in (service.get("depends_on") or {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in resolved[needed], (name, needed)
            else:
                assert needed in {"collector", "phoenix"}, (name, needed)


def test_hadolint_accepts_the_dockerfile() -> None:
    """The Dockerfile follows hadolint's rules."""
    done = subprocess.run(
        [BIN / "hadolint", DOCKERFILE], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout


def test_the_image_does_not_run_as_root() -> None:
    """The last user that the Dockerfile names is not root."""
    users = re.findall(r"^USER (\S+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)

    assert users == ["10001:10001"]


def test_grafana_finds_what_is_provisioned() -> None:
    """Dashboards come from the folder that is mounted, and points lead to a source that is there."""
    volumes = dict(v.split(":")[:2][::-1] for v in COMPOSE["services"]["grafana"]["volumes"])
    folder = ROOT / volumes["/etc/grafana/dashboards"]
    home = COMPOSE["services"]["grafana"]["environment"][
        "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"
    ]

    def provisioned(kind: str) -> dict[str, Any]:
        place = f"/etc/grafana/provisioning/{kind}/keras.yaml"
        content: dict[str, Any] = yaml.safe_load((ROOT / volumes[place]).read_text())
        return content

    (provider,) = provisioned("dashboards")["providers"]
    sources = {source["uid"]: source for source in provisioned("datasources")["datasources"]}
    (lead,) = sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]

    assert (folder / Path(home).name).exists()
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
    assert sources[lead["datasourceUid"]]["type"] == "jaeger"
    for source in sources.values():
        assert re.fullmatch(r"http://(\w+):\d+", source["url"])[1] in COMPOSE["services"]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The image's install steps, run in a folder in the place of `/`."""
    root = tmp_path_factory.mktemp("image")
    text = DOCKERFILE.read_text(encoding="utf-8")
    stage = text.split("FROM ")[1]
    for line in re.findall(r"^(?:COPY|RUN) .*$", stage, re.MULTILINE):
        kind, _, rest = line.partition(" ")
        if kind == "COPY":
            *sources, target = rest.split()
            _copy(sources, root / "source" / target if target[0] != "/" else root / target[1:])
        else:
            _run(rest, root)
    yield root
    shutil.rmtree(root)


def _copy(sources: list[str], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for source in sources:
        if (ROOT / source).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / source, target, dirs_exist_ok=True, ignore=ignored)
        else:
            shutil.copy(ROOT / source, target)


def _run(command: str, root: Path) -> None:
    (root / "source").mkdir(exist_ok=True)
    placed = re.sub(r"(?<=\s)/(?=\w)", f"{root}/", command)
    done = subprocess.run(
        ["bash", "-ec", placed],
        cwd=root / "source",
        env={"PATH": f"{root}/venv/bin:/usr/bin:/bin:{BIN}", "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_image_s_steps(image: Path) -> None:
    """In a clean environment, both versions of the model are trained, and have their cards."""
    for version in ("v1", "v2"):
        card = json.loads((image / "models" / version / "intent.keras.card.json").read_text())
        assert (card["name"], card["version"]) == ("intent", version)


def test_what_the_image_s_containers_do(image: Path, tmp_path: Path) -> None:
    """The LLM, the service and the users, by the commands and variables that Compose gives them."""
    ports = {"llm": free_port(), "chat": free_port()}

    def placed(words: list[str], service: str = "") -> list[str | Path]:
        here = {"0.0.0.0": "127.0.0.1", "8000": str(ports.get(service))}
        text = [here.get(word, word).replace("/app", f"{image}/app") for word in words]
        return [image / "venv" / "bin" / text[0], *text[1:]]

    start = json.loads(re.search(r"^CMD (\[.*\])$", DOCKERFILE.read_text(), re.MULTILINE)[1])
    variables = {
        **COMPOSE["services"]["chat"]["environment"],
        "KERAS_BACKEND": "jax",
        "MODELS": str(image / "models"),
        "OTEL_PYTHON_KERAS_EXPORT": f"file:{tmp_path / 'traces.jsonl'}",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{ports['llm']}/v1",
        "OPENAI_API_KEY": "none",
        "OPENAI_MODEL": "corpus-reader",
    }
    asking = [
        word.replace("http://chat:8000", f"http://127.0.0.1:{ports['chat']}")
        for word in placed(COMPOSE["services"]["load"]["command"])
        for word in [str(word)]
        if word != "--keep-on"
    ]
    llm, chat = (f"http://127.0.0.1:{ports[name]}/health" for name in ("llm", "chat"))
    with (
        process(placed(COMPOSE["services"]["llm"]["command"], "llm"), llm, tmp_path / "llm.log"),
        process(placed(start, "chat"), chat, tmp_path / "chat.log", **variables),
    ):
        done = subprocess.run(
            [*asking, "--requests", "40"], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "40 questions asked, 0 without an answer\n"
        assert ask(chat, whole=True) == {"status": "ok", "version": "v2"}

    assert '"intent"' in (tmp_path / "traces.jsonl").read_text(encoding="utf-8")
