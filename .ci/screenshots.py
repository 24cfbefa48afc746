"""
Make the pictures of the inspector and of the browser example; needs Chromium: ``screenshots.py``.

The inspector's call is that of ``eventbus demo``, which is looked at while it goes on, in both
themes; the pictures show its end. The example's microphone is a file; its second picture is of a
browser without one.
"""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Playwright, sync_playwright

from eventbus.audio import WavWriter
from eventbus.simulator.speech import silence, speak

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "how-to"
EXAMPLE = ROOT / "examples" / "browser"
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def inspector(playwright: Playwright) -> None:
    """Run the demo, and take a picture of its end in each theme."""
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


def browser_example(playwright: Playwright, folder: Path) -> None:
    """Talk to the example's page for two turns; then try it without a microphone."""
    with WavWriter(folder / "said.wav") as file:
        for text in ("Hello, is anybody there?", "Good, thank you!"):
            file.write(silence(1_000) + speak(text) + silence(6_000))
    allowed = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={folder / 'said.wav'}",
    ]
    command = [sys.executable, EXAMPLE / "page_server.py", "--sim", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = re.search(r"http://\S+?(?=;)", server.stdout.readline())
        assert url is not None
        pictures = (("talking", allowed, "#lines li.agent >> nth=1"), ("no-microphone", [], None))
        for name, flags, wanted in pictures:
            chromium = playwright.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=[*OPTIONS, "--autoplay-policy=no-user-gesture-required", *flags],
            )
            page = chromium.new_page(viewport={"width": 720, "height": 400})
            page.goto(url[0])
            page.click("#talk")
            if wanted is None:
                page.locator("#state", has_text="press Talk again").wait_for()
            else:
                page.locator(wanted).wait_for()
            page.screenshot(path=EXAMPLE / f"{name}.png")
            chromium.close()
        server.terminate()


def main() -> None:
    """Make all pictures."""
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        inspector(playwright)
        browser_example(playwright, Path(folder))


if __name__ == "__main__":
    main()
