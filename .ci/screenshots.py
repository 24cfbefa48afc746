"""
Make the pictures of the inspector in the documentation; needs Chromium: ``screenshots.py``.

The call is that of ``eventbus demo``, which is looked at while it goes on, in both themes; the
pictures show its end.
"""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURES = Path(__file__).parents[1] / "docs" / "how-to"
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main() -> None:
    """Run the demo, and take a picture of its end in each theme."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        chromium = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        pages = {
            theme: chromium.new_page(viewport={"width": 1300, "height": 860}, color_scheme=theme)
            for theme in ("light", "dark")
        }
        # At a terminal, the page stays after the call.
        terminal, stdin = pty.openpty()
        demo = subprocess.Popen(
            [sys.executable, "-m", "eventbus", "demo", "--inspect"],
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert demo.stderr is not None
        found = (re.search(r"inspector: (\S+)", line) for line in demo.stderr)
        url = next(match[1] for match in found if match)
        for page in pages.values():
            page.goto(url)
        next(line for line in demo.stderr if "The call is over" in line)
        for theme, page in pages.items():
            page.reload()
            page.locator("body[data-ready]").wait_for()
            page.locator(".line").nth(9).wait_for()
            page.keyboard.press("f")
            page.keyboard.press("e")
            page.locator("#detail h2").first.wait_for()
            page.screenshot(path=PICTURES / f"inspector-{theme}.png")
        demo.send_signal(signal.SIGINT)
        demo.communicate()
        os.close(terminal)
        os.close(stdin)
        chromium.close()


if __name__ == "__main__":
    main()
