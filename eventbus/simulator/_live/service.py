"""
One session of the GPT-Live service: messages and the time go in, events come out.

There is no I/O and no clock here: the owner of the socket calls `LiveService.receive` with each
frame, and `LiveService.advance` when `LiveService.deadline` is over, as for the Realtime service.

::

    receive(message) ── audio ──> timeline ── tick ──> LiveListener ──> Backend ──> Voice
                                                            │              │          │
                                                            └── events, with faults ──┘

Rules
-----
1. ``session.start`` comes first, and once. Everything else before it is an error.
2. The timeline advances with the user's audio, and in real time at most: a burst of audio lasts
   as long as it is to be heard. Without audio nothing is said, and nothing that was appended is
   acknowledged.
3. Each piece of the timeline is heard first; then comes a piece of sound of the same duration.
4. No frame of a client raises. A message that can't be done changes nothing, and is answered with
   an ``error`` event that has the message's ``event_id``.
5. Equal scenario, seed, messages and times give equal events.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from ...audio._formats import PCM16
from ...audio._resampling import resample
from .._service.checks import RequestError
from .._service.fault_plan import FaultPlan, Step
from .._service.ids import Ids
from .._service.input_audio import decode_audio
from .._service.timers import Process, Timers
from .._service.validation import parse
from ..scenario import Scenario
from ..speech import silence
from .backend import Backend
from .faults import LiveFaults
from .listener import LiveListener
from .settings import LiveSettings
from .state import LiveState
from .validation import check_fixture, check_message
from .voice import Voice

_SECONDS_OF_A_SESSION: Final = 7_200


class LiveService:
    """
    One session with the simulated model.

    Args:
        scenario: The model's behaviour.
        plan: The simulator's faults; by default the scenario's.
        seed: Replaces the scenario's.
        number: The number of the session among those of this seed, from 1: their ids differ.
        now_ms: The time; all times are from the same beginning.
        wall_time: The time of day, in seconds since the epoch.
        max_seconds: The length of the session.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        plan: FaultPlan | None = None,
        seed: int | None = None,
        number: int = 1,
        now_ms: float = 0,
        wall_time: float = 0,
        max_seconds: float | None = None,
    ) -> None:
        progress = scenario.begin(seed=seed)
        ids = Ids(f"{progress.seed}/{number}")
        expires_at = int(wall_time + (max_seconds or _SECONDS_OF_A_SESSION))
        self._new_settings: Callable[[Any], LiveSettings] = lambda given: LiveSettings(
            given, ids.new("live_sess"), int(wall_time), expires_at
        )
        self._state = LiveState(
            LiveSettings({"model": ""}, "", int(wall_time), expires_at),
            progress,
            scenario.pace,
            LiveFaults(plan or FaultPlan(scenario.faults)),
            ids,
            now_ms=now_ms,
        )
        self._vad = scenario.vad
        self._patience = Timers()
        self._is_started = self._is_ticking = False
        self._input = bytearray()  # of the timeline that has not come yet
        self._acknowledgements: list[Callable[[], None]] = []  # with the next audio
        self._use_settings()
        self._handlers: dict[str, Callable[[dict[str, Any]], None]] = {
            "session.start": self._start,
            "session.update": self._update,
            "session.input_audio.append": self._append,
            "session.input_audio.mute": lambda message: self._mute(message, is_muted=True),
            "session.input_audio.unmute": lambda message: self._mute(message, is_muted=False),
            "session.output_audio.fixture.play": self._play_fixture,
            "session.instructions.append": self._append_text,
            "session.thinking.append": self._append_text,
            "session.commentary.append": self._append_text,
            "session.close": self._close,
            "response.item.create": lambda message: self._backend.add_item(message["item"]),
            "response.create": lambda message: self._backend.create_response(
                message.get("event_id")
            ),
        }
        if max_seconds is not None:
            self._patience.start(self._expire(max_seconds), now_ms)

    def _use_settings(self) -> None:
        self._voice = Voice(self._state)
        self._backend = Backend(self._state, self._voice)
        self._listener = LiveListener(
            self._state, self._vad, on_words=self._voice.stop, on_turn=self._backend.reply
        )

    @property
    def deadline(self) -> float | None:
        """The time of the service's next action, in milliseconds; None if there is none."""
        return self._state.timers.deadline

    @property
    def idle_deadline(self) -> float | None:
        """The time of the session's end, in milliseconds; None if there is none."""
        return self._patience.deadline

    @property
    def responses(self) -> int:
        """The number of replies so far."""
        return self._backend.count

    def receive(self, frame: str | bytes, now_ms: float) -> Sequence[Step]:
        """Return the steps that follow from *frame*, which the client has sent."""
        self._run(now_ms)
        event_id = None
        try:
            message = parse(frame)
            if isinstance(message.get("event_id"), str):
                event_id = message["event_id"]
            check_message(message)
            self._check_order(message["type"])
            self._handlers[message["type"]](message)
        except RequestError as error:
            self._state.emit_error(error, event_id)
        self._run(now_ms)
        return self._state.take_steps()

    def advance(self, now_ms: float) -> Sequence[Step]:
        """Return the steps that are due by *now_ms*."""
        self._run(now_ms)
        return self._state.take_steps()

    def _run(self, now_ms: float) -> None:
        state = self._state
        state.now_ms = now_ms = max(state.now_ms, now_ms)
        state.timers.run(now_ms)
        self._patience.run(now_ms)

    def _check_order(self, type_: str) -> None:
        if (type_ == "session.start") == self._is_started:
            msg = "The session has started already; session.start comes once."
            if not self._is_started:
                msg = "The session has not started. Send session.start first."
            code = "session_already_started" if self._is_started else "session_not_started"
            raise RequestError(msg, code=code, param="type")

    # --- the session --------------------------------------------------------------------

    def _start(self, message: dict[str, Any]) -> None:
        self._is_started = True
        self._state.settings = self._new_settings(message["session"])
        self._use_settings()
        self._emit_answer("session.started", message, session=self._state.settings.to_session())

    def _update(self, message: dict[str, Any]) -> None:
        settings = self._state.settings
        delegation = message["session"].get("delegation") or {}
        is_new = delegation.get("type") == "responses" != settings.delegates_to
        if is_new and "model" not in delegation.get("responses", {}):
            path = "session.delegation.responses.model"
            msg = f"Missing required parameter: '{path}'."
            raise RequestError(msg, code="missing_required_parameter", param=path)
        settings.update(message["session"])
        self._emit_answer("session.updated", message, session=settings.to_session())

    def _close(self, message: dict[str, Any]) -> None:
        self._state.close("close_requested", message.get("event_id"))

    def _expire(self, seconds: float) -> Process:
        yield seconds * 1000
        self._state.close("expired")

    def _emit_answer(self, type_: str, message: dict[str, Any], **fields: Any) -> None:
        self._state.emit(type_, **fields, client_event_id=message.get("event_id"))

    # --- the timeline -------------------------------------------------------------------

    def _append(self, message: dict[str, Any]) -> None:
        self._input += decode_audio(message["audio"], self._state.settings.audio_format, "audio")
        if not self._is_ticking and len(self._input) >= self._piece_bytes:
            self._is_ticking = True
            self._state.timers.start(self._tick(), self._state.now_ms)

    @property
    def _piece_bytes(self) -> int:
        return self._state.settings.audio_format.byte_count(self._state.pace.chunk_ms)

    def _tick(self) -> Process:
        """Take one piece of the user's audio after another, each when it is to be heard."""
        state, size = self._state, self._piece_bytes
        while len(self._input) >= size:
            piece = bytes(self._input[:size])
            del self._input[:size]
            if state.is_muted or self._voice.is_playing_fixture:
                piece = silence(state.pace.chunk_ms, audio_format=state.settings.audio_format)
            self._voice.sound(size)
            state.position_ms += state.pace.chunk_ms
            self._listener.hear(piece)
            acknowledgements, self._acknowledgements = self._acknowledgements, []
            for acknowledge in acknowledgements:
                acknowledge()
            state.report_usage()
            yield state.pace.chunk_ms
        self._is_ticking = False

    def _mute(self, message: dict[str, Any], *, is_muted: bool) -> None:
        self._state.is_muted = is_muted
        self._emit_answer(f"session.input_audio.{'muted' if is_muted else 'unmuted'}", message)

    def _play_fixture(self, message: dict[str, Any]) -> None:
        self._check_no_fixture()
        audio = decode_audio(message["audio"], PCM16, "audio")
        check_fixture(PCM16.duration_ms(len(audio)))
        audio_format = self._state.settings.audio_format
        pcm = resample(audio, PCM16.rate, audio_format.rate)
        prefix = "session.output_audio.fixture."
        self._voice.play(
            audio_format.from_pcm16(pcm),
            lambda: self._emit_answer(f"{prefix}played", message),
        )
        self._emit_answer(f"{prefix}playing", message)

    # --- texts --------------------------------------------------------------------------

    def _append_text(self, message: dict[str, Any]) -> None:
        """Append instructions, silent context or a commentary."""
        self._check_no_fixture()
        kind = message["type"].split(".")[1]
        content, delegation_id = message["content"], message["delegation_id"]
        self._backend.check_delegation(delegation_id)
        if kind == "instructions":
            self._state.settings.append_instructions(content)
        elif kind == "commentary":
            self._backend.say(content, delegation_id)
        self._acknowledgements.append(
            lambda: self._emit_answer(
                f"session.{kind}.appended",
                message,
                start_ms=self._state.position_ms,
                end_ms=self._state.position_ms,
            )
        )

    def _check_no_fixture(self) -> None:
        if self._voice.is_playing_fixture:
            msg = "A fixture is being played. Wait for session.output_audio.fixture.played."
            raise RequestError(msg, code="fixture_active", param="type")
