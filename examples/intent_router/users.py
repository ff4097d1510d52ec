"""What users type: held-out questions, a few to a session, in words of their own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import corpus

_LONGEST_SESSION = 8
_OPENINGS = ("", "", "", "hi, ", "please, ", "quick one: ", "hello! ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One thing that a user types, and the question of the corpus that it asks."""

    text: str
    session: str
    case: str


def messages(chance: random.Random) -> Iterator[Message]:
    """Messages of one session after another, without end."""
    held_out = {topic: corpus.held_out_questions(topic) for topic in corpus.TOPICS}
    while True:
        session = f"{chance.getrandbits(32):08x}"
        for _ in range(chance.randint(1, _LONGEST_SESSION)):
            question = chance.choice(held_out[chance.choice(corpus.TOPICS)])
            yield Message(text=typed(question.text, chance), session=session, case=question.case)


def typed(text: str, chance: random.Random) -> str:
    """A text as people type it: with an opening, in small letters, a letter too few."""
    if chance.random() < 0.5:
        text = text.lower().rstrip("?.!")
    if chance.random() < 0.3:
        gap = chance.randrange(len(text))
        text = text[:gap] + text[gap + 1 :]
    return chance.choice(_OPENINGS) + text
