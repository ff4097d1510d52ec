"""Decoding a model's output into classes, confidences and values: numpy in, records out.

Nothing here depends on OpenTelemetry or holds a Keras object.
"""
