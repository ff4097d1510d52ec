"""The prediction on its way to the later spans, log records and evaluations of its request."""
