"""
`eventbus.cli.terminal.plots`: pictures in characters.
"""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st

from eventbus.analysis import CallFigures, Span, Totals, Turn
from eventbus.cli.terminal.plots import MAX_TURNS, latency_bars, timeline

TURN = Turn(1, "speech", 0.0, "answered", 100.0, 50.0, 20.0, 0.0, 20.0, 10.0)


def call_with(*turns, spans=(), duration_ms=10_000.0):
    return CallFigures("call-1", 0.0, duration_ms, Totals({}, {}), turns, spans=spans)


def bars(*turns, width=100, has_colours=False):
    lines = [str(line) for line in latency_bars(call_with(*turns), width, has_colours=has_colours)]
    return lines[3:]


def test_plots_have_captions_with_units():
    """
    Each has its name and the time that a character stands for.
    """
    latency, parts, columns, _ = latency_bars(call_with(TURN), 128, has_colours=False)
    timed, *_ = timeline(call_with(spans=(Span("caller", 0.0, 5_000.0),)), 110)

    assert str(latency) == "turn latency (1 character = 1.00 ms; ~ is an estimate)"
    assert "e endpointing" in str(parts)
    assert str(columns).split() == ["turn", "asked", "at", "latency"]
    assert str(timed) == "timeline in minutes:seconds (1 character = 100 ms)"


def test_bar_is_as_long_as_the_turn():
    """
    The longest turn has the whole room, the others their share of it.
    """
    half = attrs.evolve(TURN, latency_ms=50.0, endpointing_ms=25.0, model_ms=10.0,
                        first_audio_ms=10.0, dispatch_ms=5.0)  # fmt: skip
    long, short = bars(TURN, half)

    assert long[28:].strip() == "e" * 36 + "m" * 14 + "f" * 15 + "d" * 7
    assert len(short[28:].strip()) == 36


def test_colours_take_the_place_of_letters():
    """
    With colours, the bar is blocks.
    """
    assert set(bars(TURN, has_colours=True)[0][28:].strip()) == {"█"}


def test_bars_fit_a_narrow_terminal():
    """
    In 40 columns no bar is cut off, so that the longer of two turns has the longer bar.
    """
    half = attrs.evolve(TURN, latency_ms=50.0, endpointing_ms=25.0, model_ms=10.0,
                        first_audio_ms=10.0, dispatch_ms=5.0)  # fmt: skip
    long, short = bars(TURN, half, width=40)

    assert (len(long), len(short)) == (40, 34)


def test_estimates_are_marked():
    """
    A tilde stands before an estimate.
    """
    estimated = attrs.evolve(TURN, is_estimated=True)

    assert "~" in bars(estimated)[0]
    assert "~" not in bars(TURN)[0]


def test_many_turns_are_the_slowest():
    """
    Of more turns than are drawn, the slowest are, in their order.
    """
    turns = [attrs.evolve(TURN, number=n, latency_ms=float(n)) for n in range(1, 101)]
    *lines, last = bars(*turns)

    assert [int(line.split()[0]) for line in lines] == list(range(101 - MAX_TURNS, 101))
    assert "the slowest" in last


def test_nothing_answered_has_no_bars():
    """
    Turns without a latency are not drawn.
    """
    assert [
        *latency_bars(call_with(Turn(1, "speech", 0.0, "silent")), 100, has_colours=False)
    ] == []


def test_timeline_has_a_lane_for_each():
    """
    Each lane shows when something was, by its place.
    """
    spans = (Span("caller", 0.0, 5_000.0), Span("model", 5_000.0, 10_000.0))
    _, caller, model, axis = (str(line) for line in timeline(call_with(spans=spans), 110))

    assert caller[10:] == "━" * 50
    assert model[10:] == " " * 50 + "━" * 50
    assert axis.split() == ["0:00.0", "0:10.0"]


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e9), st.floats(0, 1e9)), max_size=5),
    st.floats(0, 1e9),
    st.integers(1, 200),
)
def test_timeline_of_anything_fits(times, duration_ms, width):
    """
    For any times, no line is longer than the width, or than the least that is drawn.
    """
    spans = tuple(Span("model", start, start + length) for start, length in times)

    for line in timeline(call_with(spans=spans, duration_ms=duration_ms), width):
        assert len(str(line)) <= max(width, 70)
