"""
How fast the inspector's page is: a call of 100,000 records, and one of 700,000.

Run it from the checkout, with the extra ``test`` and Chromium installed::

    python tests/benchmarks/page.py
    python tests/benchmarks/page.py 1000

A call is recorded by a `Recorder` as a bus hears it, with a clock that goes by itself: a question
and an answer after the other, the caller's audio in pieces of 20 ms all the time. Then headless
Chromium opens it, as often as it takes to know: at once, while the journal is being read; and when
that is done. ``docs/how-to/inspecting-a-call.md`` has the figures of one run.
"""

# ruff: noqa: T201 (printing is what a command does)

from __future__ import annotations

import array
import base64
import json
import math
import os
import shutil
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Final

from playwright.sync_api import Page, sync_playwright

from eventbus import EventBus
from eventbus.events import RealtimeModelAudioEvent, RealtimeModelTranscriptDeltaEvent
from eventbus.inspector import Inspector
from eventbus.inspector._file import JournalView
from eventbus.journal import Recorder
from eventbus.wire.openai import OpenAIRealtimeDecoder

_MS: Final = 1_000_000
_RATE: Final = 24_000
_IDS: Final = {"output_index": 0, "content_index": 0}
_OPTIONS: Final = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    "--enable-precise-memory-info",
]
# Scrolls for three seconds, so many pixels a frame, and gives the times between frames.
_SCROLL: Final = """(step) => new Promise((done) => {
  const box = document.getElementById("list");
  const times = [];
  const end = performance.now() + 3000;
  const next = (now) => {
    times.push(now);
    box.scrollTop += step;
    if (now < end) return requestAnimationFrame(next);
    const gaps = times.slice(1).map((each, place) => each - times[place]).sort((a, b) => a - b);
    const rate = (1000 * gaps.length) / (times[times.length - 1] - times[0]);
    done([rate, gaps[Math.floor(gaps.length * 0.95)]]);
  };
  requestAnimationFrame(next);
})"""


# Waits in the page for an element with a text: Playwright looks only once in half a second.
_SEEN: Final = """([selector, text]) => new Promise((done) => {
  const look = () => {
    const found = document.querySelector(selector);
    if (found === null || (text !== "" && found.textContent !== text)) return;
    watching.disconnect();
    done(null);
  };
  const watching = new MutationObserver(look);
  watching.observe(document, { subtree: true, childList: true, characterData: true });
  look();
})"""


class _Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.ns = 10_000 * _MS

    def __call__(self) -> int:
        return self.ns


class _Call:
    """
    A call that goes on as long as it is told to.

    Args:
        recorder: Records it.
        bus: Hears it.
        clock: Its time.
    """

    def __init__(self, recorder: Recorder, bus: EventBus, clock: _Clock) -> None:
        self._recorder, self._bus, self._clock = recorder, bus, clock
        self._decoder = OpenAIRealtimeDecoder()
        self.sent_ms = 0
        self._frames = 0
        self._quiet = _text(bytes(2 * _RATE * 20 // 1000))
        self._loud = _text(_tone(20, 220))
        self._answer = _text(_tone(100, 330))

    def frame(self, kind: str, **fields: Any) -> None:
        """Receive a frame."""
        self._clock.ns += _MS // 20
        self._frames += 1
        event_id = f"event_{self._frames:06}"
        data = json.dumps({"type": kind, "event_id": event_id, **fields}).encode()
        self._decoder.publish_to(self._bus, data, sender="call-1")

    def say(self, ms: int, *, is_voiced: bool = False) -> None:
        """Send so much of the caller's audio."""
        audio = self._loud if is_voiced else self._quiet
        for _ in range(ms // 20):
            self._clock.ns += 20 * _MS
            message = {"type": "input_audio_buffer.append", "audio": audio}
            self._recorder.sent(message, sender="call-1")
            self.sent_ms += 20

    def turn(self, number: int) -> None:
        """Ask a question, and get an answer of five seconds."""
        caller, response = f"item_u{number}", f"resp_{number}"
        ids = {"response_id": response, "item_id": f"item_a{number}", **_IDS}
        self.say(400)
        start_ms = max(0, self.sent_ms - 300)
        self.say(1500, is_voiced=True)
        self.frame("input_audio_buffer.speech_started", item_id=caller, audio_start_ms=start_ms)
        self.say(500)
        end = {"item_id": caller, "audio_end_ms": self.sent_ms}
        self.frame("input_audio_buffer.speech_stopped", **end)
        self.frame("input_audio_buffer.committed", item_id=caller, previous_item_id=None)
        self.frame("response.created", response={"id": response, "status": "in_progress"})
        self.say(200)
        words = {"content_index": 0, "transcript": f"Question {number}, please?"}
        name = "conversation.item.input_audio_transcription.completed"
        self.frame(name, item_id=caller, **words)
        for piece in range(50):
            self.frame("response.output_audio.delta", **ids, delta=self._answer)
            if not piece % 3:
                delta = f" word{piece}"
                self.frame("response.output_audio_transcript.delta", **ids, delta=delta)
            self.say(40)
        text = {"transcript": f"Answer {number}."}
        self.frame("response.output_audio_transcript.done", **ids, **text)
        self.frame("response.done", response={"id": response, "status": "completed"})
        self.say(3200)


def _tone(ms: int, hertz: int) -> bytes:
    count = _RATE * ms // 1000
    wave = (math.sin(2 * math.pi * hertz * place / _RATE) for place in range(count))
    return array.array("h", (int(8000 * each) for each in wave)).tobytes()


def _text(audio: bytes) -> str:
    return base64.b64encode(audio).decode()


def write_call(path: Path, records: int) -> float:
    """Record a call of at least so many records; return its length in minutes."""
    clock, bus = _Clock(), EventBus()

    @bus.on(RealtimeModelAudioEvent)
    def play(event: RealtimeModelAudioEvent) -> None:
        clock.ns += _MS // 50

    @bus.on(RealtimeModelTranscriptDeltaEvent)
    def show(event: RealtimeModelTranscriptDeltaEvent) -> None:
        clock.ns += _MS // 100

    settings: dict[str, Any] = {"clock_ns": clock, "fsync": "none", "buffer_bytes": 1 << 30}
    with Recorder(path, **settings) as recorder, recorder.attach(bus):
        call = _Call(recorder, bus, clock)
        detection = {"type": "server_vad", "silence_duration_ms": 500, "prefix_padding_ms": 300}
        audio = {"input": {"turn_detection": detection}}
        call.frame("session.created", session={"type": "realtime", "audio": audio})
        number = 0
        while recorder.last_seq < records:
            number += 1
            call.turn(number)
    return clock.ns / 1e9 / 60


def _megabytes(bytes_: float) -> str:
    return f"{bytes_ / 1e6:.0f} MB"


def _reading(path: Path) -> None:
    """Print the processor time of one pass over a journal, and of a page's requests then."""
    view = JournalView(path)
    start = process_time()
    view.update()
    call = max(view.calls.values(), key=lambda each: each.record_count)
    print(f"  read once: {process_time() - start:.2f} s of one processor")
    middle = call.end_ms / 2
    asked = {
        "the whole call": lambda: view.window(call, 0, call.end_ms),
        "a minute": lambda: view.window(call, middle, middle + 60_000),
        "200 lines": lambda: view.lines(call, start=len(call.lines) // 2, count=200),
    }
    for name, ask in asked.items():
        start = process_time()
        size = len(json.dumps(ask()))
        took_ms = 1000 * (process_time() - start)
        print(f"  {name}: {took_ms:.0f} ms, {size / 1000:.0f} kB")


def _opened(page: Page, url: str) -> tuple[float, float]:
    """Return the seconds until the first lines are there, and until all are."""
    start = perf_counter()
    page.goto(url)
    page.evaluate(_SEEN, [".line", ""])
    first = perf_counter() - start
    page.evaluate(_SEEN, ["#state", "recorded"])
    return first, perf_counter() - start


def measure_page(browser: Any, path: Path) -> None:
    """Print how the page of a journal behaves."""
    _reading(path)
    with Inspector(paths=[path], port=0) as inspector:
        for when in ("opened at once", "opened when it is read"):
            page = browser.new_page(viewport={"width": 1300, "height": 860})
            first, whole = _opened(page, inspector.url)
            print(f"  {when}: first lines {first:.2f} s, everything {whole:.2f} s")
            if when == "opened when it is read":
                for step in (44, 20_000):
                    rate, gap_ms = page.evaluate(_SCROLL, step)
                    print(f"  scrolling {step} pixels a frame: {rate:.0f} a second, 95 of 100"
                          f" within {gap_ms:.1f} ms")  # fmt: skip
                heap = page.evaluate("performance.memory.usedJSHeapSize")
                print(f"  the page's heap: {_megabytes(heap)}")
            page.close()


def main() -> None:
    """Write the calls, and open them."""
    sizes = [int(each) for each in sys.argv[1:]] or [100_000, 700_000]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=path, args=_OPTIONS)
        for size in sizes:
            journal = Path(folder) / f"{size}.journal"
            minutes = write_call(journal, size)
            print(f"{size} records, {minutes:.0f} minutes, {_megabytes(journal.stat().st_size)}")
            measure_page(browser, journal)
        browser.close()
    print("load", *(f"{load:.1f}" for load in os.getloadavg()))


if __name__ == "__main__":
    main()
