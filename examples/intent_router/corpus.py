"""Questions and answers of chatterbot-corpus, by topic, split into train and held-out.

The split depends on the text of the questions alone, never on a seed, so that every model is
judged by the same questions.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import metadata, resources

import yaml

DATA = f"chatterbot-corpus {metadata.version('chatterbot-corpus')}"

TOPICS = ("ai", "coding", "emotion", "psychology", "science", "trivia")
"""The intents, in the order of the model's output."""

_HELD_OUT_SHARE = 3  # one question in three
_TRAIN_CAP = 100  # trivia alone would outnumber three other topics


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a user may ask, its topic, and every answer that the corpus has for it."""

    text: str
    topic: str
    answers: tuple[str, ...]

    @property
    def case(self) -> str:
        """A short name that stays the same, to find the reference answers by."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]


def train_questions(topic: str) -> list[Question]:
    """The questions of a topic to learn from, at most 100."""
    return _split(topic)[1][:_TRAIN_CAP]


def held_out_questions(topic: str) -> list[Question]:
    """The questions of a topic that no model has seen."""
    return _split(topic)[0]


@cache
def questions(topic: str) -> tuple[Question, ...]:
    """The opening turns of a topic's conversations, each once, with all that answers them."""
    file = resources.files("chatterbot_corpus") / "data" / "english" / f"{topic}.yml"
    texts: dict[str, str] = {}
    answers: dict[str, list[str]] = {}
    for turns in yaml.safe_load(file.read_text(encoding="utf-8"))["conversations"]:
        text = " ".join(turns[0].split())
        same = text.lower().rstrip(".?!")
        texts.setdefault(same, text)
        answers.setdefault(same, []).append(str(turns[1]))
    return tuple(
        Question(text=text, topic=topic, answers=tuple(answers[same]))
        for same, text in texts.items()
    )


def _split(topic: str) -> tuple[list[Question], list[Question]]:
    # A hash of the text is an order that is neither the file's nor the seed's.
    shuffled = sorted(questions(topic), key=lambda question: question.case)
    count = len(shuffled) // _HELD_OUT_SHARE
    return shuffled[:count], shuffled[count:]
