"""Train the intent classifier and save it with its card."""

from __future__ import annotations

import argparse
from pathlib import Path

import corpus
import keras
import numpy as np
import tensorflow as tf

import keras_otel


class Progress(keras.callbacks.Callback):
    """One line for each epoch."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Print where the training stands."""
        logs = logs or {}
        print(
            f"  epoch {epoch + 1:2d}/{self.params['epochs']}"
            f"   loss {logs['loss']:.3f}"
            f"   right on train {logs['accuracy']:4.0%}"
            f"   on held-out {logs['val_accuracy']:4.0%}",
            flush=True,
        )


def build(texts: tf.Tensor) -> keras.Model:
    """A classifier from text to topic: words and pairs of words, one hidden layer."""
    words = keras.layers.TextVectorization(max_tokens=2000, ngrams=2, output_mode="multi_hot")
    words.adapt(texts)
    model = keras.Sequential(
        [
            keras.Input(shape=(), dtype="string"),
            words,
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(len(corpus.TOPICS), activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(5e-3),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def train(seed: int, epochs: int) -> keras.Model:
    """Train from scratch; the seed decides the first weights, the order and the dropout."""
    keras.utils.set_random_seed(seed)
    texts, topics = _arrays(corpus.train_questions())
    held_out = _arrays(corpus.held_out_questions())
    print(
        f"Training on {len(topics)} questions of {len(corpus.TOPICS)} topics ({corpus.DATA}), "
        f"{len(held_out[1])} held out, seed {seed}",
        flush=True,
    )
    model = build(texts)
    model.fit(
        texts,
        topics,
        epochs=epochs,
        batch_size=16,
        validation_data=held_out,
        class_weight=_weights(topics),
        callbacks=[Progress()],
        verbose=0,
    )
    return model


def _arrays(questions: list[corpus.Question]) -> tuple[tf.Tensor, np.ndarray]:
    topics = [corpus.TOPICS.index(q.topic) for q in questions]
    return tf.constant([q.text for q in questions]), np.array(topics)


def _weights(topics: np.ndarray) -> dict[int, float]:
    """Each topic counts the same, however many questions it has."""
    counts = np.bincount(topics, minlength=len(corpus.TOPICS))
    return {topic: len(topics) / len(counts) / count for topic, count in enumerate(counts)}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="where to save the model, such as intent.keras")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=8)
    args = parser.parse_args()

    model = train(args.seed, args.epochs)
    args.model.parent.mkdir(parents=True, exist_ok=True)
    model.save(args.model)
    # The card has no version: the fingerprint is the version, so that no retrain can hide.
    keras_otel.describe(model, name="intent", labels=corpus.TOPICS)
    lineage = {"seed": args.seed, "epochs": args.epochs, "data": corpus.DATA}
    card = keras_otel.save_card(model, args.model, lineage=lineage)
    print(f"Saved {args.model.name} and its card {Path(card).name}", flush=True)


if __name__ == "__main__":
    main()
