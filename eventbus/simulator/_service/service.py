"""
One session of the service: messages and the time go in, events come out.

There is no I/O and no clock here. The owner of the socket calls `Service.receive` with each frame
and `Service.advance` when `Service.deadline` is over, and each time takes the returned steps, in
order: mostly to send an event, and sometimes a fault.

::

    receive(message) ── a client's message ──> Listener ──> Responder ──> Response
    advance(now_ms) ─── due processes ───────> Timers                        │
                                                  events, through the faults ▼
                                                                           steps

Rules
-----
1. No frame of a client raises. A message that can't be done changes nothing, and is answered
   with an ``error`` event that has the message's ``event_id``.
2. Everything that was due is done before a message is handled, so the order of events is that
   of the times, even if the caller is late.
3. Equal scenario, seed, messages and times give equal events.
4. ``session.created`` is the first event, as at the GA service, without ``conversation.created``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ..scenario import KeyPress, Scenario
from .checks import RequestError
from .conversation import Conversation, Item
from .dialects.forms import FORMS
from .fault_plan import ConnectionFaults, FaultPlan, Step
from .ids import Ids
from .input_audio import decode_audio
from .listener import Listener
from .playout import Playout
from .responder import Responder
from .responses import Response
from .settings import Settings
from .state import SessionState
from .timers import Process, Timers
from .validation import check_message, parse

_SECONDS_OF_A_SESSION: Final = 3_600


class Service:
    """
    One session with the simulated model.

    Args:
        scenario: The model's behaviour.
        faults: The faults to simulate; by default the scenario's.
        model: The model that the client has asked for, if it named one.
        seed: Replaces the scenario's.
        number: The number of the session among those of this seed, from 1: their ids differ.
        now_ms: The time; all times are from the same beginning.
        wall_time: The time of day, in seconds since the epoch.
        max_seconds: The length of the session; None lets it go on.
        error: The reason to end the session instead of beginning it.
        session: The settings that it begins with; their shape was checked.
        is_transcription: Whether it only transcribes.
        dialect: The dialect of its messages, of `FORMS`; by default the scenario's.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        faults: ConnectionFaults | None = None,
        model: str | None = None,
        seed: int | None = None,
        number: int = 1,
        now_ms: float = 0,
        wall_time: float = 0,
        max_seconds: float | None = None,
        error: RequestError | None = None,
        session: Mapping[str, Any] | None = None,
        is_transcription: bool = False,
        dialect: str | None = None,
    ) -> None:
        progress = scenario.begin(seed=seed)
        ids = Ids(f"{progress.seed}/{number}")
        expires_at = int(wall_time + (max_seconds or _SECONDS_OF_A_SESSION))
        self._state = state = SessionState(
            Settings(
                ids.new("sess"),
                model,
                expires_at,
                scenario.vad,
                "transcription" if is_transcription else "realtime",
            ),
            Conversation(),
            ids.new("conv"),
            progress,
            scenario.pace,
            faults or FaultPlan(scenario.faults).connection(),
            ids,
            form=FORMS[dialect or scenario.dialect](),
            wall_ms=wall_time * 1000 - now_ms,
            now_ms=now_ms,
        )
        if state.form.initial:
            state.settings.update(state.form.initial, voice_is_fixed=False)
        if session is not None:
            # The URL's model counts, as it does for the client's own updates.
            named = {"model": model} if model is not None and "model" in session else {}
            state.settings.update({**session, **named}, voice_is_fixed=False)
        self._patience = Timers()
        self._playout = Playout(state) if scenario.output_audio_buffer else None
        self._responder = Responder(state, self._response_done, self._playout)
        self._listener = Listener(state, self._responder, self._patience)
        self._handlers: dict[str, Callable[[dict[str, Any]], None]] = {
            "session.update": self._update_session,
            "input_audio_buffer.append": lambda message: self._listener.append(message["audio"]),
            "input_audio_buffer.commit": lambda _: self._listener.commit(),
            "input_audio_buffer.clear": lambda _: self._listener.clear(),
            "conversation.item.create": self._create_item,
            "conversation.item.retrieve": self._retrieve_item,
            "conversation.item.truncate": self._truncate_item,
            "conversation.item.delete": self._delete_item,
            "response.create": self._create_response,
            "response.cancel": self._cancel_response,
            "output_audio_buffer.clear": self._clear_output,
        }
        if max_seconds is not None:
            self._patience.start(self._expire(max_seconds), now_ms)
        if error is not None:
            self._refuse(error, None)
            return
        state.emit("session.created", session=state.settings.to_session())
        for key in scenario.keys:
            state.timers.start(self._press(key, wall_time), now_ms)

    @property
    def deadline(self) -> float | None:
        """The time of the service's next action, in milliseconds; None if there is none."""
        return self._state.timers.deadline

    @property
    def responses(self) -> int:
        """The number of responses so far."""
        return self._responder.count

    @property
    def idle_deadline(self) -> float | None:
        """The time of the next timeout of the session, in milliseconds; None if there is none."""
        return self._patience.deadline

    def receive(self, frame: str | bytes, now_ms: float) -> Sequence[Step]:
        """Return the steps that follow from *frame*, which the client has sent."""
        self._run(now_ms)
        event_id = None
        try:
            message = parse(frame)
            if isinstance(message.get("event_id"), str):
                event_id = message["event_id"]
            if self._state.form.takes(message.get("type")):
                self._take(message)
        except RequestError as error:
            self._state.emit_error(error, event_id)
        self._run(now_ms)
        return self._state.take_steps()

    def _take(self, message: dict[str, Any]) -> None:
        form = self._state.form
        message = form.to_ga(message)  # its errors have the dialect's names already
        try:
            check_message(message)
            self._handlers[message["type"]](message)
        except RequestError as error:
            raise form.error(error) from None

    def advance(self, now_ms: float) -> Sequence[Step]:
        """Return the steps that are due by *now_ms*; the first call greets the client."""
        self._run(now_ms)
        return self._state.take_steps()

    def _refuse(self, error: RequestError, event_id: str | None) -> None:
        """End the session because of a mistake for which the service ends it."""
        self._state.emit_error(error, event_id)
        self._state.close(4000, f"{error.type}.{error.code}")

    def _run(self, now_ms: float) -> None:
        state = self._state
        state.now_ms = now_ms = max(state.now_ms, now_ms)
        state.timers.run(now_ms)
        self._patience.run(now_ms)
        state.timers.run(now_ms)

    # --- the session --------------------------------------------------------------------

    def _update_session(self, message: dict[str, Any]) -> None:
        state, changes = self._state, message["session"]
        if changes["type"] != state.settings.type:
            # Seen in a public report, with the close: github.com/livekit/agents-js/issues/1756.
            model = changes.get("audio", {}).get("input", {}).get("transcription") or {}
            name = model.get("model") or changes.get("model") or state.settings.model
            msg = f'Model "{name}" is not supported in {changes["type"]} mode.'
            self._refuse(RequestError(msg, code="invalid_model"), message.get("event_id"))
            return
        state.settings.update(changes, voice_is_fixed=self._responder.has_spoken)
        self._listener.configure()
        state.emit("session.updated", session=state.settings.to_session())

    def _expire(self, seconds: float) -> Process:
        yield seconds * 1000
        msg = f"Your session hit the maximum duration of {seconds:g} seconds."
        self._state.emit_error(RequestError(msg, code="session_expired"), None)
        self._state.close(1001, msg)

    def _press(self, press: KeyPress, wall_time: float) -> Process:
        yield press.at_ms
        received_at = int(wall_time + press.at_ms / 1000)
        event = {"type": "input_audio_buffer.dtmf_event_received", "event": press.key}
        self._state.emit_untracked({**event, "received_at": received_at})

    # --- the conversation ---------------------------------------------------------------

    def _create_item(self, message: dict[str, Any]) -> None:
        state, item = self._state, self._item_of(message["item"])
        if item.data["type"] == "function_call_output":
            state.conversation.check_call(item.data["call_id"])
        state.add_item(item, after=message.get("previous_item_id"))
        if item.audio and item.data["role"] == "user":
            said = [part.get("transcript") for part in item.data["content"]]
            item.words = " ".join(filter(None, said)) or state.progress.hear(
                bytes(item.audio), audio_format=item.audio_format
            )
        self._responder.notice(item)

    def _item_of(self, given: dict[str, Any]) -> Item:
        """Return the item that a client describes, with defaults for the fields left out."""
        state = self._state
        item_id = given.get("id") or state.new_item_id()
        data = {"id": item_id, **{k: v for k, v in given.items() if k not in {"id", "object"}}}
        item = Item(data, audio_format=state.settings.input_format)
        if data["type"] == "function_call_output":
            return item  # it has no status, there
        data.setdefault("status", "completed")
        if data["type"] == "function_call":
            data.setdefault("call_id", state.ids.new("call"))
        elif data["role"] == "assistant":
            item.audio_format = state.settings.output_format
        for index, part in enumerate(data.get("content", ())):
            if "audio" in part:
                path = f"item.content[{index}].audio"
                item.audio += decode_audio(part.pop("audio"), item.audio_format, path)
        return item

    def _retrieve_item(self, message: dict[str, Any]) -> None:
        item = self._state.conversation.retrieve(message["item_id"])
        self._state.emit("conversation.item.retrieved", item=item)

    def _truncate_item(self, message: dict[str, Any]) -> None:
        what = {name: message[name] for name in ("item_id", "content_index", "audio_end_ms")}
        self._state.conversation.truncate(**what)
        self._state.emit("conversation.item.truncated", **what)

    def _delete_item(self, message: dict[str, Any]) -> None:
        self._state.conversation.delete(message["item_id"])
        self._state.emit("conversation.item.deleted", item_id=message["item_id"])

    # --- responses ----------------------------------------------------------------------

    def _create_response(self, message: dict[str, Any]) -> None:
        if self._state.settings.type == "transcription":
            msg = "A transcription session has no responses. Open a session of the type realtime."
            raise RequestError(msg, code="invalid_event", param="type")
        overrides = message.get("response") or {}
        self._responder.create(overrides)
        if overrides.get("conversation", "auto") == "auto":
            self._listener.stop_waiting()

    def _cancel_response(self, message: dict[str, Any]) -> None:
        self._responder.cancel(message.get("response_id"), "client_cancelled")

    def _response_done(self, response: Response) -> None:
        self._listener.await_user(response)

    def _clear_output(self, _message: dict[str, Any]) -> None:
        if self._playout is not None:
            self._playout.clear()
            return
        msg = (
            "output_audio_buffer.clear is for WebRTC and SIP; over a WebSocket the client plays. "
            "A scenario with output_audio_buffer: true takes it."
        )
        raise RequestError(msg, code="invalid_event", param="type")
