"""
Plots of a call, in characters: the latency of each turn, and a timeline of both voices.

On a terminal with colours, the parts of a bar have colours; anywhere else they are letters. Each
plot has a caption that explains its characters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.text import Text

from ...analysis._figures import CallFigures, Span, Turn
from .escaping import printable
from .summary import short_time

MAX_TURNS: Final = 40
"""Number of turns of a call that are drawn: the slowest ones."""

# In the order in which they come; the letter, and the colour.
_PARTS: Final = (
    ("endpointing", "e", "yellow"),
    ("model", "m", "blue"),
    ("tool", "t", "magenta"),
    ("first_audio", "f", "cyan"),
    ("dispatch", "d", "red"),
)
_LANES: Final = (("caller", "cyan"), ("model", "green"), ("tool", "magenta"))
_LABEL: Final = 28
_MIN_WIDTH: Final = 10


def latency_bars(call: CallFigures, width: int, *, has_colours: bool) -> Iterator[Text]:
    """
    Yield a caption, and a bar for each turn of a call: its latency, and the parts of it.

    Args:
        call: The call.
        width: How many characters a line may have.
        has_colours: Whether the parts differ by colour; else they are letters.
    """
    answered = [turn for turn in call.turns if turn.latency_ms is not None]
    if not answered:
        return
    longest = max(turn.latency_ms or 0 for turn in answered)
    room = max(_MIN_WIDTH, width - _LABEL)
    unit = short_time(longest / room)
    yield Text(f"turn latency (1 character = {unit}; ~ is an estimate)", "dim")
    legend = [("parts:", "dim")]
    for name, letter, colour in _PARTS:
        sign = "█" if has_colours else letter
        legend += [(f"  {sign} ", colour), (name.replace("_", " "), "dim")]
    yield Text.assemble(*legend)
    yield Text(f"{'turn':>4}  {'asked at':>9}  {'latency':>9}", "dim")
    for turn in _drawn(answered):
        estimated = "~" if turn.is_estimated else " "
        label = f"{turn.number:>4}  {_clock(turn.at_ms):>9}  {estimated}"
        label += f"{short_time(turn.latency_ms or 0):>8}  "
        yield Text.assemble(
            (label, "dim"), *_bar(turn, room / longest if longest else 0, has_colours=has_colours)
        )
    if len(answered) > MAX_TURNS:
        yield Text(f"      the slowest {MAX_TURNS} of {len(answered)} turns", "dim")


def timeline(call: CallFigures, width: int) -> Iterator[Text]:
    """
    Yield a caption, and the lanes of a call: the caller's speech, the model's as heard, and tools.

    Args:
        call: The call.
        width: How many characters a line may have.
    """
    if not call.spans:
        return
    start = call.start_ms
    end = max(call.start_ms + call.duration_ms, *(span.end_ms for span in call.spans))
    room = max(_MIN_WIDTH, width - 10)
    unit = short_time((end - start) / room)
    yield Text(f"timeline in minutes:seconds (1 character = {unit})", "dim")
    for lane, colour in _LANES:
        spans = [span for span in call.spans if span.lane == lane]
        if spans:
            yield Text.assemble((f"  {lane:<6}  ", "dim"), (_lane(spans, start, end, room), colour))
    first, last = _clock(start), _clock(end)
    yield Text(f"{'':10}{first}{last:>{max(1, room - len(first))}}", "dim")


def _drawn(turns: Sequence[Turn]) -> Sequence[Turn]:
    if len(turns) <= MAX_TURNS:
        return turns
    slowest = sorted(turns, key=lambda turn: turn.latency_ms or 0)[-MAX_TURNS:]
    return sorted(slowest, key=lambda turn: turn.number)


def _bar(turn: Turn, per_ms: float, *, has_colours: bool) -> Iterator[tuple[str, str]]:
    done = 0.0
    for name, letter, colour in _PARTS:
        first = round(done * per_ms)
        done += getattr(turn, f"{name}_ms") or 0
        size = round(done * per_ms) - first
        if size:
            yield ("█" if has_colours else letter) * size, colour


def _lane(spans: Sequence[Span], start: float, end: float, room: int) -> str:
    cells = [" "] * room
    per_ms = room / max(1.0, end - start)
    for span in spans:
        first = min(room - 1, int((span.start_ms - start) * per_ms))
        # However short it was, it is seen.
        last = min(room, max(first + 1, round((span.end_ms - start) * per_ms)))
        cells[max(0, first) : last] = "━" * (last - max(0, first))
    return printable("".join(cells).rstrip())


def _clock(ms: float) -> str:
    minutes, seconds = divmod(max(0.0, ms) / 1000, 60)
    return f"{int(minutes)}:{seconds:04.1f}"
