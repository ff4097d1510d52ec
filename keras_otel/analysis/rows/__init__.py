"""Spans and evaluations become rows: one for each trace, upstream model and evaluation name."""
