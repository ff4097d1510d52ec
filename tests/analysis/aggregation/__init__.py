"""Features and the sums of cells."""
