"""What the path of an artefact says: the model's name and its version.

A path says less than it seems to: `best_model.keras`, `tmp8xk2f1q/`, `snapshots/9f2c01ab34de/`
name no model. Each part is cut into words, and counts only if one of them is more than the name of
a format, a stage of training, a number, a date, a hash or a place where files lie.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Final

_SUFFIX = re.compile(
    r"(\.weights)?\.(keras|h5|hdf5|hdf|zip|pb|tf|tflite|onnx|json)$", re.IGNORECASE
)
_SCHEME_AND_HOST = re.compile(r"^[a-z][a-z0-9+.-]*://[^/]*/*", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BETWEEN_WORDS = re.compile(r"[^0-9a-z]+")

_VERSION = re.compile(r"v?\d+([._-]\d+)*", re.IGNORECASE)
_VERSION_OF_ARTIFACT = re.compile(r"(?P<name>.+):(?P<version>v\d+|[a-z]+)", re.IGNORECASE)
_HUB_FOLDER = re.compile(r"models--(?:.+--)?(?P<name>.+)")
_KAGGLE_HUB = re.compile(r"kagglehub/models/[^/]+/(?P<name>[^/]+)/")
_TEMPORARY = re.compile(
    r"tmp[a-z0-9_]{8}|tmp[a-z0-9]*\d[a-z0-9]*|te?mp|pytest-(of-)?\w+", re.IGNORECASE
)
_RUN = re.compile(r"(offline-)?run-\d{8}_\d{6}-\w+|m-[0-9a-f]{32}", re.IGNORECASE)
_UUID_OR_TIME = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|\d{4}-?\d\d-?\d\d[t_ -]\d\d[-:_]?\d\d([-:_]?\d\d)?([.,]\d+)?(z|utc)?",
    re.IGNORECASE,
)
_HASH = re.compile(r"(?=.*\d)[0-9a-f]{7,}|[0-9a-f]{20,}|(?=(.*\d){4})(?=(.*[a-z]){4})[0-9a-z]{22,}")
_COUNTED = re.compile(r"(?P<word>[a-z]*?)\d+")
_QUANTITY = re.compile(r"\d+[a-z]{1,2}")

# Words of a file's name that say what it is for, when it was written or in which format.
_GENERIC_WORDS: Final = """
    model models net network nn weight weights params parameters variables graph
    save saved savedmodel keras tf tensorflow h5 hdf5 pb onnx tflite jax torch pytorch
    best final last latest newest initial init first new old cur current prev previous
    checkpoint checkpoints ckpt ckpts chkpt cp export exports exported
    epoch epochs ep step steps iter iters iteration iterations fold seed
    val valid validation train training trained pretrained finetuned retrained tuned test eval
    loss acc accuracy auc f1 mse mae rmse score metric
    prod production staging dev release version versions ver rev revision build
    tmp temp temporary backup bak copy draft untitled unnamed default my full frozen
    quantized quant int4 int8 fp16 fp32 float16 float32 bfloat16
    run runs exp exps experiment experiments trial trials job jobs uuid id hash
    file output outputs artifact artifacts snapshot
    at of with and the
"""
_GENERIC: Final = frozenset(_GENERIC_WORDS.split())
_COUNTED_ONLY: Final = frozenset({"v", "rc", ""})
"""Generic with a number behind them only: `v2`."""

_LONG_WORDS = sorted(
    w for w in _GENERIC if len(w) > 2 and w not in ("net", "network", "savedmodel")
)
_RUN_TOGETHER = re.compile(rf"({'|'.join(['my', *_LONG_WORDS])})+(v?\d+)?")
"""`bestmodel`, `finalweights2`; but `modelnet40` is a name."""

# Folders that say where files lie and not what is in them.
_PLACE_WORDS: Final = """
    data dataset datasets out result results files assets asset bundle package download downloads
    upload uploads snapshots blob blobs refs hub archive cache caches storage store registry
    project projects work working workspace workdir wd src app apps code service services serve
    serving deploy deployed deployment inference opt ml srv var lib usr mnt media home root user
    users share shared local disk disks volume volumes bucket notebook notebooks content drive
    mydrive colab kaggle input inputs repo repos git documents desktop folder dir log logs
    tensorboard wandb mlruns mlflow mlartifacts dist etc bin sbin proc sys boot gcs dbfs private t
"""
_PLACES: Final = frozenset(_PLACE_WORDS.split())
# Above these lies what the model has nothing to do with: a user's or a tracking server's folders.
_TOPS: Final = frozenset({"mlruns", "mlartifacts", "wandb", "users", "home", "root"})
_CACHES: Final = frozenset({"cache", "caches", "__pycache__"})

_MAX_FOLDERS = 8
"""Folders above a file that are looked at for a name."""


def says_something(name: str) -> bool:
    """True if a name is more than `model`, `best_weights`, `checkpoint-0005`, a date or a hash."""
    return _says_something(name, _GENERIC)


def name_from_path(path: str | os.PathLike[str]) -> str | None:
    """The model's name in an artefact's path: its stem, or the nearest folder that says something.

    `models/intent.keras` is `intent`; `toxicity/7/model.keras` and `toxicity/7` are `toxicity`;
    `model.keras` and `/tmp/tmp8xk2f1q/best.keras` name no model.
    """
    parts = _parts(path)
    if not parts:
        return None
    kaggle = _KAGGLE_HUB.search("/".join(parts))
    if kaggle is not None:
        return kaggle["name"]
    *folders, last = parts
    stem = _SUFFIX.sub("", last)
    if stem != last and says_something(stem):
        return stem
    return _name_of_folders([*folders, stem])


def _name_of_folders(folders: Sequence[str]) -> str | None:
    # The file's own stem comes last, and is a folder's name where the artefact is a folder.
    for depth, folder in enumerate(reversed(folders[-_MAX_FOLDERS - 1 :])):
        hub = _HUB_FOLDER.fullmatch(folder)
        if hub is not None:
            return hub["name"]
        if depth and _ends_the_search(folders[: len(folders) - depth]):
            return None
        artifact = _VERSION_OF_ARTIFACT.fullmatch(folder)
        name = artifact["name"] if artifact is not None else folder
        if _says_something(name, _GENERIC | _PLACES):
            return name
    return None


def _ends_the_search(folders: Sequence[str]) -> bool:
    """True at a folder that, like those above it, says nothing of the model."""
    last, above = folders[-1], folders[:-1]
    is_home = bool(above) and above[-1].lower() in ("home", "users", "gcs")
    return (
        is_home
        or last.lower() in _TOPS
        or _is_cache(last)
        or _TEMPORARY.fullmatch(last) is not None
    )


def version_from_path(path: str | os.PathLike[str]) -> str | None:
    """The version in an artefact's path: the folder that holds it, or itself, if it looks so.

    `toxicity/7/model.keras` is `7`, `intent/v1.2/` is `v1.2`, `intent.keras` has none. A number
    below a cache, or right below a temporary folder, was given by a program and is no version.
    """
    parts = _parts(path)
    for folders in (parts, parts[:-1]):
        last = folders[-1] if folders else ""
        artifact = _VERSION_OF_ARTIFACT.fullmatch(last)
        if artifact is not None and _VERSION.fullmatch(artifact["version"]):
            return artifact["version"]
        if _VERSION.fullmatch(last):
            return None if _is_given_by_a_program(folders) else _dated(folders)
    return None


def _is_given_by_a_program(folders: Sequence[str]) -> bool:
    for folder in reversed(folders[:-1]):
        if _TEMPORARY.fullmatch(folder):
            return True
        if _says_something(folder, _GENERIC | _PLACES) and not folder.startswith("."):
            break
    return any(_is_cache(folder) for folder in folders)


def _dated(folders: Sequence[str]) -> str:
    """The last folder, or the date that it ends: `2026/11/01`."""
    for length in (3, 2):
        date = folders[-length:]
        if len(date) == length and re.fullmatch(r"(19|20)\d\d(/\d\d?)+", "/".join(date)):
            return "-".join(date)
    return folders[-1]


def _is_cache(folder: str) -> bool:
    return folder.lower() in _CACHES or (folder.startswith(".") and folder.strip(".") != "")


def _parts(path: str | os.PathLike[str]) -> list[str]:
    without_host = _SCHEME_AND_HOST.sub("", os.fspath(path))
    return [part for part in PurePath(without_host).parts if part.strip(".") != ""]


def _says_something(name: str, generic: frozenset[str]) -> bool:
    if _TEMPORARY.fullmatch(name) or _RUN.fullmatch(name):
        return False
    if not name.isascii():
        return True
    words = _BETWEEN_WORDS.split(_CAMEL.sub(" ", _UUID_OR_TIME.sub(" ", name)).lower())
    return not all(_is_generic(word, generic) for word in words if word)


def _is_generic(word: str, generic: frozenset[str]) -> bool:
    patterns = (_HASH, _QUANTITY, _RUN_TOGETHER)
    if word in generic or any(pattern.fullmatch(word) for pattern in patterns):
        return True
    counted = _COUNTED.fullmatch(word)
    return counted is not None and (counted["word"] in _COUNTED_ONLY or counted["word"] in generic)
