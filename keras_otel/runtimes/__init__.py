"""One adapter for each runtime: what to patch, and how to ask its models for plain facts."""
