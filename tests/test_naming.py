"""What the path of an artefact says of its model."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_otel.identity.naming import is_descriptive, name_from_path, version_from_path

SHA = "9f2c01ab34de56789f2c01ab34de56789f2c01ab"
RUN = "0123456789abcdef0123456789abcdef"
HUB = "/home/ann/.cache/huggingface/hub/models--acme--intent"


def read(path: str) -> tuple[str | None, str | None]:
    """Name and version in a path."""
    return name_from_path(path), version_from_path(path)


@pytest.mark.parametrize(
    ("path", "name", "version"),
    [
        ("intent.keras", "intent", None),
        ("models/intent.keras", "intent", None),
        ("/srv/models/intent.h5", "intent", None),
        ("/srv/models/Größe.keras", "Größe", None),
        ("intent.v2.keras", "intent.v2", None),
        ("intent.weights.h5", "intent", None),
        ("m.keras", "m", None),
        ("resnet50.keras", "resnet50", None),
        ("bert4rec.keras", "bert4rec", None),
        ("modelnet40.keras", "modelnet40", None),
        ("my_intent_model.keras", "my_intent_model", None),
        ("toxicity/7/intent.keras", "intent", "7"),
        ("intent-1.2", "intent-1.2", None),
        ("toxicity/7/model.keras", "toxicity", "7"),
        ("toxicity/7", "toxicity", "7"),
        ("toxicity/7/", "toxicity", "7"),
        ("toxicity/v1.2", "toxicity", "v1.2"),
        ("toxicity/V3/saved_model", "toxicity", "V3"),
        ("toxicity/2026-11-01/model.keras", "toxicity", "2026-11-01"),
        ("toxicity/2026/11/01/model.keras", "toxicity", "2026-11-01"),
        ("toxicity/1.0.3/weights.h5", "toxicity", "1.0.3"),
        ("version7/model.keras", None, None),
        ("7/model.keras", None, "7"),
        ("", None, None),
    ],
)
def test_a_path_says_the_name_and_the_version(path, name, version):
    """A file's stem names the model, a folder that looks like one is its version."""
    assert read(path) == (name, version)


@pytest.mark.parametrize(
    "stem",
    [
        "model",
        "models",
        "keras_model",
        "my_model",
        "mymodel",
        "SavedModel",
        "bestModel",
        "best_model",
        "Model-Best",
        "best",
        "final_weights",
        "finalweights2",
        "model_final_v2",
        "model (1)",
        "last",
        "latest-checkpoint",
        "export",
        "checkpoint-0005",
        "ckpt_12",
        "epoch_10",
        "model.epoch05",
        "weights.05-0.23",
        "weights.05-0.23.weights",
        "epoch=05-val_loss=0.23",
        "model_loss_0.23_acc_0.91",
        "model-2026-11-01",
        "model_2026_11_01_12_30",
        "20261101T123000Z",
        "2026-11-01T12-30-00",
        "model_v2.1",
        "v3",
        "007",
        "tmp8xk2",
        "tmpk_3x9_ab",
        "tmpabcdefgh",
        "temp",
        "9f2c01ab34de",
        f"model-{SHA}",
        "f3b2c1d0-1234-4abc-9def-0123456789ab",
        "model_quantized_int8",
        "exp3",
        "run_7",
    ],
)
def test_a_generic_stem_gives_way_to_the_folder(stem):
    """Formats, stages, numbers, dates, hashes and temporary files name no model."""
    assert not is_descriptive(stem)
    assert name_from_path(f"intent/{stem}.keras") == "intent"
    assert name_from_path(f"toxicity/{stem}.h5") == "toxicity"
    assert name_from_path(f"{stem}.keras") is None


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("intent/checkpoints/best.keras", "intent"),
        ("intent/checkpoint-0005/model.keras", "intent"),
        ("intent/output/data/model.keras", "intent"),
        ("../intent/model.keras", "intent"),
        ("/intent/model.keras", "intent"),
        ("/data/models/churn/production/v12/model.keras", "churn"),
        ("/srv/models/model.keras", None),
        ("/app/model.keras", None),
        ("/workspace/artifacts/model.keras", None),
        ("/home/ann/model.keras", None),
        ("/Users/Ann/Documents/model.keras", None),
        ("/root/model.keras", None),
        ("./model.keras", None),
        ("model.keras", None),
        ("saved_model", None),
        ("/tmp/tmp8xk2f1qz/best.keras", None),
        ("/var/folders/ab/xyz123/T/tmpabc12345/model.keras", None),
        ("/tmp/toxicity/model.keras", "toxicity"),
    ],
)
def test_the_nearest_folder_that_says_something(path, name):
    """Folders that say where files lie are passed over, and a user's own name is none."""
    assert name_from_path(path) == name


@pytest.mark.parametrize(
    ("path", "name", "version"),
    [
        # TensorFlow Serving
        ("/models/intent/7", "intent", "7"),
        ("models/intent/00000123/", "intent", "00000123"),
        # Hugging Face hub
        (f"{HUB}/snapshots/{SHA}/model.keras", "intent", None),
        (f"{HUB}/snapshots/{SHA}/toxicity.keras", "toxicity", None),
        (f"{HUB}/blobs/{SHA}", "intent", None),
        (f"/data/hub/models--gpt2/snapshots/{SHA}/model.keras", "gpt2", None),
        ("hf://acme/intent", "intent", None),
        # KaggleHub
        ("/home/app/.cache/kagglehub/models/acme/intent/keras/base/3/model.keras", "intent", None),
        ("/home/app/.cache/kagglehub/datasets/acme/intent/versions/3/model.keras", "intent", None),
        ("/kaggle/input/intent/keras/default/1/model.keras", "intent", "1"),
        ("/kaggle/working/model.keras", None, None),
        # MLflow
        (f"mlruns/1/{RUN}/artifacts/model/data/model.keras", None, None),
        (f"/home/ann/shop/mlruns/1/{RUN}/artifacts/intent/data/model.keras", "intent", None),
        (f"/srv/shop/mlruns/1/models/m-{RUN}/artifacts/data/model.keras", None, None),
        ("/tmp/tmp8xk2f1qz/model/data/model.keras", None, None),
        # Weights & Biases
        ("artifacts/intent:v3/model.h5", "intent", "v3"),
        ("artifacts/intent:latest/model.h5", "intent", None),
        ("shop/wandb/run-20261101_123456-1x2y3z4a/files/model-best.h5", None, None),
        # SageMaker, Vertex AI, buckets
        ("/opt/ml/model", None, None),
        ("/opt/ml/model/model.keras", None, None),
        ("/opt/ml/model/1", None, "1"),
        ("/opt/ml/models/intent/model/1", "intent", "1"),
        ("/gcs/acme-bucket/model.keras", None, None),
        ("/gcs/acme-bucket/intent/model/saved_model", "intent", None),
        ("gs://acme-bucket/model.keras", None, None),
        ("gs://acme-bucket/intent/7/model.keras", "intent", "7"),
        ("s3://acme-bucket/e/toxicity/00012/export", "toxicity", "00012"),
        # Keras Tuner
        ("tuning/intent/trial_0012/checkpoint.weights.h5", "intent", None),
    ],
)
def test_layouts_of_other_tools(path, name, version):
    """Registries, hubs and training platforms put their own folders around a model's name."""
    assert read(path) == (name, version)


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/tmp/1234/model.keras", None),
        ("/tmp/tmp8xk2f1qz/7/model.keras", None),
        ("/tmp/tmp8xk2f1qz/7", None),
        ("/home/ann/.cache/x/3/", None),
        ("/home/ann/.cache/x/3/model.keras", None),
        ("/home/ann/.keras/models/3/model.keras", None),
        ("/var/cache/intent/3/model.keras", None),
        ("/tmp/pytest-of-ann/pytest-3/test_x0/models/toxicity/7/model.keras", "7"),
        ("/tmp/models/toxicity/7/model.keras", "7"),
    ],
)
def test_a_number_that_a_program_gave_is_no_version(path, version):
    """Below a cache or right below a temporary folder a number says nothing."""
    assert version_from_path(path) == version


@given(st.text(), st.text())
def test_any_path_has_some_answer(folder, file):
    """No path makes the reading of its name fail, and an empty name is no name."""
    path = f"{folder}/{file}"

    assert name_from_path(path) != ""
    assert version_from_path(path) != ""


def test_a_long_name_is_read_at_once():
    """A name that looks like many generic words is decided without trying all ways to cut it."""
    started = time.perf_counter()
    for words in ("savedmodel", "runs", "exps", "modelmodels", "0a", "aa11"):
        name_from_path(f"{words * 40}x.keras")

    assert time.perf_counter() - started < 1
