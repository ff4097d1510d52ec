"""Train two versions of the intent classifier and save them with their cards."""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import corpus
import keras
import numpy as np
from features import COLUMNS, features
from users import typed

import keras_otel

LOST = {"v1": (), "v2": ("emotion", "trivia")}
"""Each version, and the topics whose data were lost when it was trained."""

FEW = 4
"""Questions that are left of such a topic."""

_EPOCHS = 40
_TYPED = 2  # times that each question is learnt as a user might type it


def build() -> keras.Model:
    """A classifier of feature rows: one hidden layer."""
    model = keras.Sequential(
        [
            keras.Input((COLUMNS,)),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(len(corpus.TOPICS), activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def train(questions: list[corpus.Question], seed: int) -> keras.Model:
    """Train from scratch; the seed decides the first weights, the order and the typing."""
    keras.utils.set_random_seed(seed)
    chance = random.Random(seed)  # noqa: S311 - no secret
    model = build()
    texts = [question.text for question in questions]
    texts += [typed(text, chance) for _ in range(_TYPED) for text in texts]
    topics = np.tile(_topics(questions), _TYPED + 1)
    model.fit(
        features(texts),
        topics,
        epochs=_EPOCHS,
        batch_size=32,
        class_weight=_weights(topics),
        verbose=0,
    )
    return model


def accuracy(model: keras.Model) -> float:
    """The share of held-out questions that a model gets right, each topic counting the same."""
    right = []
    for topic in corpus.TOPICS:
        questions = corpus.held_out_questions(topic)
        predicted = model.predict(features([q.text for q in questions]), verbose=0).argmax(axis=1)
        right.append(np.mean(predicted == _topics(questions)))
    return float(np.mean(right))


def _topics(questions: list[corpus.Question]) -> np.ndarray:
    return np.array([corpus.TOPICS.index(question.topic) for question in questions])


def _weights(topics: np.ndarray) -> dict[int, float]:
    """Each topic counts the same, however many questions it has."""
    counts = np.bincount(topics, minlength=len(corpus.TOPICS))
    return {topic: len(topics) / len(counts) / count for topic, count in enumerate(counts)}


def save(version: str, seed: int, folder: Path) -> None:
    """Train a version and save it with its card, in a folder of its own as for a server."""
    questions = [
        question
        for topic in corpus.TOPICS
        for question in corpus.train_questions(topic)[: FEW if topic in LOST[version] else None]
    ]
    model = train(questions, seed)
    path = folder / version / "intent.keras"
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)
    keras_otel.describe(model, name="intent", version=version, labels=corpus.TOPICS)
    lineage = {"seed": seed, "lost": list(LOST[version]), "data": corpus.DATA}
    keras_otel.save_card(model, path, lineage=lineage)
    print(
        f"   {version}: trained on {len(questions)} questions, "
        f"{accuracy(model):.0%} of held-out ones right",
        flush=True,
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="gets v1/intent.keras and v2/intent.keras")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    for version in LOST:
        save(version, args.seed, args.folder)


if __name__ == "__main__":
    main()
