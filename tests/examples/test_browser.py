"""
`examples/browser`: the page in headless Chromium, with a file for its microphone.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

import eventbus
from eventbus.audio import WavWriter
from eventbus.simulator.speech import silence, speak
from tests.bridges.servers import free_port
from tests.examples.loading import EXAMPLES

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
ADVICE = "pip install playwright starlette uvicorn, and apt-get install chromium"

sync_api = pytest.importorskip("playwright.sync_api", reason=ADVICE)
pytest.importorskip("starlette", reason=ADVICE)
pytest.importorskip("uvicorn", reason=ADVICE)
expect = sync_api.expect
expect.set_options(timeout=60_000)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CHROMIUM, reason=ADVICE)]


@pytest.fixture
def server(tmp_path):
    """
    The example as its README starts it, on a free port.
    """
    kept = {name: value for name, value in os.environ.items() if "API_KEY" not in name}
    environment = {**kept, "PYTHONPATH": str(Path(eventbus.__file__).parents[1])}
    port = free_port()
    command = [sys.executable, str(EXAMPLES / "browser" / "page_server.py"), "--sim"]
    with subprocess.Popen([*command, "--port", str(port)], env=environment) as process:
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            assert process.poll() is None
            with contextlib.suppress(OSError), urllib.request.urlopen(url):
                break
            time.sleep(0.1)
        yield url
        process.terminate()


@pytest.fixture
def open_page(server):
    """
    Open the page in a browser with those flags, and press Talk.
    """
    with sync_api.sync_playwright() as playwright, contextlib.ExitStack() as browsers:

        def start(*flags):
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM,
                args=[
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-dev-shm-usage",
                    "--autoplay-policy=no-user-gesture-required",
                    *flags,
                ],
            )
            browsers.callback(browser.close)
            page = browser.new_page()
            page.set_default_timeout(60_000)
            page.goto(server)
            page.click("#talk")
            return page

        yield start


@pytest.fixture
def microphone(tmp_path):
    """
    The flags of a browser with a microphone that speaks after a second, again and again.
    """
    path = tmp_path / "said.wav"
    with WavWriter(path) as file:
        file.write(silence(1_000) + speak("Hello, is anybody there?") + silence(4_000))
    return (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={path}",
    )


def test_page_talks_and_is_answered(open_page, microphone):
    """
    The microphone is heard, and the answer's caption is on the page; End closes the call.
    """
    page = open_page(*microphone)
    errors = []
    page.on("pageerror", lambda error: errors.append(error))  # noqa: PLW0108  # not a builtin

    line = page.wait_for_selector("#lines li.agent").inner_text()
    assert line.startswith("agent: ")
    assert page.inner_text("#state") == "Speak."
    page.click("#talk")

    expect(page.locator("#state")).to_have_text("The call is over.")
    assert errors == []


def test_page_that_is_loaded_again_has_another_call(open_page, microphone):
    """
    A page that reconnects begins a call of its own, and is answered.
    """
    page = open_page(*microphone)
    expect(page.locator("#state")).to_have_text("Speak.")

    page.reload()
    page.click("#talk")

    assert page.wait_for_selector("#lines li.agent")


def test_refused_microphone_is_one_sentence(open_page):
    """
    Without the permission, the page names the remedy.
    """
    page = open_page()

    expect(page.locator("#state")).to_contain_text("press Talk again")
    assert "microphone" in page.inner_text("#state")


def test_played_audio_is_reported(open_page, microphone):
    """
    The page reports the audio that it has played, item by item, in the audio thread's time.
    """
    reports = []
    page = open_page(*microphone)
    page.on(
        "console",
        lambda message: message.type == "debug" and reports.append(json.loads(message.text)),
    )
    with page.expect_event("console", lambda _: len(reports) > 3, timeout=60_000):
        page.evaluate(
            "() => { const send = WebSocket.prototype.send;"
            "WebSocket.prototype.send = function (data) {"
            " if (typeof data === 'string') console.debug(data); send.call(this, data); } }"
        )

    assert {each["index"] for each in reports} == {0}
    assert all(0 < each["ms"] <= 55 for each in reports)
    assert len({each["item"] for each in reports}) == 1
