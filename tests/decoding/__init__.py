"""Properties of decoding."""
