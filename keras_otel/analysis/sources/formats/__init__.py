"""Files of traces and evaluations, one reader for each format."""
