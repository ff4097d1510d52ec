"""What `keras-otel doctor` looks at: one module for each part, all returning `Findings`."""
