"""
The data that the page draws: the figures of the analysis, and lines that fold records.
"""

from __future__ import annotations

import io
import json
from base64 import b64decode
from types import SimpleNamespace

import attrs
import pytest

from eventbus import EventBus
from eventbus.analysis import measure
from eventbus.events import RealtimeModelTranscriptDeltaEvent
from eventbus.exceptions import ExportError, FilterError
from eventbus.inspector import write_html
from eventbus.inspector._file import JournalView
from eventbus.journal import Recorder, open_journal
from tests.cli.journals import torn, write_journal
from tests.journal.stories import Story


@pytest.fixture
def view(journal):
    view = JournalView(journal)
    view.update()
    return view


def test_reading_makes_way_for_requests(tmp_path):
    """
    While a page waits for an answer, reading stops after some hundred records.
    """
    view = JournalView(write_journal(tmp_path / "long.journal", long_call()))
    view.open()

    assert view.update(60.0, SimpleNamespace(is_busy=True))
    stopped_at = view.progress
    view.update(60.0, SimpleNamespace(is_busy=False))

    assert 0 < stopped_at < view.progress == 1


def long_call():
    story = Story("call-1")
    story.session()
    for number in range(1_000):
        story.at(20 * number).audio(20)
    return story


def call_of(view):
    (call,) = (call for call in view.calls.values() if call.sender == "call-1")
    return call


def test_page_of_its_own_holds_an_hour_of_sound(tmp_path):
    """
    A longer call is refused, and written if its audio was left out; silence would fill the memory.
    """
    story = Story("call-1")
    story.session()
    story.at(8 * 3_600_000).audio(20)
    path = write_journal(tmp_path / "call.journal", story)

    with pytest.raises(ExportError, match="an hour of sound"):
        write_html(open_journal(path), io.StringIO())
    part = io.StringIO()
    write_html(list(open_journal(path).seek(time=8 * 3_600 - 1)), part)
    assert '"audio": null' not in part.getvalue()


def test_figures_are_those_of_the_analysis(view, journal):
    """
    Figures, turns and tools are computed once, by `eventbus.analysis.measure`.
    """
    overview = view.overview(call_of(view))
    window = view.window(call_of(view), 0, 10_000)
    (measured,) = measure(open_journal(journal)).calls

    shown = {name: figure["p95"] for name, figure in overview["figures"].items()}
    assert shown == {name: figure.p95 for name, figure in measured.totals.figures.items()}
    assert [turn for _, _, turn in window["turns"]] == [attrs.asdict(t) for t in measured.turns]
    assert overview["counts"]["crashes"]["value"] == 1


def test_deltas_fold_into_one_line(view):
    """
    Forty frames of audio, their events and their handler calls are one line.
    """
    lines = view.lines(call_of(view))["lines"]

    (audio,) = (line for line in lines if line[5] == "response.output_audio.delta")
    assert audio[8] == 40
    rows = view.rows(call_of(view), audio[0], audio[1])
    assert [row["kind"] for row in rows[:3]] == ["frame", "event", "call"]


def test_every_record_belongs_to_one_line(view):
    """
    No record is lost by folding.
    """
    call = call_of(view)

    numbers = [call.lines.number_of(facts.seq) for facts in view.details(call)]

    assert None not in numbers
    assert set(numbers) == set(range(len(call.lines)))


def test_filter_finds_lines_by_any_of_their_records(view):
    """
    A crash of a handler finds the line of the frame that led to it.
    """
    (line,) = view.lines(call_of(view), "is:crash")["lines"]

    assert line[5] == "response.output_audio_transcript.delta"
    assert "crash" in line[9]


def test_filter_that_cannot_be_read_is_an_error(view):
    """
    The error is that of the command line.
    """
    with pytest.raises(FilterError):
        view.lines(call_of(view), "dur:>long")


def test_record_is_shown_with_cause_and_effects(view):
    """
    A frame leads to its event, and an event to the calls of its handlers.
    """
    call = call_of(view)
    (line,) = view.lines(call, "is:crash")["lines"]

    frame = json.loads(view.detail(call, line[0]))
    event = json.loads(view.detail(call, frame["effects"][0]["seq"]))

    assert frame["record"]["frame"]["delta"] == "It left this morning."
    assert event["cause"]["seq"] == line[0]
    assert [effect["handler"] for effect in event["effects"]] == ["shop.crm"]


def test_speech_has_peaks_where_it_was_spoken(view):
    """
    The caller's waveform is loud in the second in which the caller spoke, and nowhere else.
    """
    peaks = view.window(call_of(view), 0, 10_000)["peaks"]

    loud = [50 * place for place, peak in enumerate(b64decode(peaks["caller"])) if peak > 20]
    assert loud[0] == 500
    assert loud[-1] == 1450


def test_records_that_are_written_later_are_taken_later(tmp_path):
    """
    An update takes the records that are new, and each of them once.
    """
    bus, path = EventBus(), tmp_path / "growing.journal"
    event = RealtimeModelTranscriptDeltaEvent("item_1", "Hello", "resp_1")
    with Recorder(path, fsync="none") as recorder, recorder.attach(bus):
        bus.publish(event, sender="call-1")
        recorder.sync()
        view = JournalView(path)
        view.update()
        before = call_of(view).record_count

        bus.publish(event, sender="call-1")
        recorder.sync()
        assert view.update()
        assert (before, call_of(view).record_count) == (1, 2)
        assert not view.update()


@pytest.fixture
def live(tmp_path):
    """
    Records of a bus with two sessions, and the view of them while they go on.
    """
    bus, path = EventBus(), tmp_path / "live.journal"
    with Recorder(path, fsync="none") as recorder, recorder.attach(bus):
        view = JournalView(path, is_live=True)

        def publish(count):
            for number in range(count):
                for sender in ("call-1", "call-2"):
                    event = RealtimeModelTranscriptDeltaEvent(f"item_{number}", "Hello", "resp_1")
                    bus.publish(event, sender=sender)
            recorder.sync()
            view.update()

        yield view, publish


def analysed(view, name):
    """
    Return all that the page shows of a call.
    """
    call = view.calls[name]
    window = view.window(call, 0, 1e9, is_whole=True)
    return view.overview(call), window, view.lines(call)


def same_as_recorded(view, name):
    """
    Return all that the page shows of the call, once it is a file.
    """
    recorded = JournalView(view.path, view.name)
    recorded.update()
    return analysed(recorded, name)


def test_live_call_is_listed_before_a_page_asks_for_it(live):
    """
    Its length and its number of records are known, and nothing of it is analysed.
    """
    view, publish = live
    publish(300)
    call = view.calls["call-2"]

    listed = view.summary(call)
    assert (listed["records"], listed["progress"]) == (300, 1.0)
    assert view.lines(call)["count"] == 0


def test_live_call_that_is_asked_for_is_analysed_from_its_beginning(live):
    """
    What has passed of it is read again, and it grows from then on.
    """
    view, publish = live
    publish(300)
    view.want(view.calls["call-2"])
    assert analysed(view, "call-2") == same_as_recorded(view, "call-2")
    assert view.lines(view.calls["call-2"])["lines"][0][7] == "Hello"

    publish(20)
    assert analysed(view, "call-2") == same_as_recorded(view, "call-2")
    assert view.lines(view.calls["call-1"])["count"] == 0


def test_live_call_that_is_looked_at_again_lacks_nothing(live):
    """
    While no page asks for it, its records are passed over, and read when one does.
    """
    view, publish = live
    publish(10)
    view.want(view.calls["call-1"])
    view.calls["call-1"].listed.wanted_at = float("-inf")
    publish(10)
    publish(10)
    assert view.lines(view.calls["call-1"])["count"] < 30

    view.want(view.calls["call-1"])
    assert analysed(view, "call-1") == same_as_recorded(view, "call-1")


def test_torn_end_is_told_with_its_remedy(journal):
    """
    A journal that a crash has cut off is shown as far as it goes.
    """
    view = JournalView(torn(journal))
    view.update()
    view.update()  # it doesn't grow, so it isn't just being written

    assert call_of(view).record_count > 50
    (problem,) = view.problems
    assert "eventbus validate --repair" in problem


def test_journal_that_loses_its_end_while_it_is_read_is_read_to_its_end(journal):
    """
    The page doesn't wait for records that a repair has cut off.
    """
    view = JournalView(journal)
    view.open()
    half = journal.stat().st_size // 2
    journal.write_bytes(journal.read_bytes()[:half])
    view.update()

    assert view.last_seq > 0
    assert view.progress == 1
