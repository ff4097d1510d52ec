"""Who a model is, from plain facts: its name, its version, its fingerprint and its card."""
