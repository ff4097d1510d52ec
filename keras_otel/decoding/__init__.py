"""From the numbers of an output to what they say. numpy in, records out.

Nothing here knows of OpenTelemetry or holds a Keras object.
"""
