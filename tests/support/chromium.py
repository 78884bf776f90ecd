"""The Chromium of this machine, for tests of pages: `python -m tests.support.chromium` exits with 1 without one."""

import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = "There is no Chromium on the PATH: install one, on Debian and Ubuntu with `apt-get install chromium`."
# Root has no sandbox; all else keeps Chromium from calling its maker.
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def open_chromium() -> Generator[Browser]:
    """Yield a headless Chromium; raises AssertionError without one."""
    path = find_chromium()
    assert path, MISSING
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


if __name__ == "__main__":
    sys.exit(None if find_chromium() else MISSING)
