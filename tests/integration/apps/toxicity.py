"""Score comments with the network of toxic-comment-classifier, and print its scores as JSON.

Only its files are used: the weights, and the word index out of its pickled tokenizer.
"""

from __future__ import annotations

import collections
import json
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import keras_otel

keras_otel.instrument(export="file:spans.jsonl")

import keras  # noqa: E402 - instrumenting comes first, as in a service's first line
import numpy as np  # noqa: E402
from installed import installed_file  # noqa: E402

DISTRIBUTION = "toxic-comment-classifier"
LABELS = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]
WORDS, LENGTH = 20_000, 100
COMMENTS = ["you are a stupid idiot", "thank you for the help with this article"]


class Tokenizer:
    """Takes the state of the pickled tokenizer, and none of its code."""

    word_index: dict[str, int]


class Restricted(pickle.Unpickler):
    """Loads a tokenizer's state and refuses everything else that a pickle can name."""

    ALLOWED: ClassVar[Mapping[tuple[str, str], type]] = {
        ("builtins", "int"): int,
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("collections", "defaultdict"): collections.defaultdict,
        ("keras.src.legacy.preprocessing.text", "Tokenizer"): Tokenizer,
    }

    def find_class(self, module: str, name: str) -> Any:
        """One of the allowed classes.

        Raises:
            KeyError: The pickle names something else.
        """
        return self.ALLOWED[module, name]


def encode(comment: str, index: dict[str, int]) -> list[int]:
    """The comment's known words as numbers, padded in front."""
    known = [index[word] for word in comment.split() if index.get(word, WORDS) < WORDS]
    return [0] * (LENGTH - len(known)) + known


with Path(installed_file(DISTRIBUTION, "tokenizer.pickle")).open("rb") as file:
    tokenizer = Restricted(file).load()

model = keras.Sequential(
    [
        keras.layers.Input((LENGTH,)),
        keras.layers.Embedding(WORDS, 50),
        keras.layers.Bidirectional(keras.layers.LSTM(50, return_sequences=True)),
        keras.layers.GlobalMaxPooling1D(),
        keras.layers.Dense(50, activation="relu"),
        keras.layers.Dense(len(LABELS), activation="sigmoid"),
    ],
    name="toxicity",
)
model.load_weights(installed_file(DISTRIBUTION, "model.weights.h5"))
keras_otel.describe(model, version="0.3.0", labels=LABELS, task="multilabel")

encoded = np.array([encode(comment, tokenizer.word_index) for comment in COMMENTS], "int32")
scores = [model.predict(row[None], verbose=0)[0].tolist() for row in encoded]
model.predict(encoded, verbose=0)
json.dump([dict(zip(LABELS, row, strict=True)) for row in scores], sys.stdout)
