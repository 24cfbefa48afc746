"""
The dialogue of a session: it watches the events, and makes messages of the requests.

`OpenAIDialogue` keeps the session's state: the response that is going on, the audio heard, the
tools called, the settings. Decisions are made in `_responses`, `_interruption` and `_messages`,
with no I/O.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from ...events import (
    RealtimeError,
    RealtimeModelAudioDoneEvent,
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelErrorEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelInputAudioCommittedEvent,
    RealtimeModelInputSpeechStartedEvent,
    RealtimeModelInputSpeechStoppedEvent,
    RealtimeModelItemDeletedEvent,
    RealtimeModelItemTruncatedEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelOtherEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
)
from ...exceptions import EventBusError, RealtimeConnectionError
from ...items import InputAudio, RealtimeToolCallItem
from ..memory import ConversationMemory, RestoreReason
from ..model import (
    RealtimeModelSendAudio,
    RealtimeModelSendEvent,
    RealtimeModelSendInterrupt,
    RealtimeModelSendRawMessage,
    RealtimeModelSendSessionUpdate,
    RealtimeModelSendToolOutput,
    RealtimeModelSendUserInput,
)
from ..playback import RealtimePlaybackTracker
from ..transport._outbox import OutgoingMessage
from ..transport._roles import Host, Watch
from ..transport._sender import Sender
from ._interruption import (
    Interruption,
    PlaybackEstimate,
    has_pcm_input,
    input_format,
    interrupts_responses,
    output_format,
    turn_detection,
)
from ._messages import (
    APPEND,
    append_message,
    check_audio,
    check_interrupt,
    is_acknowledged,
    merge_sessions,
    outgoing,
    outgoing_audio,
    raw_message,
    session_of,
    tool_output_message,
    truncate_message,
    user_message,
)
from ._responses import ResponseSequencer
from ._rules import DialectRules
from ._seeding import ITEM_ADDED, SESSION_EXPIRED, Seeding, no_seeding
from ._speech import PendingSpeech

_logger = logging.getLogger(__name__)

_MAX_CALLS: Final = 1024
_MAX_UNACKNOWLEDGED: Final = 256
_AUDIO_INPUT: Final = frozenset({APPEND, "input_audio_buffer.commit"})


class OpenAIDialogue:
    """
    The dialogue of a session, over all its connections.

    Args:
        settings: The session's settings at its beginning.
        model: The model, where it is known; it can't change.
        rules: Those of the service's dialect.
        tracker: Told by the player; None if there is none.
        memory: Recalls the conversation for a new session; None recalls nothing.
        sender: Takes the messages.
        host: The connection that the dialogue is part of.
        response_timeout: Seconds without a frame, after which a response that another one waits
            for is taken to be over.

    Raises:
        AudioFormatError: A format in the settings is not a known one.
        NotSupported: The service lacks a setting.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        *,
        model: str | None,
        rules: DialectRules,
        tracker: RealtimePlaybackTracker | None,
        memory: ConversationMemory | None,
        sender: Sender,
        host: Host,
        response_timeout: float,
    ) -> None:
        self.last_frame_at = 0.0
        self._rules = rules
        self._session = session_of(settings)
        self._service_session: Mapping[str, Any] = {}
        # 1 if the user's audio has samples of two bytes for sure, so that no odd length is right.
        self._odd = int(has_pcm_input(self._session))
        rules.check_settings(self._session)
        self._model = model
        self._sender = sender
        self._memory = memory
        self._host = host
        self._emit = host.emit
        self._response_timeout = response_timeout
        self._loop = asyncio.get_running_loop()
        self._responses = ResponseSequencer()
        self._patience: asyncio.TimerHandle | None = None
        self._playback = PlaybackEstimate(tracker)
        self._interrupts = False
        self._responds = True  # by itself, at the end of the user's turn
        self._detects_turns = True
        self._has_uncommitted_audio = False
        self._calls: dict[str, None] = {}
        self._lost_calls: dict[str, None] = {}
        # Sent messages that the service acknowledges, and has not; a bounded memory of them.
        self._unacknowledged: deque[OutgoingMessage] = deque(maxlen=_MAX_UNACKNOWLEDGED)
        self._numbers = itertools.count(1)
        self._speech = PendingSpeech(sender.max_bytes)
        self._seeding = no_seeding()
        self._was_awaited = False
        self._broken = False
        self._has_begun = False
        self._interrupted: RealtimeModelAudioInterruptedEvent | None = None  # the last one
        self._has_cut = False  # whether it cut off audio
        self._cut_frame: object = None
        self._telling: set[asyncio.Task[None]] = set()
        self.watches: dict[type[Any], Watch] = {
            RealtimeModelAudioEvent: self._watch_audio,
            RealtimeModelAudioDoneEvent: self._watch_audio_done,
            RealtimeModelAudioInterruptedEvent: self._watch_speech,
            RealtimeModelErrorEvent: self._watch_error,
            RealtimeModelInputAudioCommittedEvent: self._watch_committed,
            RealtimeModelInputSpeechStartedEvent: self._watch_speech,
            RealtimeModelInputSpeechStoppedEvent: self._watch_speech_stopped,
            RealtimeModelItemDeletedEvent: self._watch_item_deleted,
            RealtimeModelItemTruncatedEvent: self._watch_item_truncated,
            RealtimeModelItemUpdatedEvent: self._watch_item,
            RealtimeModelOtherEvent: self._watch_other,
            RealtimeModelSessionUpdatedEvent: self._watch_session,
            RealtimeModelToolCallEvent: self._watch_tool_call,
            RealtimeModelTurnEndedEvent: self._watch_turn_ended,
            RealtimeModelTurnStartedEvent: self._watch_turn_started,
        }

    # --- the connection -----------------------------------------------------------------

    def settings(self) -> list[OutgoingMessage]:
        """Return the messages that configure a new session."""
        return [outgoing(self._rules.session_update(self._session))]

    async def recall(self, reason: RestoreReason) -> Seeding:
        """Return the conversation as a new session is to be told it."""
        await self._settle_broken_turn()
        if self._memory is None:
            return no_seeding()
        return Seeding(await self._memory.recall(), reason, self._numbers)

    async def begin(self, seeding: Seeding | None = None) -> None:
        """
        Open the sender for a new connection: settings, conversation, and the kept messages.

        Args:
            seeding: The conversation that the new session was told already, with the settings.
        """
        told: list[OutgoingMessage] = []
        if seeding is None:
            seeding = await self.recall("connection_lost" if self._has_begun else "fallback")
            told = [*self.settings(), *seeding.messages]
        self._has_begun = True
        self._seeding = seeding
        for call_id, has_output in seeding.call_ids.items():
            self._lost_calls.pop(call_id, None)
            if not has_output:
                self._calls[call_id] = None
        kept, lost = self._empty_outbox()
        self._speech.begin(kept)
        self._has_uncommitted_audio = any(each.is_audio for each in kept)
        if self._was_awaited:
            self._was_awaited = False
            self._responses.ask()
        self._sender.open([*told, *kept])
        self._unacknowledged.extend(each for each in kept if is_acknowledged(each.message))
        self._post_response_create()
        self._note_restored()
        await self._report_unsent(lost)

    async def lose(self) -> None:
        """Forget the session of a lost connection, and end the turns that were going on."""
        was_busy, ongoing = self._responses.is_busy, self._responses.all_ongoing
        is_awaited = self._responses.is_awaited
        if self._memory is None:
            self._playback.reset()
        else:  # the audio received so far goes on playing until there is another connection
            self._was_awaited = self._was_awaited or (is_awaited and self._memory.repeats_turn)
            self._broken = self._broken or bool(ongoing)
        self._interrupts = False
        self._has_uncommitted_audio = False
        self._lost_calls = dict.fromkeys([*self._lost_calls, *self._calls][-_MAX_CALLS:])
        self._calls.clear()
        sent = () if self._memory is None else tuple(self._unacknowledged)
        again = [each for each in sent if each.outlives_session]
        self._unacknowledged.clear()
        speech = () if self._memory is None else self._speech.unfinished()
        if speech:  # and the rest of it is held until it can be sent
            self._sender.hold()
        kept, lost = self._empty_outbox()
        kept = [*(each for each in again if each not in kept), *kept]
        kept = [*(each for each in kept if each not in speech), *speech]
        unsent = [each for each in kept if each.message["type"] == "response.create"]
        kept = [each for each in kept if each not in unsent]
        # A response answers something, which has to be sent with the request for it.
        is_kept = bool(kept) or self._memory is not None
        self._responses.reset(keep_waiting=is_kept)
        for message in kept:
            self._sender.put(message)
        for message in unsent if is_kept else ():
            self._responses.ask(message.message)
        await self._report_unsent(lost)
        if ongoing or (was_busy and not self._responses.is_waiting):
            why = RealtimeError("The connection was lost.", "connection_error", "connection_lost")
            for response_id in ongoing or (None,):
                await self._emit(RealtimeModelTurnEndedEvent(response_id, "failed", why))

    async def _settle_broken_turn(self) -> None:
        """Cut off the speech of a turn that broke off, at the place heard by now."""
        if not self._broken:
            return
        self._broken = False
        cut = self._playback.interrupt(self._loop.time())
        self._playback.reset()
        if cut is None:
            return
        place = cut.item_id, cut.content_index
        interrupted = RealtimeModelAudioInterruptedEvent(*place)
        self._interrupted, self._has_cut = interrupted, True
        await self._emit(interrupted)
        await self._emit(RealtimeModelItemTruncatedEvent(*place, cut.audio_end_ms or 0))

    def unacknowledged(self) -> list[str]:
        """Return the types of the messages that were sent, and not acknowledged."""
        waiting = set(map(id, self._sender.queued()))
        types = [each.message["type"] for each in self._unacknowledged if id(each) not in waiting]
        if self._responses.is_unanswered:
            types.append("response.create")
        return list(dict.fromkeys(types))

    @property
    def is_quiet(self) -> bool:
        """True if nothing goes on: no speech, no response, no tool, nothing sent or to be heard."""
        return not (
            self._responses.is_busy
            or self._responses.is_awaited
            or self._responses.is_user_speaking
            or self._calls
            or self._unacknowledged
            or (self._has_uncommitted_audio and not self._detects_turns)
            or self._playback.is_audible(self._loop.time())
        )

    def has_cut_off(self, event: RealtimeModelAudioInterruptedEvent) -> bool:
        """Return whether the interruption that *event* reports cut off audio."""
        return self._interrupted is event and self._has_cut

    async def cut_off(self) -> None:
        """Cut off the speech that was not heard so far; also after the end."""
        self._broken = True
        await self._settle_broken_turn()

    def end(self) -> None:
        """Stop the timer, and forget the audio, unless it may still be cut off."""
        if self._memory is None:
            self._playback.reset()
        if self._patience is not None:
            self._patience.cancel()

    def _empty_outbox(self) -> tuple[list[OutgoingMessage], list[str]]:
        """Return the queued messages that make sense in another session; of others the types."""
        # Audio that is held for another connection is the user's turn there.
        is_held = self._sender.is_held
        kept, lost = [], set()
        for each in self._sender.clear():
            message_type = each.message["type"]
            if each.outlives_session or (is_held and message_type in _AUDIO_INPUT):
                kept.append(each)
            else:
                lost.add(message_type)
        lost.discard("session.update")  # the next one has all the settings
        return kept, sorted(lost)

    async def _report_unsent(self, lost: list[str]) -> None:
        # When all is in its place again: a listener may send something.
        if lost:
            await self._report(
                f"Messages that waited for the lost connection make no sense in the next session, "
                f"and were not sent: {', '.join(lost)}.",
                "connecting again",
            )

    async def _report(self, problem: str, context: str) -> None:
        await self._emit(RealtimeModelExceptionEvent(RealtimeConnectionError(problem), context))

    # --- events ---------------------------------------------------------------------

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

    def _watch_speech(self, event: object, raw: object) -> Any:
        # Speech that could not be read in full interrupts as well. When both of its events
        # come, the second finds no more audio to cut off, and no response to cancel.
        if raw is not self._cut_frame:
            self._cut_frame, self._has_cut = raw, False
        self._has_cut = self._cut_off() is not None or self._has_cut
        if isinstance(event, RealtimeModelAudioInterruptedEvent):
            self._interrupted = event
        if isinstance(event, RealtimeModelInputSpeechStartedEvent):
            self._responses.on_speech_started()
            self._speech.on_started(event.audio_start_ms)
        self._playback.fence(self._responses.ongoing)
        if not self._interrupts:
            self._post_cancel(None)
        return event

    def _watch_speech_stopped(
        self, event: RealtimeModelInputSpeechStoppedEvent, _raw: object
    ) -> Any:
        self._speech.on_stopped(event.audio_end_ms)
        self._responses.on_speech_stopped(will_respond=self._responds)
        self._post_response_create()
        return event

    def _watch_committed(self, event: RealtimeModelInputAudioCommittedEvent, _raw: object) -> Any:
        self._has_uncommitted_audio = False
        self._speech.on_committed()
        self._acknowledge(lambda message: message["type"] == "input_audio_buffer.commit")
        return self._with_our_ids(event)

    def _watch_turn_started(self, event: RealtimeModelTurnStartedEvent, raw: Any) -> Any:
        response = raw.data.get("response")
        # Null means a response outside of the conversation.
        is_beside = isinstance(response, Mapping) and response.get("conversation_id", "") is None
        was_cancelled = self._responses.on_created(event.response_id, is_beside=is_beside)
        if not self._seeding.is_answered:  # by a service that confirms no items
            self._seeding.conclude()
            self._note_restored()
        if was_cancelled and event.response_id is not None:
            self._playback.fence((event.response_id,))
        return event

    def _watch_turn_ended(self, event: RealtimeModelTurnEndedEvent, _raw: object) -> Any:
        self._playback.on_response_done(event.response_id)
        self._responses.on_done(event.response_id)
        self._post_response_create()
        return event

    def _watch_error(self, event: RealtimeModelErrorEvent, _raw: object) -> Any:
        error = event.error
        event_id, code = getattr(error, "event_id", None), getattr(error, "code", None)
        if code == SESSION_EXPIRED and self._host.expire():
            return None  # another session follows
        refused = self._seeding.note_error(event_id)
        if refused is not None:
            self._note_restored()
            msg = f"The service refused the item {refused} of the conversation: {error.message}"
            return RealtimeModelExceptionEvent(
                RealtimeConnectionError(msg, reason=code or ""), "restoring the conversation"
            )
        self._responses.on_error(event_id, code)
        self._post_response_create()
        return event

    def _watch_session(self, event: RealtimeModelSessionUpdatedEvent, _raw: object) -> Any:
        if not event.created:
            self._acknowledge(lambda message: message["type"] == "session.update")
        self._service_session = event.session
        self._odd = int(has_pcm_input(self._session, event.session))
        interrupts = interrupts_responses(event.session)
        if interrupts is not None:
            self._interrupts = interrupts
        detection = turn_detection(event.session)
        if detection is not None:
            self._detects_turns = bool(detection)
            self._responds = detection.get("create_response") is not False
        self._speech.configure(input_format(event.session), detects_turns=self._detects_turns)
        expires_at = event.session.get("expires_at")
        if isinstance(expires_at, (int, float)):
            self._host.expect_end_at(expires_at)
        audio_format = output_format(event.session)
        if audio_format is not None:
            self._playback.set_format(audio_format)
        return event

    def _watch_tool_call(self, event: RealtimeModelToolCallEvent, _raw: object) -> Any:
        self._calls[event.call_id] = None
        if len(self._calls) > _MAX_CALLS:
            del self._calls[next(iter(self._calls))]
        return event

    def _watch_item(self, event: RealtimeModelItemUpdatedEvent, _raw: object) -> Any:
        item = event.item
        role = None if isinstance(item, RealtimeToolCallItem) else item.role
        if self._seeding.note_item(item.item_id, item.type, role):
            self._note_restored()
            return None  # the history has it
        has_audio = role == "user" and any(
            isinstance(part, InputAudio) for part in getattr(item, "content", ())
        )
        if not has_audio:
            self._acknowledge_item(item.type, role)
        return self._with_our_ids(event)

    def _watch_item_deleted(self, event: RealtimeModelItemDeletedEvent, _raw: object) -> Any:
        self._acknowledge(lambda message: message["type"] == "conversation.item.delete")
        return self._with_our_ids(event)

    def _watch_item_truncated(self, event: object, _raw: object) -> Any:
        self._acknowledge(lambda message: message["type"] == "conversation.item.truncate")
        return event

    def _watch_other(self, event: RealtimeModelOtherEvent, _raw: object) -> Any:
        data = event.data
        if not isinstance(data, Mapping):
            return event
        kind, item = data.get("type"), data.get("item")
        if kind in ITEM_ADDED and isinstance(item, Mapping):
            item_type, role = str(item.get("type")), item.get("role")
            if self._seeding.note_item(str(item.get("id")), item_type, role):
                self._note_restored()
            else:
                self._acknowledge_item(item_type, role)
        elif kind == "input_audio_buffer.cleared":
            self._has_uncommitted_audio = False
            self._speech.on_cleared()
            self._acknowledge(lambda message: message["type"] == "input_audio_buffer.clear")
        return event

    def _with_our_ids(self, event: Any) -> Any:
        """Return *event* with our ids of the items that the service has named differently."""
        ids, places = self._seeding.ids, self._seeding.places
        if not places:
            return event
        if isinstance(event, RealtimeModelItemUpdatedEvent):
            previous = event.item.previous_item_id
            if previous in places:
                item = attrs.evolve(event.item, previous_item_id=places[previous])
                return attrs.evolve(event, item=item)
        elif isinstance(event, RealtimeModelItemDeletedEvent) and event.item_id in ids:
            return attrs.evolve(event, item_id=ids[event.item_id])
        elif isinstance(event, RealtimeModelInputAudioCommittedEvent):
            previous = event.previous_item_id
            if previous in places:
                return attrs.evolve(event, previous_item_id=places[previous])
        return event

    def _acknowledge_item(self, item_type: str, role: object) -> None:
        def is_it(message: Mapping[str, Any]) -> bool:
            item = message.get("item")
            return (
                message["type"] == "conversation.item.create"
                and isinstance(item, Mapping)
                and (item.get("type"), item.get("role")) == (item_type, role)
            )

        self._acknowledge(is_it)

    def _acknowledge(self, is_it: Callable[[Mapping[str, Any]], bool]) -> None:
        """Note the answer to a message; the service has answered or refused those before it."""
        sent = self._unacknowledged
        place = next((i for i, each in enumerate(sent) if is_it(each.message)), None)
        for _ in range(0 if place is None else place + 1):
            sent.popleft()

    def _note_restored(self) -> None:
        outcome = self._seeding.outcome()
        if outcome is not None and self._memory is not None:
            self._memory.restored(outcome)

    # --- sending ------------------------------------------------------------------------

    def send(self, event: RealtimeModelSendEvent) -> Awaitable[None]:
        """Send *event*; raises as `RealtimeModel.send_event` does."""
        send = self._SENDERS.get(type(event))
        if send is None:
            msg = f"A {type(event).__qualname__} can't be sent; see RealtimeModelSendEvent."
            raise TypeError(msg)
        return send(self, event)

    async def _send_audio(self, event: RealtimeModelSendAudio) -> None:
        audio = event.audio
        if type(audio) is not bytes or len(audio) & self._odd:  # fifty times a second
            check_audio(audio, is_pcm=bool(self._odd))
        if audio:
            problem = self._append(append_message(audio))
            if problem is not None or self._sender.is_crowded:
                await self._follow_audio(problem)
        if event.commit:
            await self._send_message({"type": "input_audio_buffer.commit"})

    async def _send_message(self, message: Mapping[str, Any]) -> None:
        made = outgoing(message)
        self._keep_speech(made)
        await self._sender.send(made)
        if is_acknowledged(message):
            self._unacknowledged.append(made)

    def _keep_speech(self, message: OutgoingMessage) -> None:
        if self._memory is not None:
            self._speech.append(message)

    async def _send_user_input(self, event: RealtimeModelSendUserInput) -> None:
        message = user_message(event.user_input)
        self._rules.check_message(message)
        await self._send_message(message)
        self._responses.ask()
        self._post_response_create()

    async def _send_tool_output(self, event: RealtimeModelSendToolOutput) -> None:
        call = event.tool_call
        if call.call_id in self._lost_calls and self._memory is not None and not self._is_linked:
            # The history has it, and so it is told to the next session with its call.
            self._was_awaited = self._was_awaited or event.start_response
            return
        if call.call_id in self._lost_calls:
            await self._report(
                f"The session in which {call.name} was called is lost; its output was not sent, "
                f"as the present session doesn't know of the call.",
                f"the output of {call.name}",
            )
            return
        await self._send_message(tool_output_message(event))
        self._calls.pop(call.call_id, None)
        if event.start_response:
            self._responses.ask()
        item = RealtimeToolCallItem(
            call.id or "",
            call.call_id,
            call.name,
            call.arguments,
            "completed",
            event.output,
            call.previous_item_id,
        )
        self._post_response_create()
        await self._emit(RealtimeModelItemUpdatedEvent(item))

    @property
    def _is_linked(self) -> bool:
        return self._sender.is_linked

    def _append(self, message: OutgoingMessage) -> str | None:
        """Queue audio; return the problem to report."""
        self._has_uncommitted_audio = True
        self._keep_speech(message)
        return self._sender.put_audio(message)

    async def _follow_audio(self, problem: str | None) -> None:
        await self._sender.let_write()
        if problem is not None:
            await self._report(problem, "sending audio")

    async def _send_interrupt(self, event: RealtimeModelSendInterrupt) -> None:
        check_interrupt(event)
        cut = None
        if not event.cancel_response_only:
            cut = self._cut_off(event.response_id)
            if event.response_id is not None:
                self._playback.fence((event.response_id,))
            elif not event.playback_only:
                self._playback.fence(self._responses.ongoing)
        must_cancel = (
            event.cancel_response_only or event.force_response_cancel or not self._interrupts
        )
        if must_cancel and not event.playback_only:
            self._post_cancel(event.response_id)
        if cut is not None:
            interrupted = RealtimeModelAudioInterruptedEvent(cut.item_id, cut.content_index)
            self._interrupted, self._has_cut = interrupted, True
            await self._emit(interrupted)

    def _cut_off(self, response_id: str | None = None) -> Interruption | None:
        """Cut off the unheard audio, and tell the service the place, if some of it was heard."""
        cut = self._playback.interrupt(self._loop.time(), response_id)
        if cut is not None and cut.audio_end_ms is not None:
            message = truncate_message(cut.item_id, cut.content_index, cut.audio_end_ms)
            if self._rules.takes(message["type"]):
                self._sender.put(made := outgoing(message))
                self._unacknowledged.append(made)
            else:  # the history is told all the same
                place = cut.item_id, cut.content_index, cut.audio_end_ms
                self._tell_soon(RealtimeModelItemTruncatedEvent(*place))
        return cut

    def _tell_soon(self, event: RealtimeModelItemTruncatedEvent) -> None:
        task = self._loop.create_task(self._emit(event))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _send_session_update(self, event: RealtimeModelSendSessionUpdate) -> None:
        model = event.session_settings.get("model_name")
        if model is not None and model != self._model:
            msg = f"The model can't change to {model} while a session lasts; connect again with it."
            raise ValueError(msg)
        session = session_of(event.session_settings)
        self._rules.check_settings(session)
        await self._send_message(self._rules.session_update(session))
        self._change_session(session)

    def _change_session(self, session: Mapping[str, Any]) -> None:
        self._session = merge_sessions(self._session, session)
        self._odd = int(has_pcm_input(self._session, self._service_session))

    async def _send_raw(self, event: RealtimeModelSendRawMessage) -> None:
        message = raw_message(event)
        self._rules.check_message(message)
        item_id = message.get("item_id")
        if self._seeding.ids and isinstance(item_id, str):
            names = {ours: service for service, ours in self._seeding.ids.items()}
            message["item_id"] = names.get(item_id, item_id)
        if message["type"] == "response.create":
            outgoing(message)  # raises now, not when its turn has come
            if self._responses.ask(message):
                msg = "A response.create with parameters gave way to a later one before its turn."
                error = EventBusError(msg)
                await self._emit(RealtimeModelExceptionEvent(error, "sending response.create"))
            self._post_response_create()
        elif message["type"] == APPEND:
            await self._follow_audio(self._append(outgoing_audio(message)))
        else:
            await self._send_message(message)
            session = message.get("session")
            if message["type"] == "session.update" and isinstance(session, Mapping):
                self._change_session(session)

    _SENDERS: Final[Mapping[type[Any], Callable[[OpenAIDialogue, Any], Awaitable[None]]]] = (
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

    # --- responses ----------------------------------------------------------------------

    def _post_response_create(self) -> None:
        if self._sender.is_linked:
            message = self._responses.take()
            if message is not None:
                self._sender.put(outgoing(message))
            elif self._responses.is_waiting and self._patience is None:
                self._wait_patiently(self._response_timeout)

    def _wait_patiently(self, seconds: float) -> None:
        self._patience = self._loop.call_later(seconds, self._lose_patience)

    def _lose_patience(self) -> None:
        """Take the response to be over, if another waits for it and no frame has come for long."""
        self._patience = None
        if not self._sender.is_linked or not self._responses.is_waiting:
            return
        rest = self.last_frame_at + self._response_timeout - self._loop.time()
        if rest > 0:
            self._wait_patiently(rest)
            return
        _logger.warning(
            "A response has not ended", extra={"response_ids": self._responses.all_ongoing}
        )
        # If it does go on after all, the service refuses the next one, and that waits again.
        self._responses.on_done(None)
        self._post_response_create()

    def _post_cancel(self, response_id: str | None) -> None:
        message = self._responses.cancel(response_id)
        if message is not None:
            self._sender.put(outgoing(message))
