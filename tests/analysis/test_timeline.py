"""
`eventbus.analysis._timeline`: the times at which both sides were heard.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eventbus.analysis._timeline import InputClock, Playback

A, B = ("item_a", 0), ("item_b", 0)


def test_input_was_recorded_before_it_was_sent():
    """
    A piece of audio ends when it is sent; a place in it is as much earlier.
    """
    clock = InputClock()
    clock.append(1_000_000_000, 100_000_000)
    clock.append(1_500_000_000, 100_000_000)

    assert [clock.at(ms * 1_000_000) for ms in (0, 60, 100, 101, 200)] == [
        900_000_000,
        960_000_000,
        1_000_000_000,
        1_401_000_000,
        1_500_000_000,
    ]


def test_input_that_was_not_sent_has_no_time():
    """
    Places before the first and after the last sample are unknown.
    """
    clock = InputClock()

    assert (clock.at(0), clock.last_ns) == (None, None)
    clock.append(500, 100)
    assert (clock.at(-1), clock.at(101), clock.last_ns) == (None, None, 500)


def test_audio_is_heard_one_piece_after_the_other():
    """
    Audio that comes while other audio sounds waits for its end; later audio begins at once.
    """
    playback = Playback()
    playback.play(0, A, 100)
    playback.play(10, A, 100)
    playback.play(20, B, 50)
    playback.play(300, B, 50)

    assert [(s.item_id, s.start_ns, s.heard_ns) for s in playback.stretches] == [
        ("item_a", 0, 200),
        ("item_b", 200, 50),
        ("item_b", 300, 50),
    ]


def test_stop_cuts_what_sounds_and_what_waits():
    """
    Sounding audio is heard up to then, waiting audio not at all, and then nothing is audible.
    """
    playback = Playback()
    playback.play(0, A, 100)
    playback.play(0, B, 100)

    assert playback.is_audible(40)
    cut = playback.stop(40)

    assert [(s.item_id, s.heard_ns, s.unheard_ns) for s in cut] == [
        ("item_a", 40, 60),
        ("item_b", 0, 100),
    ]
    assert not playback.is_audible(41)
    assert playback.play(50, A, 10).start_ns == 50


def test_truncation_counts_instead_of_the_estimate():
    """
    The duration that the session gives was heard, and never more than there was.
    """
    playback = Playback()
    playback.play(0, A, 100, b"a")
    playback.play(500, A, 100, b"b")
    playback.stop(550)

    playback.truncate(A, 120)
    assert [s.heard_ns for s in playback.stretches] == [100, 20]
    playback.truncate(A, 1_000)
    assert [s.heard_ns for s in playback.stretches] == [100, 100]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50), st.booleans()), max_size=30))
def test_nothing_is_heard_twice_or_before_it_came(steps):
    """
    Stretches don't overlap, and of none more is heard than was received.
    """
    playback, now = Playback(), 0
    for wait, duration, is_stopped in steps:
        now += wait
        playback.play(now, A, duration)
        if is_stopped:
            now += duration // 2
            playback.stop(now)

    for before, after in zip(playback.stretches, playback.stretches[1:], strict=False):
        assert before.start_ns + before.heard_ns <= after.start_ns
    assert all(0 <= s.heard_ns <= s.received_ns for s in playback.stretches)
