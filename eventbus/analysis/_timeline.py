"""
The two timelines of a call: the model's speech as it was heard, and the caller's audio.

The model's speech comes faster than it sounds. `Playback` estimates when each piece of it was
heard: from its arrival on, at the speed of speech, and not before the end of the piece before it.
It is an estimate because a journal doesn't record loudspeakers. If the session says how much of
an item was heard (`conversation.item.truncate`), that counts instead.

The service gives places in the caller's speech in milliseconds of the audio that was sent.
`InputClock` knows when each of them was recorded: for a microphone, a piece of audio ends when it
is sent.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any

import attrs


def part_of(data: Mapping[str, Any]) -> tuple[str, int]:
    """Return the item and the content index of an event with these fields."""
    index = data.get("content_index")
    return str(data.get("item_id")), index if isinstance(index, int) else 0


class InputClock:
    """
    The times at which the caller's audio was recorded.

    Attributes:
        length_ns: The length of all audio that was sent.
    """

    def __init__(self) -> None:
        # For each piece: the length of all audio up to its end, and the time it was sent.
        self._ends_ns: array[int] = array("q")
        self._sent_ns: array[int] = array("q")
        self.length_ns = 0

    def append(self, now_ns: int, duration_ns: int) -> int:
        """Add audio that was sent, and return the length of all of it."""
        self.extend([now_ns], [self.length_ns + duration_ns])
        return self.length_ns

    def extend(self, sent_ns: list[int], ends_ns: list[int]) -> None:
        """Add pieces of audio: when each was sent, and the length of all audio up to its end."""
        self._ends_ns.extend(ends_ns)
        self._sent_ns.extend(sent_ns)
        self.length_ns = ends_ns[-1]

    def at(self, position_ns: int) -> int | None:
        """Return when a place in the audio was recorded; None if it was not sent so far."""
        index = bisect_left(self._ends_ns, position_ns)
        if position_ns < 0 or index == len(self._ends_ns):
            return None
        return self._sent_ns[index] - (self._ends_ns[index] - position_ns)

    @property
    def last_ns(self) -> int | None:
        """The time at which the latest audio was sent; None without any."""
        return self._sent_ns[-1] if self._sent_ns else None


@attrs.define(eq=False)
class Stretch:
    """
    A part of the model's speech that sounds without a pause.

    Attributes:
        item_id: The item that is spoken.
        content_index: Index of the audio part in the item's content.
        start_ns: When it begins to be heard.
        received_ns: The duration of the whole stretch.
        heard_ns: The duration that was heard.
        pieces: The audio itself, in order, if it is kept.
    """

    item_id: str
    content_index: int
    start_ns: int
    received_ns: int = 0
    heard_ns: int = 0
    pieces: list[bytes] = attrs.field(factory=list, repr=False)

    @property
    def end_ns(self) -> int:
        """The time at which it ends, or would have ended."""
        return self.start_ns + self.received_ns

    @property
    def unheard_ns(self) -> int:
        """The duration that was not heard."""
        return self.received_ns - self.heard_ns


class Playback:
    """
    The model's speech as it was heard.

    Attributes:
        stretches: All speech, in the order of playing.
    """

    def __init__(self) -> None:
        self.stretches: list[Stretch] = []
        # The end of all speech so far.
        self._end_ns = 0

    def play(
        self,
        now_ns: int,
        part: tuple[str, int],
        duration_ns: int,
        data: bytes | None = None,
    ) -> Stretch:
        """
        Add audio that has come, and return its stretch.

        Args:
            now_ns: When it came.
            part: The item's id, and the index of the part in its content.
            duration_ns: Its duration.
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
        """Return whether speech is being heard at that time."""
        return now_ns < self._end_ns

    def stop(self, now_ns: int) -> list[Stretch]:
        """End the playing, and return the stretches that were cut off or never heard."""
        cut = list(self._audible_from(now_ns))
        for stretch in cut:
            stretch.heard_ns = min(stretch.heard_ns, max(0, now_ns - stretch.start_ns))
        self._end_ns = min(self._end_ns, now_ns)
        return cut[::-1]

    def truncate(self, part: tuple[str, int], heard_ns: int) -> None:
        """Set the duration of a part that was heard, as the session gives it."""
        for stretch in self.stretches:
            if (stretch.item_id, stretch.content_index) == part:
                stretch.heard_ns = min(stretch.received_ns, heard_ns)
                heard_ns -= stretch.heard_ns

    def _audible_from(self, now_ns: int) -> Iterator[Stretch]:
        """Yield the stretches that would be heard after that time, the last one first."""
        # They end one after the other, up to one that was cut off.
        for stretch in reversed(self.stretches):
            if stretch.end_ns <= now_ns or stretch.unheard_ns:
                return
            yield stretch
