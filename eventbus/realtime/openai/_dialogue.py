"""
The dialogue of a session: it watches the events, and makes messages of the requests.

`OpenAIDialogue` keeps the session's state: the response that is going on, the audio heard, the
tools called, the settings. Decisions are made in `_responses`, `_interruption` and `_messages`,
with no I/O.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from ...events import (
    RealtimeError,
    RealtimeModelAudioDoneEvent,
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelErrorEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelInputSpeechStartedEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
)
from ...exceptions import EventBusError, RealtimeConnectionError
from ...items import RealtimeToolCallItem
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
from ..transport._connection import Emit, Watch
from ..transport._outbox import OutgoingMessage
from ..transport._sender import Sender
from ._interruption import (
    Interruption,
    PlaybackEstimate,
    interrupts_responses,
    output_format,
)
from ._messages import (
    append_message,
    merge_sessions,
    outgoing,
    raw_message,
    session_of,
    session_update,
    tool_output_message,
    truncate_message,
    user_message,
)
from ._responses import ResponseSequencer

_logger = logging.getLogger(__name__)

_MAX_CALLS: Final = 1024


class OpenAIDialogue:
    """
    The dialogue of a session, over all its connections.

    Args:
        settings: The session's settings at its beginning.
        model: The model, where it is known; it can't change.
        tracker: Told by the player; None if there is none.
        sender: Takes the messages.
        emit: Tells the listeners of an event.
        response_timeout: Seconds without a frame, after which a response that another one waits
            for is taken to be over.

    Raises:
        AudioFormatError: A format in the settings is not a known one.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        *,
        model: str | None,
        tracker: RealtimePlaybackTracker | None,
        sender: Sender,
        emit: Emit,
        response_timeout: float,
    ) -> None:
        self.last_frame_at = 0.0
        self._session = session_of(settings)
        self._model = model
        self._sender = sender
        self._emit = emit
        self._response_timeout = response_timeout
        self._loop = asyncio.get_running_loop()
        self._responses = ResponseSequencer()
        self._patience: asyncio.TimerHandle | None = None
        self._playback = PlaybackEstimate(tracker)
        self._interrupts = False
        self._calls: dict[str, None] = {}
        self._lost_calls: dict[str, None] = {}
        self.watches: dict[type[Any], Watch] = {
            RealtimeModelAudioEvent: self._watch_audio,
            RealtimeModelAudioDoneEvent: self._watch_audio_done,
            RealtimeModelAudioInterruptedEvent: self._watch_speech,
            RealtimeModelErrorEvent: self._watch_error,
            RealtimeModelInputSpeechStartedEvent: self._watch_speech,
            RealtimeModelSessionUpdatedEvent: self._watch_session,
            RealtimeModelToolCallEvent: self._watch_tool_call,
            RealtimeModelTurnEndedEvent: self._watch_turn_ended,
            RealtimeModelTurnStartedEvent: self._watch_turn_started,
        }

    # --- the connection -----------------------------------------------------------------

    async def begin(self) -> None:
        """Open the sender for a new connection: the present settings, then the kept messages."""
        kept, lost = self._empty_outbox()
        self._sender.open([outgoing(session_update(self._session)), *kept])
        self._post_response_create()
        await self._report_unsent(lost)

    async def lose(self) -> None:
        """Forget the session of a lost connection, and end the turns that were going on."""
        was_busy, ongoing = self._responses.is_busy, self._responses.all_ongoing
        self._playback.reset()
        self._interrupts = False
        self._lost_calls = dict.fromkeys([*self._lost_calls, *self._calls][-_MAX_CALLS:])
        self._calls.clear()
        kept, lost = self._empty_outbox()
        unsent = [each for each in kept if each.message["type"] == "response.create"]
        kept = [each for each in kept if each not in unsent]
        # A response answers something, which has to be sent with the request for it.
        self._responses.reset(keep_waiting=bool(kept))
        for message in kept:
            self._sender.put(message)
        for message in unsent if kept else ():
            self._responses.ask(message.message)
        await self._report_unsent(lost)
        if ongoing or (was_busy and not self._responses.is_waiting):
            why = RealtimeError("The connection was lost.", "connection_error", "connection_lost")
            for response_id in ongoing or (None,):
                await self._emit(RealtimeModelTurnEndedEvent(response_id, "failed", why))

    def end(self) -> None:
        """Forget everything."""
        self._playback.reset()
        if self._patience is not None:
            self._patience.cancel()

    def _empty_outbox(self) -> tuple[list[OutgoingMessage], list[str]]:
        """Return the queued messages that make sense in another session; of others the types."""
        messages = self._sender.clear()
        kept = [each for each in messages if each.outlives_session]
        lost = {each.message["type"] for each in messages if not each.outlives_session}
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

    # --- what comes ---------------------------------------------------------------------

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

    def _watch_speech(self, event: object, _raw: object) -> Any:
        # Speech that could not be read in full interrupts as well. When both of its events
        # come, the second finds no more audio to cut off, and no response to cancel.
        self._cut_off()
        self._playback.fence(self._responses.ongoing)
        if not self._interrupts:
            self._post_cancel(None)
        return event

    def _watch_turn_started(self, event: RealtimeModelTurnStartedEvent, raw: Any) -> Any:
        response = raw.data.get("response")
        # Null means a response outside of the conversation.
        is_beside = isinstance(response, Mapping) and response.get("conversation_id", "") is None
        was_cancelled = self._responses.on_created(event.response_id, is_beside=is_beside)
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
        self._responses.on_error(getattr(error, "event_id", None), getattr(error, "code", None))
        self._post_response_create()
        return event

    def _watch_session(self, event: RealtimeModelSessionUpdatedEvent, _raw: object) -> Any:
        interrupts = interrupts_responses(event.session)
        if interrupts is not None:
            self._interrupts = interrupts
        audio_format = output_format(event.session)
        if audio_format is not None:
            self._playback.set_format(audio_format)
        return event

    def _watch_tool_call(self, event: RealtimeModelToolCallEvent, _raw: object) -> Any:
        self._calls[event.call_id] = None
        if len(self._calls) > _MAX_CALLS:
            del self._calls[next(iter(self._calls))]
        return event

    # --- sending ------------------------------------------------------------------------

    async def send(self, event: RealtimeModelSendEvent) -> None:
        """Send *event*; raises as `RealtimeModel.send_event` does."""
        send = self._SENDERS.get(type(event))
        if send is None:
            msg = f"A {type(event).__qualname__} can't be sent; see RealtimeModelSendEvent."
            raise TypeError(msg)
        await send(self, event)

    async def _send_audio(self, event: RealtimeModelSendAudio) -> None:
        if event.audio:
            await self._send_appended(append_message(event.audio))
        if event.commit:
            await self._sender.send(outgoing({"type": "input_audio_buffer.commit"}))

    async def _send_user_input(self, event: RealtimeModelSendUserInput) -> None:
        await self._sender.send(outgoing(user_message(event.user_input)))
        self._responses.ask()
        self._post_response_create()

    async def _send_tool_output(self, event: RealtimeModelSendToolOutput) -> None:
        call = event.tool_call
        if call.call_id in self._lost_calls:
            await self._report(
                f"The session in which {call.name} was called is lost; its output was not sent, "
                f"as the present session doesn't know of the call.",
                f"the output of {call.name}",
            )
            return
        await self._sender.send(outgoing(tool_output_message(event)))
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

    async def _send_appended(self, message: OutgoingMessage) -> None:
        problem = await self._sender.send_audio(message)
        if problem is not None:
            await self._report(problem, "sending audio")

    async def _send_interrupt(self, event: RealtimeModelSendInterrupt) -> None:
        _check_interrupt(event)
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
            await self._emit(RealtimeModelAudioInterruptedEvent(cut.item_id, cut.content_index))

    def _cut_off(self, response_id: str | None = None) -> Interruption | None:
        """Cut off the unheard audio, and tell the service the place, if some of it was heard."""
        cut = self._playback.interrupt(self._loop.time(), response_id)
        if cut is not None and cut.audio_end_ms is not None:
            self._sender.put(
                outgoing(truncate_message(cut.item_id, cut.content_index, cut.audio_end_ms))
            )
        return cut

    async def _send_session_update(self, event: RealtimeModelSendSessionUpdate) -> None:
        model = event.session_settings.get("model_name")
        if model is not None and model != self._model:
            msg = f"The model can't change to {model} while a session lasts; connect again with it."
            raise ValueError(msg)
        session = session_of(event.session_settings)
        await self._sender.send(outgoing(session_update(session)))
        self._session = merge_sessions(self._session, session)

    async def _send_raw(self, event: RealtimeModelSendRawMessage) -> None:
        message = raw_message(event)
        if message["type"] == "response.create":
            outgoing(message)  # raises now, not when its turn has come
            if self._responses.ask(message):
                msg = "A response.create with parameters gave way to a later one before its turn."
                error = EventBusError(msg)
                await self._emit(RealtimeModelExceptionEvent(error, "sending response.create"))
            self._post_response_create()
        elif message["type"] == "input_audio_buffer.append":
            await self._send_appended(outgoing(message, is_audio=True))
        else:
            await self._sender.send(outgoing(message))
            session = message.get("session")
            if message["type"] == "session.update" and isinstance(session, Mapping):
                self._session = merge_sessions(self._session, session)

    _SENDERS: Final[Mapping[type[Any], Callable[[OpenAIDialogue, Any], Any]]] = MappingProxyType(
        {
            RealtimeModelSendAudio: _send_audio,
            RealtimeModelSendInterrupt: _send_interrupt,
            RealtimeModelSendRawMessage: _send_raw,
            RealtimeModelSendSessionUpdate: _send_session_update,
            RealtimeModelSendToolOutput: _send_tool_output,
            RealtimeModelSendUserInput: _send_user_input,
        }
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


def _check_interrupt(event: RealtimeModelSendInterrupt) -> None:
    if event.cancel_response_only and event.response_id is None:
        msg = "cancel_response_only cancels one response; give its response_id."
        raise ValueError(msg)
    if event.playback_only and (event.cancel_response_only or event.force_response_cancel):
        msg = "playback_only lets the response go on; it can't be cancelled at the same time."
        raise ValueError(msg)
