"""Debian's Chromium, headless; never a browser that Playwright would download."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.absence import absent

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-gpu",
]


@contextmanager
def launched() -> Iterator[Browser]:
    """Run a browser."""
    if not CHROMIUM.is_file():
        absent(f"Chromium is not at {CHROMIUM} (set CHROMIUM)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), headless=True, args=ARGUMENTS)
        yield browser
        browser.close()


def open_ready(page: Page, path: str) -> None:
    """Open a compare page and wait until every pane shows something or says why not."""
    page.goto(path)
    expect(page.locator("body")).to_have_attribute("data-ready", "true", timeout=60_000)


def greys(pane: Locator) -> np.ndarray:
    """Read the grey levels of what a pane's canvas shows."""
    levels, width = pane.locator("canvas").evaluate(
        "canvas => [[...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
        ".filter((_, i) => i % 4 === 0), canvas.width]"
    )
    return np.asarray(levels).reshape(-1, width)
