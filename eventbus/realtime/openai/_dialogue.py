"""
The two sides of a session: what comes is taken note of, what is to be sent becomes messages.

`Dialogue` watches the events of a session, and makes messages of what is to be sent. It knows
which response goes on, what was heard, which tools were called, and how the session is set; what
is to be done with that knowledge is decided in `sequencer`, `interruption` and `client_messages`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from ...events import (
    RealtimeError,
    RealtimeModelAudioDoneEvent,
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelErrorEvent,
    RealtimeModelEvent,
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
from ..transport._outbox import Letter
from ..transport._sender import Post
from ._interruption import Hearing, Interruption, interrupts_responses, output_format
from ._messages import (
    append_frame,
    frame_of,
    merge_sessions,
    raw_message,
    session_of,
    session_update,
    tool_output_message,
    truncate_message,
    user_message,
)
from ._responses import ResponseSequencer

__all__ = ["Dialogue"]

_logger = logging.getLogger(__name__)

_MAX_CALLS: Final = 1024


class Dialogue:
    """
    The two sides of a session, over all its connections.

    Args:
        settings: Those of the session, as it begins.
        model: The model, where it is known; it can't change.
        tracker: Who knows what was heard.
        post: Where messages go.
        emit: Tells the listeners of an event.
        response_timeout: Seconds without a frame, after which a response that another one waits
            for is taken to be over.

    Attributes:
        watches: For each class of events that is watched, what to call with the event and the
            raw event of its frame, before anybody is told; false keeps the event to ourselves.
        last_frame_at: When the last frame has come, in the event loop's time.

    Raises:
        AudioFormatError: A format in the settings is none that is known.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        *,
        model: str | None,
        tracker: RealtimePlaybackTracker | None,
        post: Post,
        emit: Callable[[RealtimeModelEvent], Awaitable[None]],
        response_timeout: float,
    ) -> None:
        self.last_frame_at = 0.0
        self._session = session_of(settings)
        self._model = model
        self._post = post
        self._emit = emit
        self._response_timeout = response_timeout
        self._loop = asyncio.get_running_loop()
        self._sequencer = ResponseSequencer()
        self._patience: asyncio.TimerHandle | None = None
        self._hearing = Hearing(tracker)
        self._interrupts = False
        self._calls: dict[str, None] = {}
        self._lost_calls: dict[str, None] = {}
        self.watches: dict[type[Any], Callable[[Any, Any], bool]] = {
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
        """A connection has begun: send the settings as they are by now, then what waits."""
        kept, lost = self._empty_outbox()
        self._post.open(session_update(self._session), kept)
        self._post_response_create()
        await self._report_unsent(lost)

    async def lose(self) -> None:
        """A connection is lost: forget its session, and end the turns that nobody will end."""
        was_busy, ongoing = self._sequencer.is_busy, self._sequencer.all_ongoing
        self._hearing.reset()
        self._interrupts = False
        self._lost_calls = dict.fromkeys([*self._lost_calls, *self._calls][-_MAX_CALLS:])
        self._calls.clear()
        kept, lost = self._empty_outbox()
        unsent = [letter for letter in kept if letter.message["type"] == "response.create"]
        kept = [letter for letter in kept if letter not in unsent]
        # A wish for a response is one for an answer; what it answers has to go with it.
        self._sequencer.reset(keep_waiting=bool(kept))
        for letter in kept:
            self._post.put(letter)
        for letter in unsent if kept else ():
            self._sequencer.ask(letter.message)
        await self._report_unsent(lost)
        if ongoing or (was_busy and not self._sequencer.is_waiting):
            why = RealtimeError("The connection was lost.", "connection_error", "connection_lost")
            for response_id in ongoing or (None,):
                await self._emit(RealtimeModelTurnEndedEvent(response_id, "failed", why))

    def end(self) -> None:
        """Forget everything."""
        self._hearing.reset()
        if self._patience is not None:
            self._patience.cancel()

    def _empty_outbox(self) -> tuple[list[Letter], list[str]]:
        """Return what waited and means something in another session, and the types of the rest."""
        letters = self._post.clear()
        kept = [letter for letter in letters if letter.outlives_session]
        lost = {letter.message["type"] for letter in letters if not letter.outlives_session}
        lost.discard("session.update")  # the next one has it all
        return kept, sorted(lost)

    async def _report_unsent(self, lost: list[str]) -> None:
        # When all is in its place again: whoever hears of it may send something.
        if lost:
            await self._report(
                f"What waited for the lost connection means nothing to the next one, and was not "
                f"sent: {', '.join(lost)}.",
                "connecting again",
            )

    async def _report(self, problem: str, context: str) -> None:
        await self._emit(RealtimeModelExceptionEvent(RealtimeConnectionError(problem), context))

    # --- what comes ---------------------------------------------------------------------

    def _watch_audio(self, event: RealtimeModelAudioEvent, _raw: object) -> bool:
        return self._hearing.on_audio(
            event.response_id,
            event.item_id,
            event.content_index,
            len(event.data),
            self._loop.time(),
        )

    def _watch_audio_done(self, event: RealtimeModelAudioDoneEvent, _raw: object) -> bool:
        self._hearing.on_audio_done(event.item_id, event.content_index)
        return True

    def _watch_speech(self, _event: object, _raw: object) -> bool:
        # Speech that could not be read in full interrupts as well. When both of its events
        # come, the second finds nothing left to cut off or to cancel.
        self._cut_off()
        self._hearing.fence(self._sequencer.ongoing)
        if not self._interrupts:
            self._post_cancel(None)
        return True

    def _watch_turn_started(self, event: RealtimeModelTurnStartedEvent, raw: Any) -> bool:
        response = raw.data.get("response")
        # A null there is a response outside of the conversation.
        is_beside = isinstance(response, Mapping) and response.get("conversation_id", "") is None
        was_cancelled = self._sequencer.on_created(event.response_id, is_beside=is_beside)
        if was_cancelled and event.response_id is not None:
            self._hearing.fence((event.response_id,))
        return True

    def _watch_turn_ended(self, event: RealtimeModelTurnEndedEvent, _raw: object) -> bool:
        self._hearing.on_response_done(event.response_id)
        self._sequencer.on_done(event.response_id)
        self._post_response_create()
        return True

    def _watch_error(self, event: RealtimeModelErrorEvent, _raw: object) -> bool:
        error = event.error
        self._sequencer.on_error(getattr(error, "event_id", None), getattr(error, "code", None))
        self._post_response_create()
        return True

    def _watch_session(self, event: RealtimeModelSessionUpdatedEvent, _raw: object) -> bool:
        interrupts = interrupts_responses(event.session)
        if interrupts is not None:
            self._interrupts = interrupts
        audio_format = output_format(event.session)
        if audio_format is not None:
            self._hearing.set_format(audio_format)
        return True

    def _watch_tool_call(self, event: RealtimeModelToolCallEvent, _raw: object) -> bool:
        self._calls[event.call_id] = None
        if len(self._calls) > _MAX_CALLS:
            del self._calls[next(iter(self._calls))]
        return True

    # --- sending ------------------------------------------------------------------------

    async def send(self, event: RealtimeModelSendEvent) -> None:
        """Send *event*; raises as `OpenAIRealtimeModel.send_event` does."""
        send = self._SENDERS.get(type(event))
        if send is None:
            msg = f"A {type(event).__qualname__} can't be sent; see RealtimeModelSendEvent."
            raise TypeError(msg)
        await send(self, event)

    async def _send_audio(self, event: RealtimeModelSendAudio) -> None:
        if event.audio:
            await self._post_audio(Letter(*append_frame(event.audio), is_audio=True))
        if event.commit:
            await self._post.post_in_turn({"type": "input_audio_buffer.commit"})

    async def _send_user_input(self, event: RealtimeModelSendUserInput) -> None:
        await self._post.post_in_turn(user_message(event.user_input))
        self._sequencer.ask()
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
        await self._post.post_in_turn(tool_output_message(event))
        self._calls.pop(call.call_id, None)
        if event.start_response:
            self._sequencer.ask()
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

    async def _post_audio(self, letter: Letter) -> None:
        problem = await self._post.post_audio(letter)
        if problem is not None:
            await self._report(problem, "sending audio")

    async def _send_interrupt(self, event: RealtimeModelSendInterrupt) -> None:
        _check_interrupt(event)
        cut = None
        if not event.cancel_response_only:
            cut = self._cut_off(event.response_id)
            if event.response_id is not None:
                self._hearing.fence((event.response_id,))
            elif not event.playback_only:
                self._hearing.fence(self._sequencer.ongoing)
        must_cancel = (
            event.cancel_response_only or event.force_response_cancel or not self._interrupts
        )
        if must_cancel and not event.playback_only:
            self._post_cancel(event.response_id)
        if cut is not None:
            await self._emit(RealtimeModelAudioInterruptedEvent(cut.item_id, cut.content_index))

    def _cut_off(self, response_id: str | None = None) -> Interruption | None:
        """Cut off what is left to be heard, and tell the service where, if some of it was."""
        cut = self._hearing.interrupt(self._loop.time(), response_id)
        if cut is not None and cut.audio_end_ms is not None:
            self._post.post(truncate_message(cut.item_id, cut.content_index, cut.audio_end_ms))
        return cut

    async def _send_session_update(self, event: RealtimeModelSendSessionUpdate) -> None:
        model = event.session_settings.get("model_name")
        if model is not None and model != self._model:
            msg = f"The model can't change to {model} while a session lasts; connect again with it."
            raise ValueError(msg)
        session = session_of(event.session_settings)
        await self._post.post_in_turn(session_update(session))
        self._session = merge_sessions(self._session, session)

    async def _send_raw(self, event: RealtimeModelSendRawMessage) -> None:
        message = raw_message(event)
        if message["type"] == "response.create":
            frame_of(message)  # what can't be sent is told now, not when its turn has come
            if self._sequencer.ask(message):
                msg = "A response.create with parameters gave way to a later one before its turn."
                error = EventBusError(msg)
                await self._emit(RealtimeModelExceptionEvent(error, "sending response.create"))
            self._post_response_create()
        elif message["type"] == "input_audio_buffer.append":
            await self._post_audio(Letter(frame_of(message), message, is_audio=True))
        else:
            await self._post.post_in_turn(message)
            session = message.get("session")
            if message["type"] == "session.update" and isinstance(session, Mapping):
                self._session = merge_sessions(self._session, session)

    _SENDERS: Final[Mapping[type[Any], Callable[[Dialogue, Any], Any]]] = MappingProxyType(
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
        if self._post.is_linked:
            message = self._sequencer.take()
            if message is not None:
                self._post.post(message)
            elif self._sequencer.is_waiting and self._patience is None:
                self._wait_patiently(self._response_timeout)

    def _wait_patiently(self, seconds: float) -> None:
        self._patience = self._loop.call_later(seconds, self._lose_patience)

    def _lose_patience(self) -> None:
        """Take what goes on to be over, if a wish waits for it and nothing has come for long."""
        self._patience = None
        if not self._post.is_linked or not self._sequencer.is_waiting:
            return
        rest = self.last_frame_at + self._response_timeout - self._loop.time()
        if rest > 0:
            self._wait_patiently(rest)
            return
        _logger.warning(
            "A response has not ended", extra={"response_ids": self._sequencer.all_ongoing}
        )
        # If it does go on after all, the service refuses the next one, and that waits again.
        self._sequencer.on_done(None)
        self._post_response_create()

    def _post_cancel(self, response_id: str | None) -> None:
        message = self._sequencer.cancel(response_id)
        if message is not None:
            self._post.post(message)


def _check_interrupt(event: RealtimeModelSendInterrupt) -> None:
    if event.cancel_response_only and event.response_id is None:
        msg = "cancel_response_only cancels one response; give its response_id."
        raise ValueError(msg)
    if event.playback_only and (event.cancel_response_only or event.force_response_cancel):
        msg = "playback_only lets the response go on; it can't be cancelled at the same time."
        raise ValueError(msg)
