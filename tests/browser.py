"""A headless Chromium: one for all tests that look at what is visible."""

import shutil
import warnings

import pytest

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium():
    """The browser; all tests of what is visible are skipped without one."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on PATH")
    api = pytest.importorskip("playwright.sync_api")
    with warnings.catch_warnings(), api.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()
