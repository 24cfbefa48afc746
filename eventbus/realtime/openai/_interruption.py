"""
The playback estimate: the audio received, the part of it heard, and the place of an interruption.

Rules
-----

* Parts (an item's content part with audio) play one after another, in the order in which
  their first audio came.
* A part is *audible* if it has begun to play, and some of it is unheard or more of it is to
  come. One that is played out isn't, and neither is one that waits behind another.
* An interruption cuts off the audible part at the milliseconds heard, rounded down, and never
  at more than was received: the service refuses a truncation past the end. Parts that wait
  behind it are not named. They were not heard at all, but the protocol can't say that; it is
  told where the user stopped listening.
* Parts that were cut off are over: a player that still reports them changes nothing, and their
  responses are *fenced*, even if the service has said that they are done.
* Audio of a fenced response is late, and is dropped.

Theory of operation
-------------------

A playback tracker, if there is one, knows how much was heard. Without one, the estimate is that
audio plays from its arrival on, as fast as it was spoken: a queue that drains in real time. One
number describes it, the time when all received audio will have been played. New audio moves it
on, from now if the queue has run empty; the unheard rest at any time belongs to the parts that
came last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from ...audio._formats import PCM16, AudioFormat
from ...exceptions import AudioFormatError
from ..playback import RealtimePlaybackTracker

_MAX_REMEMBERED: Final = 256  # parts and fenced responses, however long the session is

# Loop times are seconds as floats; differences below a microsecond are rounding.
_DIGITS_OF_MS: Final = 3
_SAME_MS: Final = 0.001


@attrs.frozen
class Interruption:
    """
    The audio that an interruption has cut off.

    Attributes:
        response_id: The response that it belongs to.
        audio_end_ms: The part's heard milliseconds; None if it had not begun to play, and so
            isn't to be named to the service.
    """

    item_id: str
    content_index: int
    response_id: str
    audio_end_ms: int | None


@attrs.define(eq=False)
class _Part:
    item_id: str
    content_index: int
    response_id: str
    format: AudioFormat
    received_bytes: int = 0
    is_complete: bool = False
    bytes_per_second: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.bytes_per_second = self.format.bytes_per_second  # looked up with each audio

    @property
    def received_ms(self) -> float:
        return self.format.duration_ms(self.received_bytes)


class PlaybackEstimate:
    """
    The heard part of the model's audio; all times are those of one clock, in seconds.

    Args:
        tracker: Told by the player; without one, playback is estimated by time.
    """

    def __init__(self, tracker: RealtimePlaybackTracker | None = None) -> None:
        self._tracker = tracker
        self._format = PCM16
        self._parts: dict[tuple[str, int], _Part] = {}
        self._played_out_at = 0.0
        self._fenced: dict[str, None] = {}

    def set_format(self, audio_format: AudioFormat) -> None:
        """Note the format of all audio from now on."""
        self._format = audio_format
        if self._tracker is not None:
            self._tracker.set_audio_format(audio_format)

    def on_audio(
        self, response_id: str, item_id: str, content_index: int, byte_count: int, now: float
    ) -> bool:
        """Note that audio has come; return False if it is late, and is to be dropped."""
        if response_id in self._fenced:
            return False
        part = self._parts.get((item_id, content_index))
        if part is None:
            part = self._begin(_Part(item_id, content_index, response_id, self._format))
        part.received_bytes += byte_count
        begins_at = max(now, self._played_out_at)
        self._played_out_at = begins_at + byte_count / part.bytes_per_second
        return True

    def on_audio_done(self, item_id: str, content_index: int) -> None:
        """Note that a part is complete."""
        part = self._parts.get((item_id, content_index))
        if part is not None:
            part.is_complete = True

    def on_response_done(self, response_id: str | None) -> None:
        """Note that the parts of a response are complete; without an id, those of all."""
        for part in self._parts.values():
            if response_id is None or part.response_id == response_id:
                part.is_complete = True

    def is_audible(self, now: float) -> bool:
        """Return whether received audio is still to be heard."""
        return bool(self._left(now)[0])

    def fence(self, response_ids: Iterable[str]) -> None:
        """Drop all further audio of these responses."""
        for response_id in response_ids:
            self._fenced[response_id] = None
        while len(self._fenced) > _MAX_REMEMBERED:
            del self._fenced[next(iter(self._fenced))]

    def interrupt(self, now: float, response_id: str | None = None) -> Interruption | None:
        """
        Cut off the unheard audio, and return the place; None if all was heard.

        The responses that it belongs to are fenced.

        Args:
            response_id: Cut off only audio of this response.
        """
        left, heard_ms = self._left(now)
        cut = [part for part in left if response_id is None or part.response_id == response_id]
        if not cut:
            return None
        first = cut[0]
        end_ms = None
        if heard_ms is not None and first is left[0]:
            end_ms = int(round(heard_ms, _DIGITS_OF_MS))
            if self._tracker is not None:
                self._tracker.on_interrupted()
        self._forget_what_is_before(left[0])
        self._forget(cut, end_ms or 0, now)
        self.fence(part.response_id for part in cut)
        return Interruption(first.item_id, first.content_index, first.response_id, end_ms)

    def reset(self) -> None:
        """Forget everything: the session that it belongs to is over."""
        self._parts.clear()
        self._fenced.clear()
        self._played_out_at = 0.0
        if self._tracker is not None:
            self._tracker.on_interrupted()

    def _begin(self, part: _Part) -> _Part:
        if len(self._parts) >= _MAX_REMEMBERED:
            del self._parts[next(iter(self._parts))]
        self._parts[part.item_id, part.content_index] = part
        return part

    def _forget_what_is_before(self, first_left: _Part) -> None:
        # Once the player has been interrupted, it no longer tells that these were heard.
        while (part := next(iter(self._parts.values()))) is not first_left:
            del self._parts[part.item_id, part.content_index]

    def _forget(self, cut: list[_Part], heard_ms: float, now: float) -> None:
        unheard_ms = sum(part.received_ms for part in cut) - heard_ms
        for part in cut:
            del self._parts[part.item_id, part.content_index]
        if self._parts:
            self._played_out_at -= unheard_ms / 1000
        else:
            self._played_out_at = now

    def _left(self, now: float) -> tuple[list[_Part], float | None]:
        """Return the unheard parts, and the heard ms of the first; None if it hasn't begun."""
        if self._tracker is None:
            return self._left_by_time(now)
        state = self._tracker.get_state()
        parts = list(self._parts.values())
        playing = self._parts.get(
            (state["current_item_id"] or "", state["current_item_content_index"] or 0)
        )
        if playing is None:
            return parts, None
        left = parts[parts.index(playing) :]
        heard_ms = min(state["elapsed_ms"] or 0.0, playing.received_ms)
        if playing.is_complete and heard_ms >= playing.received_ms - _SAME_MS:
            return left[1:], None
        return left, heard_ms

    def _left_by_time(self, now: float) -> tuple[list[_Part], float | None]:
        unheard_ms = (self._played_out_at - now) * 1000
        left: list[_Part] = []
        heard_ms = None
        for part in reversed(self._parts.values()):
            if unheard_ms < _SAME_MS:
                break
            left.insert(0, part)
            heard_ms = max(part.received_ms - unheard_ms, 0.0)
            unheard_ms -= part.received_ms
        if not left and self._parts:
            last = next(reversed(self._parts.values()))
            if not last.is_complete:  # it is being spoken, and the network is behind
                return [last], last.received_ms
        return left, heard_ms


def turn_detection(session: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the turn detection of *session*; empty if it is off, None if it isn't named."""
    detection = _audio(session, "input").get("turn_detection", session.get("turn_detection", ...))
    if detection is ...:
        return None
    return detection if isinstance(detection, Mapping) else {}


def interrupts_responses(session: Mapping[str, Any]) -> bool | None:
    """
    Return whether the user's speech ends responses by itself; None if *session* doesn't say.

    Only an explicit true counts, as for the decoder and for openai-agents.

    Args:
        session: A session as the service describes it.
    """
    detection = turn_detection(session)
    return None if detection is None else detection.get("interrupt_response") is True


def output_format(session: Mapping[str, Any]) -> AudioFormat | None:
    """Return the format of the model's audio; None if *session* names none that is known."""
    return _format(session, "output")


def input_format(session: Mapping[str, Any]) -> AudioFormat | None:
    """Return the format of the user's audio; None if *session* names none that is known."""
    return _format(session, "input")


def has_pcm_input(*sessions: Mapping[str, Any]) -> bool:
    """
    Return whether the user's audio is 16-bit PCM for sure.

    Args:
        sessions: The session as it was asked for, and as the service describes it; while a change
            is on its way, they differ. Either may name no format, or have a raw message's name.
    """
    named = [
        name
        for each in sessions
        for name in (_audio(each, "input").get("format"), each.get("input_audio_format"))
        if name is not None
    ]
    return bool(named) and all(map(_is_pcm, named))


def _is_pcm(named: object) -> bool:
    try:
        return AudioFormat.of(named).encoding == "audio/pcm"
    except AudioFormatError:
        return False


def _format(session: Mapping[str, Any], direction: str) -> AudioFormat | None:
    named = _audio(session, direction).get("format", session.get(f"{direction}_audio_format"))
    try:
        return AudioFormat.of(named)
    except AudioFormatError:
        return None


def _audio(session: Mapping[str, Any], direction: str) -> Mapping[str, Any]:
    audio = session.get("audio")
    side = audio.get(direction) if isinstance(audio, Mapping) else None
    return side if isinstance(side, Mapping) else {}
