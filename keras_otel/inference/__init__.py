"""From one call of a model to its span: what was called, what came out, and who is to know of it."""
