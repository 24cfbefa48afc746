"""
The sound of one call: the speech of both sides where it was heard, and its transcripts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import attrs

from ..audio._formats import PCM16, session_format
from ..exceptions import ExportError
from ..journal._records import EventRecord, Record, SentRecord
from ..wire._audio_text import caller_rate
from ._audio_texts import audio_of, pcm_at
from ._record_view import RecordView, views
from ._timeline import Playback, part_of

_NS_PER_MS: Final = 1_000_000


@attrs.define(eq=False)
class Piece:
    """Some of the caller's audio."""

    start_ns: int
    data: bytes


@attrs.define(eq=False)
class Line:
    """A part of the transcript and its time; *end_ns* is None while it isn't known."""

    start_ns: int
    end_ns: int | None = None
    text: str = ""


class CallSound:
    """
    The sound of one call.

    Args:
        keeps_audio: Whether to keep the audio itself.
    """

    def __init__(self, *, keeps_audio: bool) -> None:
        self.output, self.input = PCM16, PCM16
        self.playback = Playback()
        self.pieces: list[Piece] = []
        self.caller: dict[str, Line] = {}
        self.model: dict[str, str] = {}
        self._is_whole: set[str] = set()
        self._keeps_audio = keeps_audio
        self._input_end_ns = 0

    def take(self, facts: RecordView) -> None:
        """Take the next record."""
        match facts.record:
            case EventRecord(type_name=str(name)):
                handle = _HEARD.get(name)
                if handle is not None:
                    handle(self, facts)
            case SentRecord() as record:
                self._sent(record, facts)
            case _:
                pass

    @property
    def is_silent(self) -> bool:
        """True if the call has no audio."""
        return not (self.playback.stretches or self.pieces)

    def is_final(self, item_id: str) -> bool:
        """Return whether the text of an item is its last word, and not an interim one."""
        return item_id in self._is_whole

    def _session(self, facts: RecordView) -> None:
        session = facts.data.get("session")
        if isinstance(session, Mapping):
            self.input = session_format(session, "input")
            self.output = session_format(session, "output")

    def _audio(self, facts: RecordView) -> None:
        record = facts.record
        assert isinstance(record, EventRecord)
        size = record.audio_bytes or 0
        length_ns = self.output.duration_ns(size)
        data = facts.data.get("data") if self._keeps_audio else None
        if self._keeps_audio and (not isinstance(data, bytes) or len(data) != size):
            data = bytes(size)  # withheld
        self.playback.play(facts.since_ns, part_of(facts.data), length_ns, data)

    def _interrupted(self, facts: RecordView) -> None:
        self.playback.stop(facts.since_ns)

    def _truncated(self, facts: RecordView) -> None:
        end_ms = facts.data.get("audio_end_ms")
        if isinstance(end_ms, int):
            self.playback.truncate(part_of(facts.data), end_ms * _NS_PER_MS)

    def _speech_started(self, facts: RecordView) -> None:
        for item_id in facts.items:
            self.caller[item_id] = Line(facts.since_ns)

    def _speech_stopped(self, facts: RecordView) -> None:
        for item_id in facts.items:
            line = self.caller.get(item_id)
            if line is not None and line.end_ns is None:
                line.end_ns = facts.since_ns

    def _transcribed(self, facts: RecordView) -> None:
        self._updated(facts)
        self._is_whole |= facts.items

    def _updated(self, facts: RecordView) -> None:
        """Replace the caller's text so far."""
        text = facts.data.get("transcript")
        for item_id in facts.items - self._is_whole:
            self._caller_line(item_id, facts).text = text.strip() if isinstance(text, str) else ""

    def _hearing(self, facts: RecordView) -> None:
        """Append to the caller's text so far."""
        delta = facts.data.get("delta")
        for item_id in facts.items - self._is_whole:
            self._caller_line(item_id, facts).text += str(delta or "")

    def _caller_line(self, item_id: str, facts: RecordView) -> Line:
        # A vendor without speech events gives an item's first word as its beginning.
        return self.caller.setdefault(item_id, Line(facts.since_ns, facts.since_ns))

    def _speaking(self, facts: RecordView) -> None:
        delta = facts.data.get("delta")
        for item_id in facts.items - self._is_whole:
            self.model[item_id] = self.model.get(item_id, "") + str(delta or "")

    def _spoken(self, facts: RecordView) -> None:
        text = facts.data.get("transcript")
        if isinstance(text, str):
            self.model.update(dict.fromkeys(facts.items, text))
            self._is_whole |= facts.items

    def _sent(self, record: SentRecord, facts: RecordView) -> None:
        if record.audio_bytes is not None:
            self._said(record, record.audio_bytes, facts)
        elif facts.data.get("type") == "conversation.item.truncate":
            self._truncated(facts)

    def places_of(
        self, records: Sequence[SentRecord], origin_ns: int, rate: int | None
    ) -> list[tuple[int, int]]:
        """
        Return when the caller's audio in messages began and ended, since the journal's beginning.

        Args:
            records: The messages.
            origin_ns: The ``mono_ns`` of the journal's beginning.
            rate: The rate of their audio, if they say it themselves.
        """
        if rate is not None:
            self.input = pcm_at(rate)
        end_ns = self._input_end_ns
        lengths_ns: dict[int, int] = {}  # nearly all messages have the same size
        places = []
        for record in records:
            size = record.audio_bytes or 0
            length_ns = lengths_ns.get(size)
            if length_ns is None:
                length_ns = lengths_ns[size] = self.input.duration_ns(size)
            # It was recorded before it was sent; and nobody says two things at once.
            start_ns = record.mono_ns - origin_ns - length_ns
            if start_ns < end_ns:  # noqa: PLR1730  # a call of max() takes longer
                start_ns = end_ns
            end_ns = start_ns + length_ns
            places.append((start_ns, end_ns))
        self._input_end_ns = end_ns
        return places

    def _said(self, record: SentRecord, size: int, facts: RecordView) -> None:
        origin_ns = record.mono_ns - facts.since_ns
        ((start_ns, _),) = self.places_of([record], origin_ns, caller_rate(record.data))
        data = b""
        if self._keeps_audio:
            data = audio_of(record) or bytes(size)  # withheld
        self.pieces.append(Piece(start_ns, data))


_HEARD: Final[Mapping[str, Callable[[CallSound, RecordView], None]]] = {
    "session_updated": CallSound._session,  # noqa: SLF001  # a table of its own methods
    "audio": CallSound._audio,  # noqa: SLF001
    "audio_interrupted": CallSound._interrupted,  # noqa: SLF001
    "item_truncated": CallSound._truncated,  # noqa: SLF001
    "input_speech_started": CallSound._speech_started,  # noqa: SLF001
    "input_speech_stopped": CallSound._speech_stopped,  # noqa: SLF001
    "input_audio_transcription_completed": CallSound._transcribed,  # noqa: SLF001
    "input_transcript_delta": CallSound._hearing,  # noqa: SLF001
    "input_transcript_updated": CallSound._updated,  # noqa: SLF001
    "transcript_delta": CallSound._speaking,  # noqa: SLF001
    "transcript_done": CallSound._spoken,  # noqa: SLF001
}


def sound_of(
    records: Iterable[Record | RecordView], result: str, *, keeps_audio: bool
) -> CallSound:
    """
    Return the only call that has sound or words.

    Args:
        records: The records, or views of them.
        result: The name of the result, for the message of an error.
        keeps_audio: Whether to keep the audio itself.

    Raises:
        ExportError: There are several.
    """
    calls: dict[str | None, CallSound] = {}
    for each in views(records):
        sound = calls.get(each.sender)
        if sound is None:
            sound = calls[each.sender] = CallSound(keeps_audio=keeps_audio)
        sound.take(each)
    heard = {
        sender: sound
        for sender, sound in calls.items()
        if not sound.is_silent or sound.model or sound.caller
    }
    if len(heard) > 1:
        names = ", ".join(str(sender) for sender in [*heard][:3])
        msg = (
            f"{len(heard)} calls are in it, and {result} has one; pick it: sender:NAME ({names}…)."
        )
        raise ExportError(msg)
    return next(iter(heard.values()), CallSound(keeps_audio=keeps_audio))
