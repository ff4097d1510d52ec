"""Sources, each with data made by the real SDK."""
