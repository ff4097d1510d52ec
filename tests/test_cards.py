"""Cards beside artefacts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_otel.errors import CardError
from keras_otel.identity.cards import Card, card_path, find_card, read_card, write_card
from keras_otel.identity.identity import Description, checked_description
from keras_otel.records import TASKS

SCHEMA = json.loads((Path(__file__).parents[1] / "docs" / "card.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

FULL = Card(
    description=Description(
        name="intent",
        version="2026-11-01",
        labels=("refund", "order", "Größe"),
        task="multiclass",
        threshold=(0.2, 0.5, 0.7),
    ),
    fingerprint="sha256:9f2c01ab34de",
    lineage={"keras_version": "3.15.1", "rows": 1200, "balanced": True},
)

_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
_labels = st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=4, unique=True)
_task = st.sampled_from(TASKS)
_probability = st.floats(0, 1, exclude_min=True, exclude_max=True)
_facts = st.text(st.characters(exclude_categories=["Cs"])) | st.integers() | st.booleans()

cards = st.builds(
    Card,
    description=st.builds(
        checked_description,
        name=st.none() | _text,
        version=st.none() | _text,
        labels=st.none() | _labels | st.dictionaries(_text, _labels, max_size=3),
        task=st.none() | _task | st.dictionaries(_text, _task, max_size=3),
        threshold=st.none() | _probability | st.lists(_probability, min_size=1, max_size=3),
    ),
    fingerprint=st.none() | _text,
    lineage=st.none() | st.dictionaries(_text, _facts, min_size=1, max_size=3),
)

# What a person may write into a card, right and wrong.
_scalar = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", " ", "multiclass", "binary", "0.5", "refund"]),
)
_anything = st.one_of(
    _scalar,
    st.lists(_scalar, max_size=3),
    st.dictionaries(st.sampled_from(["topic", "a"]), _scalar | st.lists(_scalar, max_size=2)),
)
contents = st.one_of(
    _anything,
    st.fixed_dictionaries(
        {"schema_version": st.just(1) | _scalar},
        optional=dict.fromkeys(
            ("name", "version", "labels", "task", "threshold", "fingerprint", "lineage"), _anything
        ),
    ),
    # Mostly valid, so that the second half of the checks is reached too.
    st.fixed_dictionaries(
        {"schema_version": st.just(1)},
        optional={
            "name": _text,
            "labels": _labels | st.dictionaries(st.text(), _labels),
            "task": _task | st.dictionaries(st.text(), _task | _scalar),
            "threshold": _probability | st.lists(_probability | _scalar, max_size=2),
            "extra": _anything,
        },
    ),
)


def read(folder: Path, content: object) -> Card:
    """The card whose file holds this JSON."""
    path = folder / "model.keras.card.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return read_card(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder for cards that may overwrite one another."""
    return tmp_path_factory.mktemp("cards")


def test_a_card_reads_as_it_was_written(tmp_path):
    """Writing and reading a card gives the same card, whatever letters it holds."""
    path = tmp_path / "intent.keras.card.json"

    write_card(path, FULL)

    assert read_card(path) == FULL
    assert "Größe" in path.read_text(encoding="utf-8")


@given(card=cards)
@settings(deadline=None)
def test_every_card_survives_the_round_trip_and_fits_the_schema(folder, card):
    """Any card that can be made reads as it was written, and the published schema accepts it."""
    path = folder / "any.card.json"

    write_card(path, card)

    assert read_card(path) == card
    VALIDATOR.validate(json.loads(path.read_text(encoding="utf-8")))


@given(content=contents)
@settings(deadline=None, max_examples=500)
def test_the_schema_accepts_what_is_read_and_nothing_else(folder, content):
    """The published schema and the reader agree on every JSON value."""
    try:
        read(folder, content)
        is_read = True
    except CardError:
        is_read = False

    assert VALIDATOR.is_valid(content) == is_read


def test_the_schema_is_a_schema():
    """The published file is valid JSON Schema 2020-12."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_has_every_part_of_a_card():
    """A part added to the format is added to the schema."""
    parts = {"schema_version", "fingerprint", "lineage", *Description.__dataclass_fields__}

    assert set(SCHEMA["properties"]) == parts
    assert tuple(SCHEMA["$defs"]["task"]["enum"]) == TASKS


def test_parts_that_are_not_known_are_ignored(tmp_path):
    """A card of a later release with more to say is still read."""
    content = {"schema_version": 1, "name": "intent", "owner": "search team"}

    assert read(tmp_path, content).description == Description(name="intent")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "a card is a JSON object, got list"),
        ("intent", "a card is a JSON object, got str"),
        ({}, "schema_version must be 1, got None"),
        ({"schema_version": 2}, "schema_version must be 1, got 2"),
        ({"schema_version": "1"}, "schema_version must be 1, got '1'"),
        ({"schema_version": True}, "schema_version must be 1, got True"),
        ({"schema_version": 1, "name": 7}, "name must be non-empty text, got 7"),
        ({"schema_version": 1, "version": " "}, "version must be non-empty text, got ' '"),
        ({"schema_version": 1, "labels": "abc"}, "labels must be a list of text, got str"),
        ({"schema_version": 1, "labels": [1]}, "labels must be text, got 1"),
        ({"schema_version": 1, "labels": ["a", "a"]}, "'a' is there twice"),
        ({"schema_version": 1, "labels": {"x": None}}, "labels of output 'x' must be a list"),
        ({"schema_version": 1, "task": "regress"}, "task must be one of multiclass, binary"),
        ({"schema_version": 1, "task": ["binary"]}, "task must be one of multiclass, binary"),
        ({"schema_version": 1, "threshold": 1}, "threshold must be a probability between 0 and 1"),
        ({"schema_version": 1, "threshold": "0.5"}, "threshold must be a probability"),
        ({"schema_version": 1, "threshold": 10**400}, "threshold must be a probability"),
        ({"schema_version": 1, "threshold": []}, "threshold must be a number"),
        ({"schema_version": 1, "fingerprint": 7}, "fingerprint must be text, got int"),
        ({"schema_version": 1, "lineage": []}, "lineage must be an object, got list"),
    ],
)
def test_a_wrong_part_is_one_line_that_names_it(tmp_path, content, words):
    """What is wrong in a card is told in one line with the file and the mend."""
    with pytest.raises(CardError) as caught:
        read(tmp_path, content)

    message = str(caught.value)
    assert message.startswith(str(tmp_path / "model.keras.card.json") + ": ")
    assert words in message
    assert "\n" not in message


def _full_card(path: Path) -> bytes:
    write_card(path, FULL)
    return path.read_bytes()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda card: b"",
        lambda card: b"{",
        lambda card: card[: len(card) // 2],
        lambda card: b"\xff\xfe" + card,
        lambda card: "\ufeff".encode() + card,
        lambda card: card.replace("ö".encode(), b"\xf6"),
        lambda card: b"[" * 100_000,
        lambda card: b'{"schema_version": 1, "threshold": ' + b"9" * 5000 + b"}",
        lambda card: card + b" " * 4 * 1024 * 1024,
    ],
    ids=[
        "empty",
        "brace",
        "truncated",
        "utf-16",
        "byte order mark",
        "latin-1",
        "deep",
        "long number",
        "too large",
    ],
)
def test_a_file_that_is_no_card_is_one_line_with_the_mend(tmp_path, spoil):
    """A file that cannot be read as a card is named, in one line that says how to write it anew."""
    path = tmp_path / "intent.keras.card.json"
    path.write_bytes(spoil(_full_card(path)))

    with pytest.raises(CardError) as caught:
        read_card(path)

    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "keras_otel.save_card(model, path)" in message
    assert "\n" not in message


def test_a_folder_or_nothing_is_no_card(tmp_path):
    """A folder in the card's place and a missing file are told as such."""
    for path in (tmp_path, tmp_path / "none.card.json"):
        with pytest.raises(CardError, match="cannot be read as JSON"):
            read_card(path)


@pytest.mark.parametrize("lineage", [{"when": object()}, {"loss": float("nan")}, {("a",): 1}])
def test_a_card_that_cannot_be_written_leaves_the_old_one(tmp_path, lineage):
    """Lineage that is no JSON is refused before the old card is touched."""
    path = tmp_path / "intent.keras.card.json"
    before = _full_card(path)

    with pytest.raises(CardError, match="cannot be written") as caught:
        write_card(path, Card(description=FULL.description, lineage=lineage))

    assert str(caught.value).startswith(f"{path}: ")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_replacement_leaves_nothing_behind(tmp_path):
    """Where the card's place is taken by a folder, no half-written file stays beside it."""
    path = tmp_path / "intent.keras.card.json"
    path.mkdir()

    with pytest.raises(CardError, match="cannot be written"):
        write_card(path, FULL)

    assert list(tmp_path.iterdir()) == [path]


def test_no_folder_to_write_into_is_a_card_error(tmp_path):
    """A missing folder, a file in its place and an overlong name are each one CardError."""
    (tmp_path / "file").write_text("")
    for path in (
        tmp_path / "missing" / "a.card.json",
        tmp_path / "file" / "a.card.json",
        tmp_path / f"{'a' * 300}.card.json",
    ):
        with pytest.raises(CardError, match="cannot be written"):
            write_card(path, FULL)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes into read-only folders")
def test_a_read_only_folder_is_a_card_error(tmp_path):
    """A folder without write permission keeps its card and says so."""
    path = tmp_path / "intent.keras.card.json"
    before = _full_card(path)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(CardError, match="cannot be written"):
            write_card(path, FULL)
    finally:
        tmp_path.chmod(0o700)

    assert path.read_bytes() == before


def test_where_a_card_is_written():
    """The card's name is the artefact's with a suffix; a card's own path stays."""
    assert card_path("models/intent.keras") == Path("models/intent.keras.card.json")
    assert card_path("toxicity/7/") == Path("toxicity/7.card.json")
    assert card_path("intent.keras.card.json") == Path("intent.keras.card.json")


@pytest.mark.parametrize(
    ("artefact", "beside", "found"),
    [
        ("intent.keras", ["intent.keras.card.json"], "intent.keras.card.json"),
        ("intent.keras", ["intent.card.json"], "intent.card.json"),
        (
            "intent.keras",
            ["intent.card.json", "intent.keras.card.json"],
            "intent.keras.card.json",
        ),
        ("intent.keras", ["other.card.json"], None),
        ("7", ["7.card.json"], "7.card.json"),
        ("v1.2", ["v1.card.json"], None),
        ("v1.2", ["v1.2.card.json"], "v1.2.card.json"),
    ],
)
def test_the_card_that_belongs_to_an_artefact_is_found(tmp_path, artefact, beside, found):
    """The full name goes before the stem, and no card of another artefact or version is taken."""
    for name in beside:
        (tmp_path / name).write_text("{}")

    assert find_card(tmp_path / artefact) == (tmp_path / found if found else None)


def test_a_folder_with_a_cards_name_is_not_found(tmp_path):
    """Only a file can be a card."""
    (tmp_path / "intent.keras.card.json").mkdir()

    assert find_card(tmp_path / "intent.keras") is None
