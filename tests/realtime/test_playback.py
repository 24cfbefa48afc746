from __future__ import annotations

import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.exceptions import AudioFormatError
from eventbus.realtime.playback import RealtimePlaybackTracker

NOTHING = {"current_item_id": None, "current_item_content_index": None, "elapsed_ms": None}


@pytest.fixture
def tracker():
    """
    A tracker that was told nothing.
    """
    return RealtimePlaybackTracker()


def test_nothing_plays_at_first(tracker):
    """
    A tracker that was told nothing knows of no item.
    """
    assert tracker.get_state() == NOTHING


@pytest.mark.parametrize(
    ("audio_format", "bytes_per_20_ms"),
    [
        (None, 960),
        ("pcm16", 960),
        ({"type": "audio/pcm", "rate": 16_000}, 640),
        ("g711_ulaw", 160),
        ({"type": "audio/pcma"}, 160),
    ],
)
def test_bytes_are_counted_in_the_sessions_format(tracker, audio_format, bytes_per_20_ms):
    """
    Bytes last as long as the format says; until one is set, it is PCM at 24 kHz.
    """
    if audio_format is not None:
        tracker.set_audio_format(audio_format)

    tracker.on_play_bytes("item", 0, bytes(bytes_per_20_ms))

    assert tracker.get_state()["elapsed_ms"] == 20


@given(st.lists(st.integers(0, 2_000)))
def test_pieces_add_up_to_the_whole(sizes):
    """
    However small the pieces are, they have played for as long as all of them in one.
    """
    tracker = RealtimePlaybackTracker()

    for size in sizes:
        tracker.on_play_bytes("item", 0, bytes(size))

    assert (tracker.get_state()["elapsed_ms"] or 0) == sum(sizes) * 1000 / 48_000


def test_milliseconds_and_bytes_add_up(tracker):
    """
    A player may report in both.
    """
    tracker.on_play_ms("item", 0, 12.5)
    tracker.on_play_bytes("item", 0, bytes(480))

    assert tracker.get_state()["elapsed_ms"] == 22.5


@pytest.mark.parametrize("other", [("item", 1), ("other", 0)])
def test_another_part_begins_anew(tracker, other):
    """
    Another item, or another part of the same, plays now, from its beginning.
    """
    tracker.on_play_ms("item", 0, 100)
    tracker.on_play_ms(*other, 5)

    assert tracker.get_state() == {
        "current_item_id": other[0],
        "current_item_content_index": other[1],
        "elapsed_ms": 5,
    }


def test_nothing_plays_after_an_interruption(tracker):
    """
    An interruption ends the item that played, and later reports count from zero.
    """
    tracker.on_play_ms("item", 0, 100)
    tracker.on_interrupted()

    assert tracker.get_state() == NOTHING
    tracker.on_play_ms("item", 0, 1)
    assert tracker.get_state()["elapsed_ms"] == 1


@pytest.mark.parametrize("ms", [-1, -0.001, math.nan, math.inf])
def test_impossible_time_is_refused(tracker, ms):
    """
    A negative or infinite time, or none at all, is an error and changes nothing.
    """
    tracker.on_play_ms("item", 0, 7)

    with pytest.raises(ValueError, match="on_play_ms"):
        tracker.on_play_ms("item", 0, ms)

    assert tracker.get_state()["elapsed_ms"] == 7


def test_unknown_format_is_refused(tracker):
    """
    A format that isn't known is an error, and not taken for PCM.
    """
    with pytest.raises(AudioFormatError):
        tracker.set_audio_format("opus")


def test_reports_from_several_threads_are_all_counted(tracker):
    """
    Nothing is lost when threads report at once.
    """

    def report():
        for _ in range(1_000):
            tracker.on_play_bytes("item", 0, bytes(48))

    threads = [threading.Thread(target=report) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert tracker.get_state()["elapsed_ms"] == 4_000
