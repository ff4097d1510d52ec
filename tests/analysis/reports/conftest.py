"""Chromium, as it is installed, for tests of the page."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from keras_otel.analysis.reports import render_html

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
SIZES = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 900}}


PAGES = []  # each result with its page: drawing the plots takes longest


def page_of(result):
    for drawn, page in PAGES:
        if drawn is result:
            return page
    PAGES.append((result, render_html(result, "http://localhost:16686/trace/{trace_id}")))
    return PAGES[-1][1]


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install keras-otel[dev]"
    )
    if CHROMIUM is None:
        pytest.skip("no Chromium was found: install one, or name it in CHROMIUM")
    # Of a module and no longer: an event loop runs in this thread as long as Playwright does.
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
        )
        yield started
        started.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Open a result's page: (the page, what its console and network said)."""
    contexts = []

    def open_page(result, size="phone", scheme="light", address="", **context):
        path = Path(tmp_path, "report.html")
        path.write_text(page_of(result), "utf-8")
        contexts.append(browser.new_context(viewport=SIZES[size], color_scheme=scheme, **context))

        def is_page(url):
            return url.partition("#")[0] == path.as_uri()

        page, said = contexts[-1].new_page(), []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda asked: said.append(asked.url) if not is_page(asked.url) else 0)
        page.goto(path.as_uri() + address)
        return page, said

    yield open_page
    for context in contexts:
        context.close()
