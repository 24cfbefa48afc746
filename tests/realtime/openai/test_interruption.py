from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.audio import G711_ALAW, G711_ULAW, PCM16, AudioFormat
from eventbus.realtime.openai._interruption import (
    Interruption,
    PlaybackEstimate,
    interrupts_responses,
    output_format,
)
from eventbus.realtime.playback import RealtimePlaybackTracker

SECOND = 48_000  # bytes


@pytest.fixture
def playback():
    """
    The estimate without a tracker.
    """
    return PlaybackEstimate()


@pytest.fixture
def tracker():
    """
    A playback tracker.
    """
    return RealtimePlaybackTracker()


@pytest.fixture
def tracked(tracker):
    """
    The estimate with a tracker.
    """
    return PlaybackEstimate(tracker)


def test_without_a_tracker_audio_is_heard_from_its_arrival_on(playback):
    """
    Audio that came in one go is heard at real-time speed.
    """
    playback.on_audio("r", "a", 0, 2 * SECOND, now=10.0)

    assert playback.interrupt(10.75) == Interruption("a", 0, "r", 750)


def test_second_item_begins_when_the_first_ends(playback):
    """
    Items that came together are heard one after another.
    """
    playback.on_audio("r", "a", 0, SECOND, now=0.0)
    playback.on_audio("r", "b", 0, SECOND, now=0.1)

    assert playback.interrupt(1.25) == Interruption("b", 0, "r", 250)


def test_item_that_waits_is_not_the_one_that_is_cut_off(playback):
    """
    While the first item is heard, the one behind it is not named.
    """
    playback.on_audio("r", "a", 0, SECOND, now=0.0)
    playback.on_audio("r", "b", 0, SECOND, now=0.1)

    assert playback.interrupt(0.5) == Interruption("a", 0, "r", 500)


def test_second_item_that_comes_late_begins_at_its_arrival(playback):
    """
    Silence between two items is not heard speech.
    """
    playback.on_audio("r", "a", 0, SECOND, now=0.0)
    playback.on_audio_done("a", 0)
    playback.on_audio("r", "b", 0, SECOND, now=5.0)

    assert playback.interrupt(5.25) == Interruption("b", 0, "r", 250)


def test_gap_within_an_item_is_not_heard(playback):
    """
    When the network stalls, the rest of an item is heard from its arrival on.
    """
    playback.on_audio("r", "a", 0, SECOND, now=0.0)
    playback.on_audio("r", "a", 0, SECOND, now=3.0)

    assert playback.interrupt(3.5) == Interruption("a", 0, "r", 1500)


def test_what_is_played_out_is_not_cut_off(playback):
    """
    An item that is complete and was heard in full isn't audible.
    """
    playback.on_audio("r", "a", 0, SECOND, now=0.0)
    playback.on_audio_done("a", 0)

    assert playback.interrupt(1.0) is None


@pytest.mark.parametrize("response_id", ["r", None])
def test_end_of_the_response_completes_its_items(playback, response_id):
    """
    When the response is over nothing more of its items is to come.
    """
    playback.on_audio("r", "a", 0, SECOND, now=0.0)
    playback.on_response_done(response_id)

    assert playback.interrupt(2.0) is None


def test_item_that_is_being_spoken_is_cut_off_at_what_was_received(playback):
    """
    If the network is behind, all received audio counts as heard.
    """
    playback.on_audio("r", "a", 0, SECOND, now=0.0)

    assert playback.interrupt(7.0) == Interruption("a", 0, "r", 1000)


def test_what_was_cut_off_is_over(playback):
    """
    A second interruption finds nothing, and the next item is heard at once.
    """
    playback.on_audio("r", "a", 0, 10 * SECOND, now=0.0)
    playback.interrupt(0.5)

    assert playback.interrupt(0.6) is None
    playback.on_audio("r2", "b", 0, SECOND, now=1.0)
    assert playback.interrupt(1.25) == Interruption("b", 0, "r2", 250)


def test_fenced_audio_is_not_received(playback):
    """
    Late audio of a fenced response says so, and leaves nothing to be heard.
    """
    playback.fence(["r"])

    assert not playback.on_audio("r", "a", 0, SECOND, now=0.0)
    assert playback.on_audio("r2", "b", 0, SECOND, now=0.0)
    assert playback.interrupt(0.5) == Interruption("b", 0, "r2", 500)


def test_one_response_can_be_cut_off_alone(playback):
    """
    Audio of other responses goes on, and moves up to the place of the other.
    """
    playback.on_audio("r", "a", 0, SECOND, now=0.0)
    playback.on_audio("r2", "b", 0, SECOND, now=0.0)

    assert playback.interrupt(0.5, "r") == Interruption("a", 0, "r", 500)
    assert playback.interrupt(0.75) == Interruption("b", 0, "r2", 250)


def test_response_that_waits_is_cut_off_without_being_named(playback):
    """
    Nothing of it was heard, so there is no place where it could be truncated.
    """
    playback.on_audio("r", "a", 0, SECOND, now=0.0)
    playback.on_audio("r2", "b", 0, SECOND, now=0.0)

    assert playback.interrupt(0.5, "r2") == Interruption("b", 0, "r2", None)
    assert playback.interrupt(0.75) == Interruption("a", 0, "r", 750)


def test_response_of_which_nothing_is_left_is_not_cut_off(playback):
    """
    An interruption of a response that isn't heard changes nothing.
    """
    playback.on_audio("r", "a", 0, SECOND, now=0.0)

    assert playback.interrupt(0.5, "other") is None
    assert playback.interrupt(0.5) == Interruption("a", 0, "r", 500)


def test_tracker_says_what_is_heard(tracked, tracker):
    """
    With a tracker, time doesn't matter.
    """
    tracked.on_audio("r", "a", 0, SECOND, now=0.0)
    tracked.on_audio("r", "b", 0, SECOND, now=0.0)
    tracker.on_play_bytes("b", 0, bytes(SECOND // 4))

    assert tracked.interrupt(0.0) == Interruption("b", 0, "r", 250)
    assert tracker.get_state()["current_item_id"] is None


def test_tracker_that_says_more_than_came_is_not_believed(tracked, tracker):
    """
    The service refuses a truncation behind the end.
    """
    tracked.on_audio("r", "a", 0, SECOND, now=0.0)
    tracker.on_play_ms("a", 0, 5000)

    assert tracked.interrupt(0.0) == Interruption("a", 0, "r", 1000)


def test_tracker_that_has_played_all_leaves_nothing(tracked, tracker):
    """
    Played out is played out, though the player says nothing more.
    """
    tracked.on_audio("r", "a", 0, SECOND, now=0.0)
    tracked.on_audio_done("a", 0)
    tracker.on_play_bytes("a", 0, bytes(SECOND))

    assert tracked.interrupt(0.0) is None


def test_player_that_has_not_begun_has_nothing_to_be_named(tracked):
    """
    Audio that didn't begin to play is cut off, and not named.
    """
    tracked.on_audio("r", "a", 0, SECOND, now=0.0)

    assert tracked.interrupt(0.5) == Interruption("a", 0, "r", None)


def test_player_that_reports_late_revives_nothing(tracked, tracker):
    """
    Audio that was cut off isn't audible, even if the player reports it afterwards.
    """
    tracked.on_audio("r", "a", 0, SECOND, now=0.0)
    tracker.on_play_ms("a", 0, 100)
    tracked.interrupt(0.0)

    tracker.on_play_ms("a", 0, 20)

    assert tracked.interrupt(0.0) is None


def test_format_is_that_of_the_session(tracked, tracker):
    """
    The format goes to the tracker as well.
    """
    tracked.set_format(G711_ULAW)
    tracked.on_audio("r", "a", 0, 8000, now=0.0)
    tracker.on_play_bytes("a", 0, bytes(1600))

    assert tracked.interrupt(0.0) == Interruption("a", 0, "r", 200)


def test_reset_forgets_parts_and_fences(playback):
    """
    Another session begins with nothing.
    """
    playback.on_audio("r", "a", 0, SECOND, now=0.0)
    playback.fence(["r2"])

    playback.reset()

    assert playback.interrupt(0.5) is None
    assert playback.on_audio("r2", "b", 0, SECOND, now=0.0)


def test_long_session_remembers_a_bounded_number_of_things(playback):
    """
    Memory doesn't grow with the number of items and interruptions.
    """
    for number in range(2_000):
        playback.on_audio(f"r{number}", f"item{number}", 0, 48, now=float(number))
        playback.fence([f"x{number}"])

    assert len(playback._parts) <= 256
    assert len(playback._fenced) <= 256


def test_what_was_cut_off_is_fenced_though_it_was_done(playback):
    """
    Audio comes faster than it is heard, so that a response may be over when it is interrupted.
    """
    playback.on_audio("r", "a", 0, SECOND, now=0.0)
    playback.on_audio("r2", "b", 0, SECOND, now=0.0)
    playback.on_response_done("r")
    playback.interrupt(0.5)

    assert not playback.on_audio("r", "a", 0, SECOND, now=0.6)
    assert not playback.on_audio("r2", "b", 0, SECOND, now=0.6)


def test_what_was_heard_before_is_not_named_when_nothing_plays(tracked, tracker):
    """
    After an interruption the tracker knows of no item; those before it were heard all the same.
    """
    tracked.on_audio("r", "a", 0, SECOND, now=0.0)
    tracked.on_audio("r2", "b", 0, SECOND, now=0.0)
    tracker.on_play_ms("b", 0, 100)
    tracked.interrupt(0.1)

    assert tracked.interrupt(0.2) is None
    tracked.on_audio("r3", "c", 0, SECOND, now=0.3)
    assert tracked.interrupt(0.4) == Interruption("c", 0, "r3", None)


FORMATS = st.sampled_from(
    [G711_ULAW, G711_ALAW, *(AudioFormat(rate=rate) for rate in (8_000, 16_000, 24_000, 48_000))]
)
PIECES = st.lists(
    st.tuples(st.booleans(), st.integers(0, 2_000), st.floats(0, 2)), min_size=1, max_size=20
)


def play(arrivals, now):
    """
    Return how many milliseconds of each item were heard, if audio is played in real time.
    """
    heard: dict[str, float] = {}
    free_at = 0.0
    for arrived_at, item, duration in arrivals:
        begins_at = max(arrived_at, free_at)
        free_at = begins_at + duration
        heard[item] = heard.get(item, 0) + 1000 * max(min(now, free_at) - begins_at, 0)
    return heard


@given(FORMATS, PIECES, st.floats(0, 5), st.booleans())
def test_truncation_is_where_a_player_would_be(audio_format, pieces, rest, is_done):
    """
    The item is the first one that isn't heard in full, and the last one while more may come; the
    place is the end of its heard part, to the millisecond, and never later.
    """
    playback = PlaybackEstimate()
    playback.set_format(audio_format)
    now = 100.0
    arrivals: list[tuple[float, str, float]] = []
    received: dict[str, float] = {}
    item = 0
    for is_next, length_ms, pause in pieces:
        now += pause
        if is_next:
            playback.on_audio_done(str(item), 0)
            item += 1
        size = audio_format.byte_count(length_ms)
        playback.on_audio("r", str(item), 0, size, now)
        arrivals.append((now, str(item), audio_format.duration_ms(size) / 1000))
        received[str(item)] = received.get(str(item), 0) + audio_format.duration_ms(size)
    if is_done:
        playback.on_response_done("r")
    now += rest
    heard = play(arrivals, now)
    audible = [each for each in received if heard[each] < received[each] - 0.001]
    if not audible and not is_done:
        audible = [str(item)]

    cut = playback.interrupt(now)

    assert (cut and cut.item_id) == (audible[0] if audible else None)
    if cut is not None:
        assert cut.audio_end_ms is not None
        assert heard[cut.item_id] - 1.001 < cut.audio_end_ms <= heard[cut.item_id] + 0.001
        assert cut.audio_end_ms <= received[cut.item_id]
    assert playback.interrupt(now) is None


ARRIVALS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 4800)), max_size=20)


@given(ARRIVALS, st.sampled_from("abcd"), st.floats(0, 1000))
def test_truncation_follows_the_tracker(pieces, playing, elapsed_ms):
    """
    With a tracker, the part that it reports is named, or none is, and never a later place.
    """
    tracker = RealtimePlaybackTracker()
    playback = PlaybackEstimate(tracker)
    received: dict[str, int] = {}
    for item, size in pieces:
        playback.on_audio("r", item, 0, size, 0.0)
        received[item] = received.get(item, 0) + size
    tracker.on_play_ms(playing, 0, elapsed_ms)

    cut = playback.interrupt(0.0)

    if cut is not None and cut.audio_end_ms is not None:
        assert cut.item_id == playing
        length_ms = PCM16.duration_ms(received[playing])
        assert cut.audio_end_ms == math.floor(round(min(elapsed_ms, length_ms), 3))


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        ({}, None),
        ({"audio": {"input": {}}}, None),
        ({"audio": None}, None),
        ({"audio": {"input": {"turn_detection": None}}}, False),
        ({"audio": {"input": {"turn_detection": {"interrupt_response": True}}}}, True),
        ({"audio": {"input": {"turn_detection": {"interrupt_response": 1}}}}, False),
        ({"audio": {"input": {"turn_detection": {}}}}, False),
        ({"turn_detection": {"interrupt_response": True}}, True),
    ],
)
def test_only_an_explicit_true_interrupts_responses(session, expected):
    """
    A session without the setting passes None; then the earlier value holds.
    """
    assert interrupts_responses(session) is expected


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        ({"audio": {"output": {"format": {"type": "audio/pcmu"}}}}, G711_ULAW),
        ({"output_audio_format": "g711_ulaw"}, G711_ULAW),
        ({"audio": {"output": {"format": {"type": "audio/opus"}}}}, None),
        ({}, None),
    ],
)
def test_output_format_is_where_ga_or_the_dialects_have_it(session, expected):
    """
    A format that isn't known is no reason to fail: the one before holds.
    """
    assert output_format(session) == expected
