"""
The dialogue of a GPT-Live session: it watches the events, and makes messages of the requests.

Rules
-----

* Nothing but the start is sent before the service says that the session has started: it waits,
  and of audio the last seconds.
* The conversation so far is part of the start, so a session that follows another one is started
  with it.
* The voice takes turns by itself: the user's speech cuts off nothing here. An interruption by the
  application cuts off the audio that is to be heard, and drops the rest of the present turn.
* Tools are called by the backend, in responses. The next one is asked for as soon as one is over
  and all of its calls have outputs; `RealtimeModelSendToolOutput.start_response` isn't looked at.
* Sound comes only while the user's audio flows. Where the application sends none, silence is sent.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from ...audio._formats import PCM16, AudioFormat
from ...events import (
    RealtimeError,
    RealtimeModelAudioDoneEvent,
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelErrorEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelInputSpeechStartedEvent,
    RealtimeModelInputSpeechStoppedEvent,
    RealtimeModelItemTruncatedEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelOtherEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
    RealtimeModelUsageEvent,
)
from ...exceptions import AudioFormatError, NotSupported, RealtimeConnectionError
from ...items import InputImage, InputText, RealtimeToolCallItem, UserMessageItem
from ..inputs import (
    RealtimeModelSendAudio,
    RealtimeModelSendEvent,
    RealtimeModelSendInterrupt,
    RealtimeModelSendRawMessage,
    RealtimeModelSendSessionUpdate,
    RealtimeModelSendToolOutput,
    RealtimeModelSendUserInput,
)
from ..memory import ConversationMemory, Recollection, Restored, RestoreReason
from ..playback import RealtimePlaybackTracker
from ..transport._outbox import OutgoingMessage
from ..transport._roles import Host, Watch
from ..transport._sender import Sender
from ._interruption import Interruption, PlaybackEstimate
from ._live_messages import (
    APPEND,
    SERVICE,
    append_audio,
    append_text,
    has_backend,
    history_of,
    output_message,
    sent,
    start_message,
    update_messages,
    user_item,
    user_messages,
)
from ._live_work import DelegatedWork
from ._messages import check_audio, outgoing_audio, raw_message

_MAX_WAITING_AUDIO: Final = 250  # pieces of 20 ms: the last five seconds
_IDLE_MS: Final = 100
_IDLE_GAP: Final = 0.3
"""Seconds without the application's audio, after which silence is sent."""

_LOST_CALLS: Final = 1024

# Reasons of `session.closed` after which another session may follow.
_TO_CONTINUE: Final = frozenset({"expired", "connection_lost"})


class LiveSeeding:
    """
    The start of a session, with the conversation so far.

    Args:
        message: The start.
        item_ids: The items that it tells.
        left_out: The others.
        reason: The reason for the new session.
    """

    def __init__(
        self,
        message: Mapping[str, Any],
        item_ids: list[str],
        left_out: list[str],
        reason: RestoreReason,
    ) -> None:
        self.messages = [sent(message)]
        self.is_answered = False
        self.is_refused = False
        self._restored = Restored(tuple(item_ids), tuple(left_out), reason)
        self._is_told = not item_ids and not left_out

    def note(self, event: object) -> None:
        """Note an event of the new session."""
        if isinstance(event, RealtimeModelSessionUpdatedEvent) and event.created:
            self.is_answered = True
        elif isinstance(event, RealtimeModelErrorEvent) and not self.is_answered:
            self.is_refused = True

    def outcome(self) -> Restored | None:
        """Return the outcome, once; None if nothing was to be told."""
        if self._is_told or not self.is_answered:
            return None
        self._is_told = True
        return self._restored


class GPTLiveDialogue:
    """
    The dialogue of a session, over all its connections.

    Args:
        settings: The session's settings at its beginning.
        backend: The Responses model for delegated work; None leaves that to the application.
        greeting: Spoken when the call begins; empty for nothing.
        idle_audio: Whether silence is sent where the application sends no audio.
        tracker: Told by the player; None if there is none.
        memory: Recalls the conversation for a new session; None recalls nothing.
        sender: Takes the messages.
        host: The connection that the dialogue is part of.

    Attributes:
        closed: Set once the service has closed the session.
        close_reason: The reason, in the service's word.

    Raises:
        AudioFormatError: A format in the settings is not a known one.
        NotSupported: GPT-Live lacks a setting.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        *,
        backend: str | None,
        greeting: str,
        idle_audio: bool,
        tracker: RealtimePlaybackTracker | None,
        memory: ConversationMemory | None,
        sender: Sender,
        host: Host,
    ) -> None:
        start_message(settings, backend)  # raises now, before there is a connection
        self.last_frame_at = 0.0
        self.closed = asyncio.Event()
        self.close_reason: str | None = None
        self._settings: Mapping[str, Any] = settings
        self._backend = backend
        self._greeting = greeting
        self._has_idle_audio = idle_audio
        self._memory = memory
        self._sender = sender
        self._host = host
        self._emit = host.emit
        self._loop = asyncio.get_running_loop()
        self._playback = PlaybackEstimate(tracker)
        self._format = PCM16
        self._odd = 0  # 1 once the service has named a format with samples of two bytes
        self._work = DelegatedWork()
        self._lost_calls: dict[str, None] = {}
        self._numbers = itertools.count(1)
        self._seeding: LiveSeeding | None = None
        self._has_begun = self._is_started = self._is_muted = False
        self._waiting: deque[OutgoingMessage] = deque()  # for the start
        self._turn: str | None = None  # the model's, while it goes on
        self._is_user_speaking = False
        self._audio_until = 0.0  # the end of the audio sent, as it is heard
        self._pump: asyncio.TimerHandle | None = None
        self._interrupted: RealtimeModelAudioInterruptedEvent | None = None
        self.watches: dict[type[Any], Watch] = {
            RealtimeModelAudioEvent: self._watch_audio,
            RealtimeModelAudioDoneEvent: self._watch_audio_done,
            RealtimeModelInputSpeechStartedEvent: self._watch_speech_started,
            RealtimeModelInputSpeechStoppedEvent: self._watch_speech_stopped,
            RealtimeModelOtherEvent: self._watch_other,
            RealtimeModelSessionUpdatedEvent: self._watch_session,
            RealtimeModelToolCallEvent: self._watch_tool_call,
            RealtimeModelTurnEndedEvent: self._watch_turn_ended,
            RealtimeModelTurnStartedEvent: self._watch_turn_started,
            RealtimeModelUsageEvent: self._watch_usage,
        }

    # --- the connection -----------------------------------------------------------------

    def settings(self) -> list[OutgoingMessage]:
        """Return nothing: the settings are part of the start, as the conversation is."""
        return []

    async def recall(self, reason: RestoreReason) -> LiveSeeding:
        """Return the start of a new session, with the conversation so far."""
        known = Recollection() if self._memory is None else await self._memory.recall()
        history, ids = history_of(known.items)
        left_out = [*known.left_out, *(i.item_id for i in known.items if i.item_id not in ids)]
        message = start_message(self._settings, self._backend, history)
        return LiveSeeding(message, list(filter(None, ids)), list(filter(None, left_out)), reason)

    async def begin(self, seeding: LiveSeeding | None = None) -> None:
        """
        Open the sender for a new connection: the start, and then the kept messages.

        Args:
            seeding: The start that the new session was sent already.
        """
        told: list[OutgoingMessage] = []
        if seeding is None:
            seeding = await self.recall("connection_lost" if self._has_begun else "fallback")
            told = list(seeding.messages)
        self._seeding = seeding
        is_held = self._sender.is_held
        kept = [
            each
            for each in (*self._waiting, *self._sender.clear())
            if each.outlives_session or (is_held and each.is_audio)
        ]
        self._waiting = deque(kept)
        if self._is_muted:
            self._waiting.appendleft(sent({"type": "session.input_audio.mute"}))
        if not self._has_begun and self._greeting:
            self._waiting.append(sent(append_text("commentary", self._greeting, None)))
        self._has_begun = True
        self._is_started = False
        self.closed.clear()
        self._sender.open(told)

    async def lose(self) -> None:
        """Forget the session of a lost connection, and end the turn that was going on."""
        turn, self._turn = self._turn, None
        self._is_started = self._is_user_speaking = False
        calls = [*self._lost_calls, *self._work.call_ids]
        self._lost_calls = dict.fromkeys(calls[-_LOST_CALLS:])
        self._work.clear()
        cut = self._playback.interrupt(self._loop.time())
        self._playback.reset()
        if turn is not None:
            if cut is not None:
                await self._tell_cut(cut)
            why = RealtimeError("The connection was lost.", "connection_error", "connection_lost")
            await self._emit(RealtimeModelTurnEndedEvent(turn, "failed", why, inferred=True))

    def unacknowledged(self) -> list[str]:
        """Return nothing: the service acknowledges texts only, and those with the audio."""
        return []

    @property
    def is_quiet(self) -> bool:
        """True if nothing goes on: no speech, no delegated work, nothing sent or to be heard."""
        return not (
            self._turn is not None
            or self._is_user_speaking
            or self._work.is_busy
            or self._waiting
            or self._playback.is_audible(self._loop.time())
        )

    def has_cut_off(self, event: RealtimeModelAudioInterruptedEvent) -> bool:
        """Return whether the interruption that *event* reports cut off audio."""
        return self._interrupted is event

    async def cut_off(self) -> None:
        """Cut off the speech that was not heard so far; nothing is left of it after the end."""
        cut = self._playback.interrupt(self._loop.time())
        if cut is not None:
            await self._tell_cut(cut)

    def end(self) -> None:
        """Forget everything, and stop the timer."""
        self._playback.reset()
        self._is_started = False
        self.closed.set()
        if self._pump is not None:
            self._pump.cancel()

    def request_close(self) -> bool:
        """Ask the service to close the session; return whether an answer will come."""
        if not self._is_started or self.closed.is_set():
            return False
        self._sender.put(sent({"type": "session.close"}))
        return True

    async def _report(self, problem: str, context: str) -> None:
        await self._emit(RealtimeModelExceptionEvent(RealtimeConnectionError(problem), context))

    # --- events ---------------------------------------------------------------------

    def _watch_session(self, event: RealtimeModelSessionUpdatedEvent, _raw: object) -> Any:
        audio = event.session.get("audio")
        if isinstance(audio, Mapping) and audio.get("format") is not None:
            try:
                self._format = AudioFormat.of(audio["format"])
            except AudioFormatError:
                pass
            else:
                self._playback.set_format(self._format)
                self._odd = int(self._format.sample_bytes == 2)
        expires_at = event.session.get("expires_at")
        if isinstance(expires_at, (int, float)):
            self._host.expect_end_at(expires_at)
        if event.created:
            self._start(event)
        return event

    def _start(self, event: RealtimeModelSessionUpdatedEvent) -> None:
        """Send everything that has waited for the start."""
        self._is_started = True
        if self._seeding is not None:
            self._seeding.note(event)
            outcome = self._seeding.outcome()
            if outcome is not None and self._memory is not None:
                self._memory.restored(outcome)
        while self._waiting:
            self._sender.put(self._waiting.popleft())
        self._audio_until = self._loop.time()
        if self._has_idle_audio and self._pump is None:
            self._pump_silence()

    def _watch_audio(self, event: RealtimeModelAudioEvent, _raw: object) -> Any:
        is_in_time = self._playback.on_audio(
            event.response_id,
            event.item_id,
            event.content_index,
            len(event.data),
            self._loop.time(),
        )
        return event if is_in_time else None

    def _watch_audio_done(self, event: RealtimeModelAudioDoneEvent, _raw: object) -> Any:
        self._playback.on_audio_done(event.item_id, event.content_index)
        return event

    def _watch_speech_started(self, event: object, _raw: object) -> Any:
        self._is_user_speaking = True
        return event

    def _watch_speech_stopped(self, event: object, _raw: object) -> Any:
        self._is_user_speaking = False
        return event

    def _watch_turn_started(self, event: RealtimeModelTurnStartedEvent, _raw: object) -> Any:
        self._turn = event.response_id
        return event

    def _watch_turn_ended(self, event: RealtimeModelTurnEndedEvent, _raw: object) -> Any:
        self._turn = None
        self._playback.on_response_done(event.response_id)
        return event

    def _watch_tool_call(self, event: RealtimeModelToolCallEvent, raw: Any) -> Any:
        self._work.note_call(event.call_id, str(raw.data.get("delegation_id") or ""))
        return event

    def _watch_usage(self, event: RealtimeModelUsageEvent, raw: Any) -> Any:
        if not event.usage.is_cumulative:  # of a response of the backend
            self._note_work(raw.data)
        return event

    def _watch_other(self, event: RealtimeModelOtherEvent, _raw: object) -> Any:
        data = event.data
        kind = data.get("type") if isinstance(data, Mapping) else None
        if kind == "response.event":
            self._note_work(data)
        elif kind == "session.closed" and isinstance(data, Mapping):
            self.close_reason = str(data.get("reason"))
            self._is_started = False
            self.closed.set()
            if self.close_reason in _TO_CONTINUE:
                self._host.expire()
        return event

    def _note_work(self, frame: Mapping[str, Any]) -> None:
        if self._work.note_event(frame):
            self._put({"type": "response.create"})

    # --- sending ------------------------------------------------------------------------

    def send(self, event: RealtimeModelSendEvent) -> Awaitable[None]:
        """Send *event*; raises as `RealtimeModel.send_event` does."""
        send = self._SENDERS.get(type(event))
        if send is None:
            msg = f"A {type(event).__qualname__} can't be sent; see RealtimeModelSendEvent."
            raise TypeError(msg)
        return send(self, event)

    def _put(self, message: Mapping[str, Any]) -> None:
        """Queue a message without waiting for room."""
        made = sent(message)
        if self._is_started:
            self._sender.put(made)
        else:
            self._waiting.append(made)

    async def _send_message(self, message: Mapping[str, Any]) -> None:
        made = sent(message)
        if self._is_started:
            await self._sender.send(made)
        else:
            self._waiting.append(made)

    async def _send_audio(self, event: RealtimeModelSendAudio) -> None:
        if event.commit:
            msg = "GPT-Live finds the end of the user's turn by itself; send audio without commit."
            raise NotSupported(msg, service=SERVICE, feature="commit")
        audio = event.audio
        if type(audio) is not bytes or len(audio) & self._odd:  # fifty times a second
            check_audio(audio, is_pcm=bool(self._odd))
        if not audio:
            return
        begins_at = max(self._loop.time(), self._audio_until)
        self._audio_until = begins_at + len(audio) / self._format.bytes_per_second
        await self._send_piece(append_audio(audio))

    async def _send_piece(self, message: OutgoingMessage) -> None:
        if not self._is_started and self._sender.is_linked:
            self._wait_for_start(message)
            return
        problem = self._sender.put_audio(message)
        await self._sender.let_write()
        if problem is not None:
            await self._report(problem, "sending audio")

    def _wait_for_start(self, message: OutgoingMessage) -> None:
        self._waiting.append(message)
        if sum(each.is_audio for each in self._waiting) > _MAX_WAITING_AUDIO:
            self._waiting.remove(next(each for each in self._waiting if each.is_audio))

    async def _send_user_input(self, event: RealtimeModelSendUserInput) -> None:
        item = user_item(event.user_input, is_delegated=has_backend(self._settings, self._backend))
        for message in user_messages(item):
            await self._send_message(message)
        # The service doesn't tell of it.
        parts = tuple(
            InputText(part["text"])
            if part["type"] == "input_text"
            else InputImage(part["image_url"], part.get("detail"))
            for part in item["content"]
        )
        typed = UserMessageItem(f"typed-{next(self._numbers)}", parts, status="completed")
        await self._emit(RealtimeModelItemUpdatedEvent(typed))

    async def _send_tool_output(self, event: RealtimeModelSendToolOutput) -> None:
        call = event.tool_call
        if call.call_id in self._lost_calls:
            if self._memory is None:
                await self._report(
                    f"The session in which {call.name} was called is lost; its output was not "
                    f"sent, as the present session doesn't know of the call.",
                    f"the output of {call.name}",
                )
            return  # with a memory, the next session is told it with its call
        if self._work.is_wanted(call.call_id):
            await self._send_message(output_message(call.call_id, event.output))
            if self._work.note_output(call.call_id):
                await self._send_message({"type": "response.create"})
        item = RealtimeToolCallItem(
            call.id or "",
            call.call_id,
            call.name,
            call.arguments,
            "completed",
            event.output,
            call.previous_item_id,
        )
        await self._emit(RealtimeModelItemUpdatedEvent(item))

    async def _send_interrupt(self, event: RealtimeModelSendInterrupt) -> None:
        if event.cancel_response_only:
            msg = "GPT-Live can't cancel a response; an interruption cuts off its audio here."
            raise NotSupported(msg, service=SERVICE, feature="cancel_response_only")
        cut = self._playback.interrupt(self._loop.time(), event.response_id)
        if not event.playback_only and self._turn is not None:
            self._playback.fence((event.response_id or self._turn,))
        if cut is not None:
            await self._tell_cut(cut)

    async def _tell_cut(self, cut: Interruption) -> None:
        """Tell the listeners where audio was cut off; the service can't be told."""
        interrupted = RealtimeModelAudioInterruptedEvent(cut.item_id, cut.content_index)
        self._interrupted = interrupted
        await self._emit(interrupted)
        if cut.audio_end_ms is not None:
            await self._emit(
                RealtimeModelItemTruncatedEvent(cut.item_id, cut.content_index, cut.audio_end_ms)
            )

    async def _send_session_update(self, event: RealtimeModelSendSessionUpdate) -> None:
        changes = event.session_settings
        for message in update_messages(self._settings, changes, self._backend):
            await self._send_message(message)
        self._settings = {**self._settings, **changes}

    async def _send_raw(self, event: RealtimeModelSendRawMessage) -> None:
        message = raw_message(event)
        kind = message["type"]
        if not kind.startswith(("session.", "response.", "decision.")):
            msg = f"GPT-Live has no {kind}; see the guide for its messages."
            raise NotSupported(msg, service=SERVICE, feature=kind)
        if kind == APPEND:
            self._audio_until = max(self._audio_until, self._loop.time() + _IDLE_GAP)
            await self._send_piece(outgoing_audio(message))
            return
        if kind in ("session.input_audio.mute", "session.input_audio.unmute"):
            self._is_muted = kind.endswith(".mute")
        await self._send_message(message)

    _SENDERS: Final[Mapping[type[Any], Callable[[GPTLiveDialogue, Any], Awaitable[None]]]] = (
        MappingProxyType(
            {
                RealtimeModelSendAudio: _send_audio,
                RealtimeModelSendInterrupt: _send_interrupt,
                RealtimeModelSendRawMessage: _send_raw,
                RealtimeModelSendSessionUpdate: _send_session_update,
                RealtimeModelSendToolOutput: _send_tool_output,
                RealtimeModelSendUserInput: _send_user_input,
            }
        )
    )

    # --- silence ------------------------------------------------------------------------

    def _pump_silence(self) -> None:
        """Send silence while the application sends no audio: without any, nothing is said."""
        now = self._loop.time()
        is_idle = now >= self._audio_until + _IDLE_GAP
        if is_idle and self._is_started and self._sender.is_linked and not self._sender.is_held:
            count = self._format.byte_count(_IDLE_MS) // self._format.sample_bytes
            self._sender.put(append_audio(self._format.from_pcm16(bytes(2 * count))))
        self._pump = self._loop.call_later(_IDLE_MS / 1000, self._pump_silence)
