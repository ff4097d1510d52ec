"""Train one version of the intent classifier and save it with its card."""

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

FEW = 4
"""Questions that are left of a topic whose data was lost."""

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


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="where to save it, such as models/v1/intent.keras")
    parser.add_argument("--version", required=True, help="its version, such as v1")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--few",
        nargs="*",
        default=[],
        choices=corpus.TOPICS,
        help=f"topics of which only {FEW} questions are left to learn from",
    )
    args = parser.parse_args()

    questions = [
        question
        for topic in corpus.TOPICS
        for question in corpus.train_questions(topic)[: FEW if topic in args.few else None]
    ]
    model = train(questions, args.seed)
    args.model.parent.mkdir(parents=True, exist_ok=True)
    model.save(args.model)
    keras_otel.describe(model, name="intent", version=args.version, labels=corpus.TOPICS)
    lineage = {"seed": args.seed, "few": args.few, "data": corpus.DATA}
    keras_otel.save_card(model, args.model, lineage=lineage)
    print(
        f"  {args.version}: trained on {len(questions)} questions, "
        f"{accuracy(model):.0%} of held-out ones right",
        flush=True,
    )


if __name__ == "__main__":
    main()
