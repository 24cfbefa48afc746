"""
Who could hear what, and when: the two timelines of a call.

The model's speech comes faster than it sounds. `Playback` reckons when each piece of it was
heard: from its arrival on at the speed of speech, and each piece when the one before it has
ended. That is an estimate, as a journal doesn't have what a loudspeaker did. Where the session
has said how much of an item was heard (`conversation.item.truncate`), that counts instead.

What the caller says is numbered in milliseconds of the audio that was sent. `InputClock` knows
when each of them was recorded: a piece of audio ends, for a microphone, when it is sent.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

__all__ = ["InputClock", "Playback", "Stretch", "part_of"]


def part_of(data: Mapping[str, Any]) -> tuple[str, int]:
    """Return the item and the content index that an event with these fields is about."""
    index = data.get("content_index")
    return str(data.get("item_id")), index if isinstance(index, int) else 0


class InputClock:
    """When each millisecond of the caller's audio was recorded."""

    def __init__(self) -> None:
        # Of each piece: how much audio there is up to its end, and when it was sent.
        self._ends_ns: array[int] = array("q")
        self._sent_ns: array[int] = array("q")

    def append(self, now_ns: int, duration_ns: int) -> None:
        """Note that so much more audio was sent."""
        before = self._ends_ns[-1] if self._ends_ns else 0
        self._ends_ns.append(before + duration_ns)
        self._sent_ns.append(now_ns)

    def at(self, position_ns: int) -> int | None:
        """Return when that place of the audio was recorded; None if it was not sent so far."""
        index = bisect_left(self._ends_ns, position_ns)
        if position_ns < 0 or index == len(self._ends_ns):
            return None
        return self._sent_ns[index] - (self._ends_ns[index] - position_ns)

    @property
    def length_ns(self) -> int:
        """How much audio was sent."""
        return self._ends_ns[-1] if self._ends_ns else 0

    @property
    def last_ns(self) -> int | None:
        """When the latest of it was sent; None if nothing was."""
        return self._sent_ns[-1] if self._sent_ns else None


@attrs.define(eq=False)
class Stretch:
    """
    A part of the model's speech that sounds without a pause.

    Attributes:
        item_id: The item that is spoken.
        content_index: Index of the audio part in the item's content.
        start_ns: When it begins to be heard.
        received_ns: How long all of it would sound.
        heard_ns: How long it was heard.
        pieces: The audio itself, in order, if it was kept.
    """

    item_id: str
    content_index: int
    start_ns: int
    received_ns: int = 0
    heard_ns: int = 0
    pieces: list[bytes] = attrs.field(factory=list, repr=False)

    @property
    def end_ns(self) -> int:
        """When it ends, or would have ended."""
        return self.start_ns + self.received_ns

    @property
    def unheard_ns(self) -> int:
        """How much of it nobody has heard."""
        return self.received_ns - self.heard_ns


class Playback:
    """
    When the model's speech was heard.

    Attributes:
        stretches: All of it, in the order of playing.
    """

    def __init__(self) -> None:
        self.stretches: list[Stretch] = []
        # Playing is over at this time, as far as is known.
        self._end_ns = 0

    def play(
        self,
        now_ns: int,
        part: tuple[str, int],
        duration_ns: int,
        data: bytes | None = None,
    ) -> Stretch:
        """
        Note that audio has come, and return the stretch that it belongs to.

        Args:
            now_ns: When it came.
            part: The item's id, and the index of the part in its content.
            duration_ns: How long it sounds.
            data: The audio, if it is to be kept.
        """
        last = self.stretches[-1] if self.stretches else None
        is_same = last is not None and (last.item_id, last.content_index) == part
        if last is None or not is_same or now_ns > self._end_ns or last.unheard_ns:
            last = Stretch(*part, start_ns=max(now_ns, self._end_ns))
            self.stretches.append(last)
        last.received_ns += duration_ns
        last.heard_ns += duration_ns
        if data is not None:
            last.pieces.append(data)
        self._end_ns = last.end_ns
        return last

    def is_audible(self, now_ns: int) -> bool:
        """Whether something is being heard at that time."""
        return now_ns < self._end_ns

    def stop(self, now_ns: int) -> list[Stretch]:
        """Note that playing ends, and return what was cut off or was never heard."""
        cut = [stretch for stretch in self._from_the_end() if stretch.end_ns > now_ns]
        for stretch in cut:
            stretch.heard_ns = min(stretch.heard_ns, max(0, now_ns - stretch.start_ns))
        self._end_ns = min(self._end_ns, now_ns)
        return cut[::-1]

    def truncate(self, part: tuple[str, int], heard_ns: int) -> None:
        """Note how much of a part was heard, as the session has said it."""
        for stretch in self.stretches:
            if (stretch.item_id, stretch.content_index) == part:
                stretch.heard_ns = min(stretch.received_ns, heard_ns)
                heard_ns -= stretch.heard_ns

    def _from_the_end(self) -> Iterator[Stretch]:
        """Yield what may still be heard, the last first."""
        for stretch in reversed(self.stretches):
            if stretch.end_ns <= 0 or stretch.unheard_ns:
                return
            yield stretch
