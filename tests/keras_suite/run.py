"""Run Keras's own tests with and without keras_otel, and compare the outcome of every test.

    python tests/keras_suite/run.py --backend jax
    python tests/keras_suite/run.py --backend tensorflow trainers.trainer_test models.*

Each test module of the installed Keras runs in a process of its own. A test that differs is run
again with its whole module, in both ways: it is flaky if Keras alone gives the same outcomes, a
difference if it comes again, and unrepeated otherwise.

Exit codes: 0 the same; 1 a difference, a span where none may be, or an error inside keras_otel;
2 usage error.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from judge_recorder import OUTCOMES_VARIABLE
from judge_watch import WATCH_VARIABLE

HERE = Path(__file__).resolve().parent
BACKENDS = ("tensorflow", "jax")
PATTERNS = ("models.*_test", "trainers.*_test", "layers.core.*_test")
SHORT = ("models.*_test", "trainers.trainer_test")
"""The modules that build, call, train and save models most; the rest hardly calls one."""

SHORT_SELECTION = {"trainers.trainer_test": "not test_steps_"}
"""What `--short` leaves out: dozens of slow variants of `fit` that count steps."""

ROUNDS = 3
"""How often a module is run again to tell a flaky test from a difference."""

WAYS = (False, True)
"""Without and with instrumentation."""

MODULE_LIMIT_S = 1800.0
CRASH = "<process>"

Outcomes = dict[str, str]


@dataclass(frozen=True, slots=True)
class Case:
    """One module on one backend, and which of its tests (pytest's `-k`)."""

    backend: str
    module: str
    selection: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What the instrumented run saw of spans and of errors behind the guard."""

    spans: dict[str, int] = field(default_factory=dict)
    wrong: list[dict[str, str]] = field(default_factory=list)
    guard: list[dict[str, Any]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of one module."""

    outcomes: Outcomes
    seconds: float
    output: str
    watched: Watched


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A test whose outcomes were not the same in the first round."""

    test: str
    bare: tuple[str, ...]
    instrumented: tuple[str, ...]

    @property
    def verdict(self) -> str:
        if set(self.instrumented) <= set(self.bare):
            return "flaky"
        came_again = any(i not in self.bare for i in self.instrumented[1:])
        return "difference" if came_again else "unrepeated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Both runs of one module, and in what they differ."""

    module: str
    bare: Run
    instrumented: Run
    differences: tuple[Difference, ...]

    @property
    def is_sound(self) -> bool:
        return not (
            any(d.verdict == "difference" for d in self.differences)
            or self.instrumented.watched.wrong
            or self.instrumented.watched.guard
        )


def main(arguments: list[str] | None = None) -> int:
    """Judge the chosen modules on the chosen backends."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("patterns", nargs="*", help="modules below keras.src; all by default")
    parser.add_argument("--backend", choices=BACKENDS, action="append", help="both by default")
    parser.add_argument("--short", action="store_true", help="only the modules that matter most")
    parser.add_argument("--jobs", type=int, default=1, help="processes at one time (default 1)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="runs again after a difference")
    parser.add_argument("-x", "--exitfirst", action="store_true", help="stop at a difference")
    options = parser.parse_args(arguments)
    modules = list(find_modules(options.patterns or (SHORT if options.short else PATTERNS)))
    if not modules:
        parser.error(f"no test module of Keras fits {' '.join(options.patterns)}")
    is_sound = True
    for backend in options.backend or BACKENDS:
        is_sound &= judge_backend(backend, modules, options)
    return 0 if is_sound else 1


def find_modules(patterns: Iterable[str]) -> Iterator[str]:
    """Dotted names, below `keras.src`, of the installed test modules that fit a pattern."""
    keras = importlib.util.find_spec("keras")
    if keras is None or keras.origin is None:
        sys.exit("keras is not installed: pip install keras-otel[dev,tensorflow,jax]")
    source = Path(keras.origin).parent / "src"
    names = (
        ".".join(path.relative_to(source).with_suffix("").parts)
        for path in source.rglob("*_test.py")
    )
    return iter(sorted(n for n in names if any(fnmatch.fnmatchcase(n, p) for p in patterns)))


def judge_backend(backend: str, modules: list[str], options: argparse.Namespace) -> bool:
    """Judge every module on one backend, print what was seen, and say if all is sound."""
    started = time.perf_counter()
    selections = SHORT_SELECTION if options.short else {}
    print(f"{backend}: {len(modules)} modules of Keras, without and with keras_otel", flush=True)
    print(_row("module", ("passed", "failed", "skipped", "errors", "s"), "spans"))
    judged: list[Judgement] = []
    with ThreadPoolExecutor(max(1, options.jobs)) as pool:
        cases = [Case(backend, module, selections.get(module, "")) for module in modules]
        pairs = [[pool.submit(run_module, case, is_instrumented=i) for i in WAYS] for case in cases]
        for case, (bare, instrumented) in zip(cases, pairs, strict=True):
            judgement = judge(case, bare.result(), instrumented.result(), options.rounds)
            judged.append(judgement)
            _print_judgement(judgement)
            if options.exitfirst and not judgement.is_sound:
                pool.shutdown(cancel_futures=True)
                break
    _print_totals(backend, judged, time.perf_counter() - started)
    return all(j.is_sound for j in judged)


def judge(case: Case, bare: Run, instrumented: Run, rounds: int) -> Judgement:
    """Compare the two runs of a module, and run it again in both ways where a test differs."""
    tests = [
        test
        for test in bare.outcomes | instrumented.outcomes
        if bare.outcomes.get(test) != instrumented.outcomes.get(test)
    ]
    bares, instrumenteds = [bare], [instrumented]
    for _ in range(rounds if tests else 0):
        bares.append(run_module(case, is_instrumented=False))
        instrumenteds.append(run_module(case, is_instrumented=True))
    return Judgement(
        module=case.module,
        bare=bare,
        instrumented=instrumented,
        differences=tuple(
            Difference(test=test, bare=_seen(test, bares), instrumented=_seen(test, instrumenteds))
            for test in tests
        ),
    )


def _seen(test: str, runs: list[Run]) -> tuple[str, ...]:
    return tuple(run.outcomes.get(test, "not run") for run in runs)


def run_module(case: Case, *, is_instrumented: bool) -> Run:
    """Run one module in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="keras_suite_") as folder:
        outcomes, watch = Path(folder, "outcomes.jsonl"), Path(folder, "watch.json")
        outcomes.touch()
        plugins = ["judge_recorder", *(["judge_watch"] if is_instrumented else [])]
        command = [
            *(sys.executable, "-m", "pytest", "--pyargs", f"keras.src.{case.module}"),
            *("-q", "--tb=short"),
            *(("-k", case.selection) if case.selection else ()),
            *("-c", str(HERE / "judge.ini"), "--rootdir", folder, "-p", "no:cacheprovider"),
            *(part for plugin in plugins for part in ("-p", plugin)),
        ]
        started = time.perf_counter()
        try:
            process = subprocess.run(
                command,
                cwd=folder,
                env=_environment(case.backend, folder, outcomes, watch),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=MODULE_LIMIT_S,
                check=False,
            )
            status, output = f"exit code {process.returncode}", process.stdout
        except subprocess.TimeoutExpired as error:
            status, output = f"stopped after {MODULE_LIMIT_S:.0f} s", error.stdout or b""
        return Run(
            outcomes=read_outcomes(outcomes, status),
            seconds=time.perf_counter() - started,
            output=output.decode(errors="replace"),
            watched=_read_watch(watch),
        )


def _environment(backend: str, folder: str, outcomes: Path, watch: Path) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "PYTEST_"))}
    paths = [str(HERE), inherited.get("PYTHONPATH", "")]
    return inherited | {
        "KERAS_BACKEND": backend,
        "KERAS_HOME": folder,  # the user's keras.json may change dtypes
        "CUDA_VISIBLE_DEVICES": "-1",
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        OUTCOMES_VARIABLE: str(outcomes),
        WATCH_VARIABLE: str(watch),
    }


def read_outcomes(path: Path, status: str) -> Outcomes:
    """The outcome of each test; a test with several reports (subtests) joins them."""
    seen: dict[str, list[str]] = {}
    has_ended = False
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        has_ended |= "exit" in record
        if "test" in record:
            detail = f" {record['detail']}" if "detail" in record else ""
            seen.setdefault(record["test"], []).append(record["outcome"] + detail)
    outcomes = {test: _joined(reports) for test, reports in seen.items()}
    if not has_ended:
        outcomes[CRASH] = f"error {status}"
    return outcomes


def _joined(reports: list[str]) -> str:
    bad = sorted(r for r in reports if r.startswith(("failed", "error")))
    return ", ".join(bad) if bad else reports[-1]


def _read_watch(path: Path) -> Watched:
    if not path.exists():
        return Watched()
    record = json.loads(path.read_text(encoding="utf-8"))
    return Watched(**{f.name: record[f.name] for f in fields(Watched)})


# -- what is printed -------------------------------------------------------------------------------

_COLUMNS = ("passed", "failed", "skipped", "error")


def _counts(outcomes: Outcomes) -> tuple[int, ...]:
    words = Counter(outcome.split(" ")[0].removeprefix("x") for outcome in outcomes.values())
    return tuple(words[column] for column in _COLUMNS)


def _row(name: str, cells: Iterable[object], spans: object) -> str:
    return f"  {name:52}" + "".join(f"{cell:>16}" for cell in cells) + f"{spans:>8}"


def _pairs(bare: Iterable[int], instrumented: Iterable[int]) -> list[str]:
    return [f"{b} / {i}" for b, i in zip(bare, instrumented, strict=True)]


def _print_judgement(judgement: Judgement) -> None:
    bare, instrumented = judgement.bare, judgement.instrumented
    cells = _pairs(_counts(bare.outcomes), _counts(instrumented.outcomes))
    cells.append(f"{bare.seconds:.0f} / {instrumented.seconds:.0f}")
    spans = sum(instrumented.watched.spans.values())
    print(_row(judgement.module, cells, spans), flush=True)
    for test in ("<collection>", CRASH):
        if test in bare.outcomes:
            print(f"    {test} without keras_otel: {bare.outcomes[test]}")
    for found in judgement.differences:
        print(f"    {found.verdict}: {found.test}")
        print(f"      without: {', '.join(found.bare)}")
        print(f"      with:    {', '.join(found.instrumented)}")
    for wrong in instrumented.watched.wrong:
        print(f"    span {wrong['reason']}: {wrong['span']!r} in {wrong['test']}")
    for failure in instrumented.watched.guard:
        print(f"    keras_otel failed {failure['count']}x: {failure['site']} in {failure['test']}")
    for message in instrumented.watched.log:
        print(_indented(f"keras_otel logged: {message}"))
    if any(d.verdict == "difference" for d in judgement.differences):
        print(_indented(instrumented.output), flush=True)


def _indented(output: str) -> str:
    return "\n".join(f"    | {line}" for line in output.splitlines()[-120:])


def _print_totals(backend: str, judged: list[Judgement], seconds: float) -> None:
    bare = [sum(c) for c in zip(*(_counts(j.bare.outcomes) for j in judged), strict=True)]
    with_us = [
        sum(c) for c in zip(*(_counts(j.instrumented.outcomes) for j in judged), strict=True)
    ]
    times = (
        f"{sum(j.bare.seconds for j in judged):.0f} / "
        f"{sum(j.instrumented.seconds for j in judged):.0f}"
    )
    spans = sum(sum(j.instrumented.watched.spans.values()) for j in judged)
    print(_row(f"{backend}, total", [*_pairs(bare, with_us), times], spans))
    verdicts = Counter(d.verdict for j in judged for d in j.differences)
    print(
        f"  {verdicts['difference']} differences, {verdicts['flaky']} flaky, "
        f"{verdicts['unrepeated']} unrepeated; "
        f"{sum(len(j.instrumented.watched.wrong) for j in judged)} spans where none may be; "
        f"{sum(f['count'] for j in judged for f in j.instrumented.watched.guard)} errors in "
        f"keras_otel; {seconds:.0f} s\n",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
