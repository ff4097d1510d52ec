"""The model's name and its version, read from the path of its artefact.

Many paths name no model: `best_model.keras`, `tmp8xk2f1q/`, `snapshots/9f2c01ab34de/`. Each part is
split into words, and is descriptive only if one of them is not a format, a stage of training, a
number, a date, a hash or a place where files are stored.
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

# Words for the purpose, the time or the format of a file; they do not describe the model.
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
"""Generic only with a number behind them: `v2`."""

_LONG_WORDS = sorted(
    w for w in _GENERIC if len(w) > 2 and w not in ("net", "network", "savedmodel")
)
_RUN_TOGETHER = re.compile(rf"({'|'.join(['my', *_LONG_WORDS])})+(v?\d+)?")
"""`bestmodel`, `finalweights2`; but `modelnet40` is a name."""

# Folders named after where files are stored, and not after what is in them.
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
# Folders of a user or a tracking server; no folder above them belongs to the model.
_TOPS: Final = frozenset({"mlruns", "mlartifacts", "wandb", "users", "home", "root"})
_CACHES: Final = frozenset({"cache", "caches", "__pycache__"})

_MAX_FOLDERS = 8
"""Folders above a file that are searched for a name."""


def is_descriptive(name: str) -> bool:
    """Return True if a name is more than `model`, `best_weights`, `checkpoint-5`, a date or a hash."""
    return _is_descriptive(name, _GENERIC)


def name_from_path(path: str | os.PathLike[str]) -> str | None:
    """Return the model's name in an artefact's path: its stem, or the nearest descriptive folder.

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
    if stem != last and is_descriptive(stem):
        return stem
    return _name_of_folders([*folders, stem])


def _name_of_folders(folders: Sequence[str]) -> str | None:
    # The last element is the artefact's own stem; an artefact may be a folder itself.
    for depth, folder in enumerate(reversed(folders[-_MAX_FOLDERS - 1 :])):
        hub = _HUB_FOLDER.fullmatch(folder)
        if hub is not None:
            return hub["name"]
        if depth and _is_search_boundary(folders[: len(folders) - depth]):
            return None
        artifact = _VERSION_OF_ARTIFACT.fullmatch(folder)
        name = artifact["name"] if artifact is not None else folder
        if _is_descriptive(name, _GENERIC | _PLACES):
            return name
    return None


def _is_search_boundary(folders: Sequence[str]) -> bool:
    """Return True if neither the last folder nor those above it belong to the model."""
    last, above = folders[-1], folders[:-1]
    is_home = bool(above) and above[-1].lower() in ("home", "users", "gcs")
    return (
        is_home
        or last.lower() in _TOPS
        or _is_cache(last)
        or _TEMPORARY.fullmatch(last) is not None
    )


def version_from_path(path: str | os.PathLike[str]) -> str | None:
    """Return the version in an artefact's path: its own name or its folder's, if it looks like one.

    `toxicity/7/model.keras` is `7`, `intent/v1.2/` is `v1.2`, `intent.keras` has none. A number
    below a cache, or right below a temporary folder, was generated by a program and is no version.
    """
    parts = _parts(path)
    for folders in (parts, parts[:-1]):
        last = folders[-1] if folders else ""
        artifact = _VERSION_OF_ARTIFACT.fullmatch(last)
        if artifact is not None and _VERSION.fullmatch(artifact["version"]):
            return artifact["version"]
        if _VERSION.fullmatch(last):
            return None if _is_generated_number(folders) else _version_or_date(folders)
    return None


def _is_generated_number(folders: Sequence[str]) -> bool:
    for folder in reversed(folders[:-1]):
        if _TEMPORARY.fullmatch(folder):
            return True
        if _is_descriptive(folder, _GENERIC | _PLACES) and not folder.startswith("."):
            break
    return any(_is_cache(folder) for folder in folders)


def _version_or_date(folders: Sequence[str]) -> str:
    """Return the last folder, or the date that it is the end of: `2026/11/01` as `2026-11-01`."""
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


def _is_descriptive(name: str, generic: frozenset[str]) -> bool:
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
