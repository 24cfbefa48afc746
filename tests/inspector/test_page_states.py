"""
The page in each state that a call or a connection can be in.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import zlib
from urllib.parse import urlsplit

import attrs
import pytest

from eventbus import EventBus
from eventbus.events import RealtimeModelTranscriptDeltaEvent
from eventbus.exceptions import JournalEmpty, JournalTooNew
from eventbus.inspector import Inspector
from eventbus.journal import Recorder
from eventbus.journal._copying import write_copy
from tests.cli.journals import damaged, torn

from .conftest import asked_call

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect

pytestmark = pytest.mark.slow

EVENT = RealtimeModelTranscriptDeltaEvent("item_1", "Good morning", "resp_1")


@pytest.fixture
def open_page(browser):
    """Return a function that opens an address; an error of a script fails the test."""
    errors, contexts = [], []

    def open_(url):
        context = browser.new_context(viewport={"width": 1000, "height": 700})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        page.wait_for_selector("body[data-ready]")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert errors == []


def test_damaged_journal_is_shown_as_far_as_it_can_be_read(journal, open_page):
    """
    A damaged place is named, and the records before and behind it are there.
    """
    with Inspector(paths=[damaged(journal)], port=0) as inspector:
        page = open_page(inspector.url)
        expect(page.locator("#banner")).to_contain_text("is damaged at offset")
        expect(page.locator(".line").first).to_be_visible()
        page.close()


def test_journal_that_is_cut_off_names_the_remedy(journal, open_page):
    """
    The end is missing, which is told with the command that mends it.
    """
    with Inspector(paths=[torn(journal)], port=0) as inspector:
        page = open_page(inspector.url)
        expect(page.locator("#banner")).to_contain_text("eventbus validate --repair")
        expect(page.locator(".line").nth(5)).to_be_visible()
        page.close()


def test_journal_that_is_being_written_is_followed(tmp_path, open_page):
    """
    Records that come are shown by themselves, and the end of the recording is told.
    """
    bus, path = EventBus(), tmp_path / "growing.journal"
    with Recorder(path, fsync="none") as recorder, recorder.attach(bus):
        bus.publish(EVENT, sender="call-1")
        recorder.sync()
        with Inspector(paths=[path], port=0) as inspector:
            page = open_page(inspector.url)
            expect(page.locator(".line")).to_have_count(1)
            expect(page.locator("#state")).to_have_text("recorded, or still being written")
            bus.publish(EVENT, sender="call-1")
            recorder.sync()
            expect(page.locator(".line")).to_have_count(2)
            recorder.close()
            expect(page.locator("#state")).to_have_text("recorded")
            page.close()


def test_journal_without_a_record_waits_for_one(tmp_path, open_page):
    """
    A recording that has just begun is no error: the page waits.
    """
    path = tmp_path / "begun.journal"
    with Recorder(path, fsync="none"), Inspector(paths=[path], port=0) as inspector:
        page = open_page(inspector.url)
        expect(page.locator("#empty")).to_contain_text("eventbus demo --inspect")
        expect(page.locator("#timeline")).to_be_hidden()
        page.close()


def test_journal_that_cannot_be_read_at_all_is_refused_at_once(tmp_path, journal):
    """
    An empty file, and a journal of a newer version, are errors before any page is served.
    """
    empty = tmp_path / "empty.journal"
    empty.touch()
    data = journal.read_bytes()
    head = data[:8] + b"\x09" + data[9:60]
    newer = tmp_path / "newer.journal"
    newer.write_bytes(head + zlib.crc32(head).to_bytes(4, "little") + data[64:])

    for path, error in ((empty, JournalEmpty), (newer, JournalTooNew)):
        with pytest.raises(error, match=path.name):
            Inspector(paths=[path], port=0).__enter__()


@pytest.mark.parametrize(
    ("settings", "told", "lane"),
    [
        ({"has_audio": False}, "Recorded without audio", "audio not recorded"),
        ({"has_content": False, "has_audio": False}, "without content", "content not recorded"),
        ({"redacted": ("phone_number",)}, "Redacted: phone_number.", "Transcript"),
    ],
)
def test_recording_says_what_was_left_out(tmp_path, open_page, settings, told, lane):
    """
    Without audio or words, and with redacted fields, the page says so, and so do the lanes.
    """
    records = asked_call().records
    header = attrs.evolve(records[0], **settings)
    path = tmp_path / "less.journal"
    write_copy([header, *records[1:]], path, header=header)

    with Inspector(paths=[path], port=0) as inspector:
        page = open_page(inspector.url)
        expect(page.locator("#banner")).to_contain_text(told)
        expect(page.locator("#lane-names")).to_contain_text(lane)
        if not header.has_audio:
            page.keyboard.press(" ")
            expect(page.locator("#banner")).to_contain_text("No audio was recorded")
        page.close()


def test_problem_of_playing_is_told_while_a_call_goes_on(tmp_path, open_page):
    """
    What comes next doesn't take it away.
    """
    bus, path = EventBus(), tmp_path / "call.journal"
    with Recorder(path, audio=False) as recorder, recorder.attach(bus):
        bus.publish(EVENT, sender="call-1")
        recorder.sync()
        with Inspector(paths=[path], port=0) as inspector:
            page = open_page(inspector.url)
            expect(page.locator(".line")).to_have_count(1)
            page.keyboard.press(" ")
            expect(page.locator("#banner")).to_contain_text("No audio was recorded")
            for count in (2, 3):  # the lines are there before the notices
                bus.publish(EVENT, sender="call-1")
                expect(page.locator(".line")).to_have_count(count)
            expect(page.locator("#banner")).to_contain_text("No audio was recorded")
            page.close()


def serve(path, port):
    """
    Serve a journal in a process of its own; return the process and its address.
    """
    command = [sys.executable, "-m", "eventbus", "inspect", str(path), "--token", "word"]
    process = subprocess.Popen(
        [*command, "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    return process, process.stdout.readline().strip()


def test_page_outlives_its_server_and_finds_it_again(journal, open_page):
    """
    While the server is gone, the page says so and keeps its content; when it is back, it goes on.
    """
    process, url = serve(journal, 0)
    try:
        page = open_page(url)
        expect(page.locator("#state")).to_have_text("recorded")
        process.send_signal(signal.SIGKILL)
        process.wait()
        expect(page.locator("#state")).to_contain_text("not connected")
        expect(page.locator(".line").nth(5)).to_be_visible()
        process.communicate()
        process, again = serve(journal, urlsplit(url).port)
        assert again == url
        expect(page.locator("#state")).to_have_text("recorded")
        page.keyboard.press("e")
        expect(page.locator("#detail")).to_contain_text("shop.crm")
        page.close()
    finally:
        process.kill()
        process.communicate()


def test_page_without_its_token_is_told_where_to_look(journal, browser):
    """
    An address that was copied without its token leads to one sentence.
    """
    with Inspector(paths=[journal], port=0) as inspector:
        page = browser.new_page()
        page.goto(re.sub(r"\?token=.*", "", inspector.url))
        expect(page.locator("body")).to_contain_text("Open the address that was printed")
        page.close()


def test_fifty_calls_are_listed_and_one_is_drawn(tmp_path, open_page):
    """
    A journal of many calls is a list, and the longest call is shown first.
    """
    bus, path = EventBus(), tmp_path / "many.journal"
    with Recorder(path, fsync="none") as recorder, recorder.attach(bus):
        for number in range(50):
            for _ in range(1 + (number == 7)):
                bus.publish(EVENT, sender=f"call-{number}")

    with Inspector(paths=[path], port=0) as inspector:
        page = open_page(inspector.url)
        expect(page.locator("#call option")).to_have_count(50)
        expect(page.locator("#call option:checked")).to_contain_text("call-7,")
        expect(page.locator(".line")).to_have_count(2)
        page.locator("#call").select_option(index=3)
        expect(page.locator(".line")).to_have_count(1)
        page.close()
