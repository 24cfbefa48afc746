"""
The page in a real browser: from the server, live, and as one file from disk.
"""

from __future__ import annotations

import re

import pytest

from eventbus import EventBus
from eventbus.analysis import measure
from eventbus.events import RealtimeModelTranscriptDeltaEvent
from eventbus.inspector import Inspector, write_html
from eventbus.journal import open_journal

playwright = pytest.importorskip("playwright.sync_api")
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
        context = browser.new_context(viewport={"width": 1300, "height": 800}, **options)
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes_have_enough_contrast(scheme, journal, open_page):
    """
    Text has a contrast of 4.5 to 1 against its background, in both themes.
    """
    with Inspector(paths=[journal], port=0) as inspector:
        page = open_page(inspector.url, color_scheme=scheme)
        colours = page.evaluate(
            """() => {
            const probe = document.createElement('span');
            document.body.append(probe);
            const read = (name) => {
              probe.style.color = `var(--${name})`;
              return getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map(Number);
            };
            const names = ['bg', 'panel', 'text', 'muted', 'error', 'accent'];
            return Object.fromEntries(names.map((name) => [name, read(name)]));
            }"""
        )
        page.close()

    def luminance(colour):
        parts = [c / 255 for c in colour]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one, other):
        low, high = sorted((luminance(colours[one]), luminance(colours[other])))
        return (high + 0.05) / (low + 0.05)

    pairs = [("text", "bg"), ("text", "panel"), ("muted", "bg"), ("muted", "panel")]
    pairs += [("error", "bg"), ("bg", "accent")]
    assert {pair: contrast(*pair) for pair in pairs if contrast(*pair) < 4.5} == {}
