"""The result of slicing for readers: on a terminal, in Markdown, as a page, as CSV."""

from __future__ import annotations

from keras_otel.analysis.reports.csv_document import render_csv
from keras_otel.analysis.reports.json_document import render_json
from keras_otel.analysis.reports.markdown import render_markdown
from keras_otel.analysis.reports.page import render_html
from keras_otel.analysis.reports.table import render_table

__all__ = ["render_csv", "render_html", "render_json", "render_markdown", "render_table"]
