"""`keras-otel slice` as a user runs it: sources, options, formats, and one line for bad input."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pandas as pd
import pytest

from keras_otel.cli import main
from tests.analysis.sources.requests import START_NS, Inference, Request, Verdict, stamp, write

CLASS, VERSION = "keras.prediction.class", "keras.model.version"


def request_of(rng: random.Random, rate: float) -> Request:
    """One request that fails more often behind refunds of v2."""
    class_name, version = rng.choice(["refund", "shipping", "order"]), rng.choice(["v1", "v2"])
    confidence = rng.choice([0.55, 0.93, 0.97])
    fails = rng.random() < (4 * rate if (class_name, version) == ("refund", "v2") else rate)
    return Request(
        inferences=[Inference(class_name=class_name, confidence=confidence, version=version)],
        verdicts=[Verdict(passed=not fails)],
        stamps=stamp(class_name, confidence, version),
    )


@pytest.fixture(scope="module")
def traces(tmp_path_factory) -> Path:
    """Traces of 1500 requests, with a slice that fails."""
    path = tmp_path_factory.mktemp("traces") / "traces.jsonl"
    rng = random.Random(3)
    write(path, [request_of(rng, 0.1) for _ in range(1500)])
    return path


@pytest.fixture
def run(capsys):
    """Run the command: (exit code, what it printed, what it said on standard error)."""

    def slice_(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["slice", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return slice_


@pytest.fixture
def sliced(run):
    """Run the command for JSON, which must succeed: the document."""

    def slice_(*arguments: object) -> dict:
        code, out, err = run(*arguments, "--format", "json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return slice_


def said(found):
    """The predicates of a slice in the JSON document, as pairs."""
    return [(each["attribute"], each["value"]) for each in found["predicates"]]


def test_a_finding(sliced, traces):
    """The slice that fails is the first finding, with its numbers and examples."""
    document = sliced(traces)
    (family,) = document["evals"]
    first = family["slices"][0]

    assert document["schema_version"] == 1
    assert document["sources"] == [str(traces)]
    assert document["totals"]["rows"] == document["accounting"]["rows"]["evaluated"] == 1500
    assert said(first) == [(VERSION, "v2"), (CLASS, "refund")]
    assert first["significant"]
    assert first["rate"] == pytest.approx(first["failed"] / first["n"], rel=1e-11)
    assert len(first["example_trace_ids"]) == 3
    assert {cohort["by"] for cohort in family["cohorts"]} == {
        CLASS,
        VERSION,
        "keras.prediction.confidence_bin",
    }


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("s.json", "{"),
        ("s.md", "#"),
        ("s.html", "<!doctype html>"),
        ("s.csv", "eval,model,"),
        ("s.txt", "Failures of LLM"),
    ],
)
def test_formats_by_the_file_s_name(run, traces, tmp_path, name, start):
    """The file's name says the format; the text is in the file and nothing is printed."""
    path = tmp_path / name
    assert run(traces, "-o", path) == (0, "", "")
    text = path.read_text(encoding="utf-8")

    assert text.startswith(start)
    assert "refund" in text
    if name not in ("s.json", "s.csv"):
        assert "excess failures" in text


def test_the_format_goes_before_the_name(run, traces, tmp_path):
    """`--format` decides where both are given."""
    path = tmp_path / "s.html"
    assert run(traces, "-o", path, "--format", "json")[0] == 0
    assert json.loads(path.read_text())["schema_version"] == 1


def test_links_to_traces(run, traces, tmp_path):
    """Example traces of the page are links to the tracing backend."""
    path = tmp_path / "s.html"
    url = "http://localhost:16686/trace/{trace_id}"
    assert run(traces, "-o", path, "--trace-url", url)[0] == 0
    assert 'href="http://localhost:16686/trace/' in path.read_text(encoding="utf-8")
    assert (
        "](<http://localhost:16686/trace/" in run(traces, "--format", "md", "--trace-url", url)[1]
    )


def test_help_has_examples(capsys):
    """What to type for the usual cases stands at the end, a command on each line as written."""
    with pytest.raises(SystemExit):
        main(["slice", "--help"])

    shown = capsys.readouterr().out.partition("examples:")[2]
    assert shown.count("\n  keras-otel slice ") == 4


def test_evaluations_from_a_file(sliced, tmp_path):
    """Evaluations of another tool are joined by trace id, by a rule where they are bare scores."""
    rng = random.Random(4)
    requests = [request_of(rng, 0.1) for _ in range(300)]
    path, scores = tmp_path / "traces.jsonl", tmp_path / "scores.csv"
    ids = write(path, [Request(inferences=r.inferences) for r in requests])
    with scores.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["trace_id", "name", "score"])
        for trace_id, request in zip(ids, requests, strict=True):
            writer.writerow([trace_id, "faithfulness", 0.9 if request.verdicts[0].passed else 0.1])
    document = sliced(path, "--evals", scores, "--fail", "faithfulness: score<0.5")

    assert document["totals"]["rows"] == 300
    assert document["totals"]["failed"] == sum(not r.verdicts[0].passed for r in requests)
    assert document["evals"][0]["eval"] == "faithfulness"


def test_since_and_until(sliced, traces):
    """Only predictions of the time asked for count."""
    whole = sliced(traces)["totals"]["rows"]
    since, until = (START_NS // 10**9 + 100, START_NS // 10**9 + 400)
    times = [pd.Timestamp(t, unit="s", tz="UTC").isoformat() for t in (since, until)]
    document = sliced(traces, "--since", times[0], "--until", times[1])

    assert whole == 1500
    assert document["totals"]["rows"] == 300


def test_by_and_cluster(sliced, traces):
    """Attributes of the evaluated span and the resource can be listed; clusters change the tests."""
    usual = sliced(traces)
    document = sliced(traces, "--by", f"service.name,{CLASS}", "--cluster", "session.id")
    cohorts = document["evals"][0]["cohorts"]

    assert [c["value"] for c in cohorts if c["by"] == "service.name"] == ["router"]
    assert {c["by"] for c in cohorts} == {"service.name", CLASS}
    first, before = document["evals"][0]["slices"][0], usual["evals"][0]["slices"][0]
    assert first["predicates"] == before["predicates"]
    assert first["p"] != before["p"]


def test_all(sliced, traces):
    """`--all` adds slices that are not significant."""
    some = sliced(traces)["evals"][0]["slices"]
    listed = sliced(traces, "--all")["evals"][0]["slices"]

    assert listed[: len(some)] == some
    assert not listed[-1]["significant"]


def test_levels_support_and_sampling(sliced, traces):
    """Longer slices, small ones and unweighted rows can be asked away."""
    short = sliced(traces, "--max-predicates", 1, "--all")["evals"][0]
    large = sliced(traces, "--min-support", 700, "--all")["evals"][0]
    sampled = sliced(traces, "--sample-rate", 0.1)

    assert {len(found["predicates"]) for found in short["slices"]} == {1}
    assert min(found["n"] for found in large["slices"]) >= 700
    assert sampled["totals"]["rows"] == 15_000
    assert sampled["totals"]["weighted"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_ready_rows(sliced, tmp_path, suffix):
    """Rows that are ready need no traces."""
    path = tmp_path / f"rows.{suffix}"
    data = pd.DataFrame(
        {
            "class": ["a", "b"] * 400,
            "version": ["x"] * 400 + ["y"] * 400,
            "wrong": [0, 0, 0, 1] * 200,
        }
    )
    data.to_csv(path, index=False) if suffix == "csv" else data.to_parquet(path)
    document = sliced("--rows", path, "--failed", "wrong", "--by", "class,version")
    first = document["evals"][0]["slices"][0]

    assert document["accounting"] is None
    assert said(first) == [("class", "b")]
    assert first["risk_ratio"] is None  # nothing fails outside


def test_a_file_cut_in_half(run, traces, tmp_path):
    """What is whole is used, and a warning says what was not read."""
    half = tmp_path / "half.jsonl"
    content = traces.read_bytes()
    half.write_bytes(content[: len(content) // 2])
    code, out, _ = run(half, "--format", "json")
    document = json.loads(out)

    assert code == 0
    assert 700 < document["totals"]["rows"] < 800
    assert any("cut off" in warning for warning in document["warnings"])


@pytest.mark.parametrize("failing", ["none", "all"])
def test_nothing_to_find(sliced, tmp_path, failing):
    """Where none or all failed there is no finding and no complaint."""
    path = tmp_path / "traces.jsonl"
    write(path, [Request(verdicts=[Verdict(passed=failing == "none")]) for _ in range(60)])

    assert [family["slices"] for family in sliced(path)["evals"]] == [[]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "there is no SOURCE: name the traces"),
        (["/nowhere.jsonl"], "/nowhere.jsonl does not exist"),
        (["TRACES", "--by", "sesion.id"], "has the attribute 'sesion.id': there is session.id"),
        (["TRACES", "--model", "intend"], "no model is named 'intend': there is intent"),
        (["TRACES", "--eval", "corect"], "no evaluation is named 'corect': there is correct"),
        (["TRACES", "--fail", "x"], "the rule 'x' cannot be read"),
        (["TRACES", "--since", "yesterday"], "'yesterday' is no point in time"),
        (["TRACES", "--since", "1h", "--until", "2h"], "--since 1h is not before --until 2h"),
        (["TRACES", "--since", "1h"], "no evaluation was found"),
        (["TRACES", "-o", "/nowhere/s.json"], "-o /nowhere/s.json: there is no such folder"),
        (["TRACES", "--trace-url", "http://h/{trace_id}", "--format", "csv"], "csv has no links"),
        (["TRACES", "--trace-url", "http://h/"], "write an http address with {trace_id}"),
        (["TRACES", "--failed", "x"], "--failed names a column of --rows"),
        (["--rows", "/nowhere.csv", "--failed", "x"], "/nowhere.csv is not there"),
        (["--rows", "TRACES", "--failed", "x"], "is neither .parquet nor .csv"),
        (["--rows", "x.csv"], "--rows needs --failed COLUMN"),
        (["TRACES", "--rows", "x.csv", "--failed", "x"], "use one or the other"),
        (["--rows", "x.csv", "--failed", "x", "--since", "1h"], "--since is about traces"),
        (["http://127.0.0.1:9"], "http://127.0.0.1:9 cannot be reached"),
    ],
)
def test_bad_input(run, traces, arguments, said):
    """One clear line, exit code 2, and nothing printed."""
    code, out, err = run(*(traces if a == "TRACES" else a for a in arguments))

    assert (code, out) == (2, "")
    assert err.startswith("keras-otel slice: ")
    assert said in err
    assert err.count("\n") == 1


def test_scores_without_a_rule(run, tmp_path):
    """Pass or fail is not guessed from a score: the line names the evaluation and the rule."""
    path = tmp_path / "traces.jsonl"
    write(path, [Request(verdicts=[Verdict(name="faithful", score=0.3)])])
    code, _, err = run(path)

    assert code == 2
    assert "--fail 'faithful: score<0.5'" in err


def test_former_name_of_max_predicates(run, traces):
    """`--max-level` still works, with one line that names the new option; help does not show it."""
    new = run(traces, "--max-predicates", 1, "--format", "json")
    former = run(traces, "--max-level", 1, "--format", "json")

    assert former[:2] == new[:2]
    assert former[2] == "keras-otel slice: --max-level is deprecated: use --max-predicates\n"
    assert new[2] == ""


@pytest.mark.parametrize(
    "arguments",
    [
        *(
            ["--sample-rate", "0"],
            ["--sample-rate", "x"],
            ["--min-support", "0"],
            ["--max-predicates", "4"],
            ["--max-level", "4"],
        ),
        *(["--timeout", "0"], ["--timeout", "nan"], ["--header", "x"], ["--header", "a b: c"]),
        *(["--header", "a: b\r\nc: d"], ["--header", "a:"]),
    ],
)
def test_bad_values(capsys, arguments):
    """Argparse's own complaints are one line as well."""
    with pytest.raises(SystemExit, match="2"):
        main(["slice", "x", *arguments])
    assert capsys.readouterr().err.count("\n") == 1


def test_no_framework_is_imported(keras_otel_cli, traces):
    """The command as installed runs without Keras or a backend."""
    outcome = keras_otel_cli("slice", str(traces))

    assert outcome.code == 0
    assert "v2 and class refund" in outcome.stdout


def test_a_table_of_counts(sliced, tmp_path):
    """`--count` gives what the rows give when they are written out."""
    counted = pd.DataFrame(
        {
            "class": ["a", "a", "b", "b", "c", "c"],
            "wrong": [0, 1, 0, 1, 0, 1],
            "times": [380, 20, 300, 100, 385, 15],
        }
    )
    paths = [tmp_path / "counts.csv", tmp_path / "rows.csv"]
    counted.to_csv(paths[0], index=False)
    counted.loc[counted.index.repeat(counted["times"])].to_csv(paths[1], index=False)

    by_count = sliced("--rows", paths[0], "--failed", "wrong", "--count", "times")
    by_row = sliced("--rows", paths[1], "--failed", "wrong", "--by", "class")

    assert [said(found) for found in by_count["evals"][0]["slices"]] == [[("class", "b")]]
    for document in (by_count, by_row):
        for found in document["evals"][0]["slices"]:
            found["example_trace_ids"] = found["examples"] = []
    assert by_count["evals"] == by_row["evals"]


def test_fail_on_findings(run, tmp_path):
    """A finding is exit code 1 only where that is asked for; the report is written all the same."""
    data = pd.DataFrame({"class": ["a", "b"] * 400, "wrong": [0, 0, 0, 1] * 200})
    data["even"] = ["x"] * 400 + ["y"] * 400
    path = tmp_path / "rows.csv"
    data.to_csv(path, index=False)
    asked = ("--rows", path, "--failed", "wrong", "--format", "json")

    found = run(*asked, "--by", "class", "--fail-on", "found")
    nothing = run(*asked, "--by", "nowhere", "--fail-on", "found")
    quiet = run(*asked, "--by", "class")
    even = run(*asked, "--by", "even", "--fail-on", "found")

    assert (found[0], quiet[0], even[0], nothing[0]) == (1, 0, 0, 2)
    assert found[1] == quiet[1]
    assert found[2] == "keras-otel slice: there is 1 finding (--fail-on found)\n"


def test_better(sliced, tmp_path):
    """Slices that fail less often are told where they are asked for."""
    path = tmp_path / "rows.csv"
    rates = {"a": 30, "b": 30, "c": 5}
    pd.DataFrame(
        [
            {"class": name, "wrong": int(n < rate)}
            for name, rate in rates.items()
            for n in range(100)
            for _ in range(5)
        ]
    ).to_csv(path, index=False)

    asked = ("--rows", path, "--failed", "wrong", "--by", "class")

    assert sliced(*asked)["evals"][0]["better"] == []
    assert [said(each) for each in sliced(*asked, "--better")["evals"][0]["better"]] == [
        [("class", "c")]
    ]


def test_since_an_earlier_report(run, tmp_path):
    """`--compare-to` says what is new, and `--fail-on new` is about that alone."""
    old, path = tmp_path / "old.json", tmp_path / "rows.csv"
    asked = ("--rows", path, "--failed", "wrong", "--by", "class", "--format", "json")
    data = pd.DataFrame(
        {"class": list("abcd") * 200, "wrong": [int(n % 4 == 0 and n % 3 == 0) for n in range(800)]}
    )
    data.to_csv(path, index=False)
    assert run(*asked, "-o", old)[0] == 0

    same = run(*asked, "--compare-to", old, "--fail-on", "new")
    data.loc[data["class"] == "b", "wrong"] = 1
    data.to_csv(path, index=False)
    worse = run(*asked, "--compare-to", old, "--fail-on", "new")

    assert (same[0], json.loads(same[1])["changes"]) == (0, [])
    assert worse[0] == 1
    assert next(said(each) for each in json.loads(worse[1])["changes"]) == [("class", "b")]
    assert "new or grown finding" in worse[2]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--fail-on", "new"), "--fail-on new needs --compare-to"),
        (("--compare-to", "nowhere.json"), "nowhere.json cannot be read"),
    ],
)
def test_no_earlier_report(run, tmp_path, options, why):
    """One line says what is missing."""
    path = tmp_path / "rows.csv"
    pd.DataFrame({"class": ["a"], "wrong": [0]}).to_csv(path, index=False)

    code, out, error = run("--rows", path, "--failed", "wrong", *options)

    assert (code, out) == (2, "")
    assert why in error
    assert error.count("\n") == 1
