"""Find the face in scikit-image's astronaut with mtcnn's three networks, twice.

First where no span may come of it, then traced; how many rows each network gets is counted in
the first pass from what the stages hand to one another.
"""

from __future__ import annotations

import json
import sys

import mtcnn
import tensorflow as tf
from installed import installed_file
from mtcnn.utils.images import (
    build_scale_pyramid,
    load_images_batch,
    standarize_batch,
)
from opentelemetry.instrumentation.utils import suppress_instrumentation

import keras_otel

keras_otel.instrument(export="file:spans.jsonl")

picture = tf.io.decode_png(tf.io.read_file(installed_file("scikit-image", "astronaut.png")))
detector = mtcnn.MTCNN()

with suppress_instrumentation():
    expected = detector.detect_faces(picture.numpy())
    pictures, shapes, _ = standarize_batch(
        load_images_batch([picture.numpy()]), justification="center", normalize=True
    )
    height, width, _ = picture.shape
    scales = len(build_scale_pyramid(width, height, min_face_size=20, scale_factor=0.709))
    proposals = detector.get_stage(stage_id=1)(images_normalized=pictures, images_oshapes=shapes)
    refined = detector.get_stage(stage_id=2)(bboxes_batch=proposals, images_normalized=pictures)

found = detector.detect_faces(picture.numpy())
report = {
    "unchanged": found == expected,
    "confidences": [float(face["confidence"]) for face in found],
    "rows": {"PNet": [1] * scales, "RNet": [len(proposals)], "ONet": [len(refined)]},
}
json.dump(report, sys.stdout)
