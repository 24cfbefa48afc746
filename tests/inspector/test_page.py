"""
The page in a real browser: from the server, live, and as one file from disk.
"""

from __future__ import annotations

import re

import pytest

from eventbus import EventBus
from eventbus.analysis import measure
from eventbus.events import (
    RealtimeModelConnectionStatusEvent,
    RealtimeModelTranscriptDeltaEvent,
)
from eventbus.inspector import Inspector, write_html
from eventbus.journal import open_journal
from tests.cli.journals import write_journal

from .conftest import asked_call

playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
expect = playwright.expect

pytestmark = pytest.mark.slow


def is_expected(message):
    """
    Return whether the browser may note that: the server refuses a filter that can't be read.
    """
    return "status of 400 (Bad Request)" in message


@pytest.fixture
def open_page(browser):
    """Return a function that opens an address; a message in the console fails the test."""
    messages, contexts = [], []

    def open_(url, **options):
        context = browser.new_context(**{"viewport": {"width": 1300, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console", lambda message: is_expected(message.text) or messages.append(message.text)
        )
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.goto(url)
        page.wait_for_selector("body[data-ready]")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert messages == []


@pytest.fixture
def page(journal, open_page):
    with Inspector(paths=[journal], port=0) as inspector:
        page = open_page(inspector.url)
        expect(page.locator(".line").nth(5)).to_be_visible()
        yield page
        page.close()


@pytest.fixture
def file_page(journal, tmp_path, open_page):
    path = tmp_path / "call.html"
    with path.open("w", encoding="utf-8") as file:
        write_html(open_journal(journal), file, name=journal.name)
    return open_page(path.as_uri())


def lines(page):
    return page.eval_on_selector_all(".line .y", "cells => cells.map(cell => cell.textContent)")


@pytest.mark.parametrize("way", ["page", "file_page"])
def test_figures_on_the_page_are_those_of_the_journal(way, request, journal):
    """
    The page shows the turn latency and the crash that the analysis finds.
    """
    page = request.getfixturevalue(way)
    (call,) = measure(open_journal(journal)).calls
    latency = call.totals.figures["turn_latency"].p95

    text = page.inner_text("#figures")

    shown = f"{latency / 1000:.2f} s" if latency >= 1000 else f"{round(latency)} ms"
    assert shown in text
    assert "crashes\n1" in text


@pytest.mark.parametrize("way", ["page", "file_page"])
def test_lanes_have_names_and_are_drawn(way, request):
    """
    Each lane has its name as text, and the canvas has something in it.
    """
    page = request.getfixturevalue(way)

    names = page.inner_text("#lane-names")
    for name in ("User speech", "Model audio", "Transcript", "Turns", "Responses", "Tools", "crm"):
        assert name in names
    drawn = page.evaluate(
        "() => { const c = document.getElementById('lanes');"
        " return c.getContext('2d').getImageData(0, 0, c.width, c.height).data"
        ".filter((value) => value > 0).length; }"
    )
    assert drawn > 1000


@pytest.mark.parametrize("way", ["page", "file_page"])
def test_keys_alone_lead_to_a_crash_and_its_frame(way, request):
    """
    With the keyboard only: the next error is selected, with its traceback's message and JSON.
    """
    page = request.getfixturevalue(way)

    page.keyboard.press("e")
    page.wait_for_selector('.line[aria-selected="true"]')
    assert "response.output_audio_transcript.delta" in page.inner_text(
        '.line[aria-selected="true"]'
    )
    expect(page.locator("#detail")).to_contain_text("shop.crm")
    assert "It left this morning." in page.inner_text("#detail")


@pytest.mark.parametrize("way", ["page", "file_page"])
def test_filter_shows_matching_lines_only(way, request):
    """
    The grammar of the command line works in the page; a filter without a match says so.
    """
    page = request.getfixturevalue(way)

    page.keyboard.press("/")
    page.keyboard.type("is:crash")
    expect(page.locator("#count")).to_have_text("1 lines")
    assert lines(page) == ["response.output_audio_transcript.delta"]
    page.fill("#filter", "sender:nobody")
    expect(page.locator("#nothing")).to_be_visible()
    page.fill("#filter", "dur:>x")
    page.wait_for_selector('#filter[aria-invalid="true"]')
    page.click("#clear")
    expect(page.locator(".line").nth(5)).to_be_visible()


@pytest.mark.parametrize("way", ["page", "file_page"])
def test_words_are_text_and_never_markup(way, request):
    """
    A tag in a transcript is shown as it was said.
    """
    page = request.getfixturevalue(way)
    page.fill("#filter", "order")

    expect(page.locator(".line .x").first).to_contain_text("<b>order</b>")
    assert page.locator("main b").count() == 0


def test_view_is_in_the_address(page, journal):
    """
    Zoom, filter and record are in the URL, so a view can be sent to a colleague.
    """
    page.keyboard.press("e")
    expect(page).to_have_url(re.compile("seq="))
    page.keyboard.press("w")
    address = page.url
    page.reload()
    page.wait_for_selector("body[data-ready]")
    page.wait_for_selector('.line[aria-selected="true"]')

    assert re.search(r"from=[\d.]+&to=[\d.]+", address)
    assert page.url.partition("#")[2].count("from=") == 1


def test_sound_plays_from_the_chosen_place(page):
    """
    Playing begins at the cursor.
    """
    page.keyboard.press("e")
    expect(page).to_have_url(re.compile("seq="))
    page.evaluate("document.getElementById('audio').muted = true")
    page.keyboard.press(" ")
    expect(page.locator("#play")).to_have_text("Pause")
    expect(page.locator("#audio")).to_have_attribute("src", re.compile("from=3"))


def test_live_events_come_by_themselves(open_page):
    """
    A page that waits shows a call as soon as there is one, and the end of the program.
    """
    bus = EventBus()
    with Inspector(bus, port=0) as inspector:
        page = open_page(inspector.url)
        assert page.is_visible("#empty")
        event = RealtimeModelTranscriptDeltaEvent("item_1", "Good morning", "resp_1")
        bus.publish(event, sender="call-7")
        expect(page.locator(".line")).to_have_count(1)
        assert "Good morning" in page.inner_text("#list")
        bus.publish(event, sender="call-7")
        expect(page.locator(".line")).to_have_count(2)
    page.wait_for_selector('#state[data-state="ended"]')
    assert "what is here stays" in page.inner_text("#state")


def test_file_needs_no_network(file_page):
    """
    The page in one file asks for nothing, and its audio is in it.
    """
    asked = []
    file_page.on("request", lambda request: asked.append(request.url))
    file_page.keyboard.press("f")
    file_page.keyboard.press("e")
    file_page.wait_for_selector('.line[aria-selected="true"]')

    assert [url for url in asked if not url.startswith("data:")] == []


@pytest.fixture
def both(tmp_path, journal):
    """
    The journals of two calls that differ in an answer, and in one turn more.
    """
    after = asked_call()
    after.at(6000).say(500, is_voiced=True)
    item = {"item_id": "item_v"}
    after.frame("input_audio_buffer.speech_started", audio_start_ms=1000, **item)
    after.at(7000).frame("input_audio_buffer.speech_stopped", audio_end_ms=1500, **item)
    name = "conversation.item.input_audio_transcription.completed"
    after.frame(name, content_index=0, transcript="Thank you!", **item)
    return [journal, write_journal(tmp_path / "after.journal", after)]


def test_two_calls_stand_side_by_side(both, open_page):
    """
    Turns are aligned by the caller's words; one that the other call lacks is named, and a turn's
    number shows it in both calls.
    """
    with Inspector(paths=both, port=0) as inspector:
        page = open_page(f"{inspector.url}#call=0&beside=1&tab=diff")
        table = page.locator("#diff table").first
        expect(table.locator("tbody tr")).to_have_count(2)
        expect(table).to_contain_text("only in B: Thank you!")
        expect(page.locator("#other-names")).to_contain_text("User speech")
        table.get_by_role("button", name="1", exact=True).click()
        expect(page).to_have_url(re.compile("tab=diff"))
        expect(page).to_have_url(re.compile(r"to=5333"))  # and no longer the whole call
        page.close()


def violations(page):
    """
    Return what axe-core finds wrong with a page, by rule and place.
    """
    found = axe.Axe().run(page).response["violations"]
    return {each["id"]: [node["html"] for node in each["nodes"]] for each in found}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_is_accessible(scheme, both, open_page):
    """
    axe-core finds nothing in either theme: with a record, with an error, with two calls, and in
    the list of keys.
    """
    with Inspector(paths=both, port=0) as inspector:
        page = open_page(inspector.url, color_scheme=scheme)
        expect(page.locator(".line").nth(5)).to_be_visible()
        page.keyboard.press("e")
        expect(page.locator("#detail")).to_contain_text("shop.crm")
        found = [violations(page)]
        page.locator("#beside").select_option(index=1)
        expect(page.locator("#diff table").first).to_be_visible()
        found.append(violations(page))
        page.keyboard.press("Escape")
        page.locator("#detail").focus()
        page.keyboard.press("?")
        expect(page.locator("#help")).to_be_visible()
        found.append(violations(page))
        page.close()

    assert found == [{}, {}, {}]


def test_page_is_usable_on_a_narrow_screen(journal, open_page):
    """
    Nothing is wider than a phone, and axe-core finds nothing there either.
    """
    with Inspector(paths=[journal], port=0) as inspector:
        page = open_page(inspector.url, viewport={"width": 390, "height": 800})
        expect(page.locator(".line").nth(5)).to_be_attached()
        width = page.evaluate("document.documentElement.scrollWidth")
        found = violations(page)
        page.close()

    assert (width, found) == (390, {})


def test_fifty_live_calls_are_listed_and_one_is_drawn(open_page):
    """
    All calls of a bus are in the list, with those that begin and end; of the others than the one
    that is shown, the browser gets nothing that was said.
    """
    bus = EventBus()

    def say(word, number):
        text = f"{word}-{number}-word"
        event = RealtimeModelTranscriptDeltaEvent(f"item_{number}", text, "resp_1")
        bus.publish(event, sender=f"call-{number}")

    asked, got = [], []

    def note(response):
        if "/api/" in response.url and "/api/stream" not in response.url:
            asked.append(response.url)
            got.append(response)

    with Inspector(bus, port=0) as inspector:
        for number in range(50):
            say("first", number)
        page = open_page(inspector.url)
        options = page.locator("#call option")
        expect(options).to_have_count(50)
        chosen = options.filter(has_text="call-7,").get_attribute("value")
        page.select_option("#call", chosen)
        expect(page.locator(".line").filter(has_text="first-7-word")).to_be_visible()
        page.on("response", note)

        for number in range(51):  # the last one is new
            say("second", number)
        bus.publish(RealtimeModelConnectionStatusEvent("disconnected"), sender="call-9")

        expect(options).to_have_count(51)
        expect(page.locator(".line").filter(has_text="second-7-word")).to_be_visible()
        expect(options.filter(has_text="call-9,")).to_contain_text("ended")
        expect(options.filter(has_text="ended")).to_have_count(1)
        page.remove_listener("response", note)
        texts = "".join(response.text() for response in got)
        assert all(f"/api/calls/{chosen}" in url for url in asked)
        assert set(re.findall(r"(?:first|second)-\d+-word", texts)) == {
            "first-7-word", "second-7-word",
        }  # fmt: skip
        listed = page.evaluate("fetch('api/calls').then((answer) => answer.text())")
        assert "-word" not in listed  # and the stream has the same rows
        page.close()
