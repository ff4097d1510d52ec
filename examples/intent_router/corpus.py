"""The questions: user turns of chatterbot-corpus, by topic, split into train and held-out.

The split depends on the text of the questions alone, never on a seed, so that every model is
judged by the same questions.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import metadata, resources

import yaml

DATA = f"chatterbot-corpus {metadata.version('chatterbot-corpus')}"

TOPICS = ("ai", "coding", "emotion", "psychology", "tech_support", "trivia")
"""The intents, in the order of the model's output."""

ROUNDS = 4
"""Held-out questions that every topic has at least."""

_HELD_OUT_SHARE = 5  # one question in five
_TRAIN_CAP = 100  # trivia alone would outnumber three other topics


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a user says, and the topic it belongs to."""

    text: str
    topic: str


def train_questions() -> list[Question]:
    """The questions to learn from, at most 100 of a topic."""
    return [q for topic in TOPICS for q in _split(topic)[1][:_TRAIN_CAP]]


def held_out_questions() -> list[Question]:
    """The questions that no model has seen."""
    return [q for topic in TOPICS for q in _split(topic)[0]]


def round_of(number: int) -> list[Question]:
    """One held-out question of each topic; there are `ROUNDS` such rounds."""
    return [_split(topic)[0][number] for topic in TOPICS]


def _split(topic: str) -> tuple[list[Question], list[Question]]:
    # A hash of the text is an order that is neither the file's nor the seed's.
    questions = sorted(_questions(topic), key=lambda q: hashlib.sha256(q.text.encode()).digest())
    count = max(ROUNDS, len(questions) // _HELD_OUT_SHARE)
    return questions[:count], questions[count:]


def _questions(topic: str) -> list[Question]:
    """The opening turns of a topic's conversations, each once, however often it is asked."""
    file = resources.files("chatterbot_corpus") / "data" / "english" / f"{topic}.yml"
    conversations = yaml.safe_load(file.read_text(encoding="utf-8"))["conversations"]
    once: dict[str, str] = {}
    for turns in conversations:
        text = " ".join(turns[0].split())
        once.setdefault(text.lower().rstrip(".?!"), text)
    return [Question(text=text, topic=topic) for text in once.values()]
