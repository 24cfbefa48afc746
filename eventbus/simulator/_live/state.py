"""
The shared state of one GPT-Live session: its settings, its timeline, its stream of events.
"""

from __future__ import annotations

import math
from typing import Any, Final

import attrs

from .._script.script import Pace
from .._script.turn_picker import TurnPicker
from .._service.checks import RequestError
from .._service.fault_plan import Close, Step
from .._service.ids import Ids
from .._service.timers import Timers
from .faults import LiveFaults
from .settings import LiveSettings

_USAGE_EVERY_MS: Final = 10_000


@attrs.define(eq=False)
class LiveState:
    """
    One session, as its parts see it.

    Attributes:
        settings: The client's settings.
        progress: The model's progress in the scenario.
        pace: How fast it is, where no turn says otherwise.
        faults: The faults to simulate.
        ids: Makes the session's ids.
        timers: The processes of the service.
        now_ms: The session's time.
        position_ms: The end of the timeline: the audio that was taken so far.
        is_muted: Whether the model hears nothing.
    """

    settings: LiveSettings
    progress: TurnPicker
    pace: Pace
    faults: LiveFaults
    ids: Ids
    timers: Timers = attrs.field(factory=Timers)
    now_ms: float = 0
    position_ms: int = 0
    is_muted: bool = False
    _reported_ms: int = attrs.field(default=0, init=False)
    _steps: list[Step] = attrs.field(factory=list, init=False)

    def emit(self, type_: str, /, **fields: Any) -> None:
        """Put an event into the stream to the client; fields that are None are left out."""
        given = {name: value for name, value in fields.items() if value is not None}
        self._emit({"type": type_, "event_id": self.ids.new("event"), **given})

    def emit_audio(self, delta: str) -> None:
        """Put sound into the stream; these events have no id."""
        self._emit({"type": "session.output_audio.delta", "delta": delta})

    def emit_error(self, error: RequestError, event_id: str | None) -> None:
        """Tell the client that its message, with *event_id* if it had one, can't be done."""
        named = {"client_event_id": event_id} if event_id is not None else {}
        details = {
            "type": error.type,
            "code": error.code,
            "message": error.message,
            "param": error.param,
            **named,
        }
        self.emit("error", error=details, client_event_id=event_id)

    def report_usage(self) -> None:
        """Tell the seconds so far, if it is time to."""
        if self.position_ms - self._reported_ms >= _USAGE_EVERY_MS:
            self._reported_ms = self.position_ms
            ratio = round(min(self.position_ms / 7_200_000, 1.0), 4)
            self.emit(
                "session.usage.updated", usage=self.usage, context_window={"usage_ratio": ratio}
            )

    @property
    def usage(self) -> dict[str, Any]:
        """The billable seconds so far, which are whole ones."""
        return {"seconds": math.ceil(self.position_ms / 1000)}

    def add_steps(self, steps: list[Step]) -> None:
        """Put steps into the stream that aren't events of the service."""
        self._steps += steps

    def close(self, reason: str, event_id: str | None = None) -> None:
        """End the session and the connection, after the emitted events."""
        self.emit(
            "session.closed",
            reason=reason,
            session=self.settings.to_session(),
            usage=self.usage,
            client_event_id=event_id,
        )
        self._steps.append(Close(1000, reason))

    def take_steps(self) -> list[Step]:
        """Return the steps since the last time."""
        steps, self._steps = self._steps, []
        return steps

    def _emit(self, frame: dict[str, Any]) -> None:
        self._steps += self.faults.steps(frame)
