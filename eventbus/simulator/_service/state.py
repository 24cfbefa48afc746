"""
The shared state of one session: its settings, its conversation, its stream of events.
"""

from __future__ import annotations

from typing import Any

import attrs

from .._script.script import Pace
from .._script.turn_picker import TurnPicker
from .checks import RequestError
from .conversation import Conversation, Item
from .dialects.form import Form
from .fault_plan import Close, ConnectionFaults, Send, Step
from .ids import Ids
from .settings import Settings
from .timers import Timers


@attrs.define(eq=False)
class SessionState:
    """
    One session, as its parts see it.

    Attributes:
        settings: The client's settings.
        conversation: The items.
        conversation_id: Its id.
        progress: The model's progress in the scenario.
        pace: How fast it is, where no turn says otherwise.
        faults: The faults to simulate.
        ids: Makes the session's ids.
        form: The form of the messages: that of the session's dialect.
        wall_ms: The time of day when the session's time was 0, in milliseconds.
        timers: The processes of the service.
        now_ms: The session's time.
    """

    settings: Settings
    conversation: Conversation
    conversation_id: str
    progress: TurnPicker
    pace: Pace
    faults: ConnectionFaults
    ids: Ids
    form: Form = attrs.field(factory=Form)
    wall_ms: float = 0
    timers: Timers = attrs.field(factory=Timers)
    now_ms: float = 0
    _steps: list[Step] = attrs.field(factory=list, init=False)

    def emit(self, type_: str, /, **fields: Any) -> None:
        """
        Put an event into the stream to the client.

        This is where faults come in: they decide the steps for an event. Then it gets the form of
        the session's dialect.
        """
        self.emit_untracked({"type": type_, "event_id": self.ids.new("event"), **fields})

    def emit_untracked(self, frame: dict[str, Any]) -> None:
        """Put an event as it is into the stream: one that has no id, as the service sends it."""
        wall_ms = int(self.wall_ms + self.now_ms)
        for step in self.faults.steps(frame):
            if isinstance(step, Send):
                self._steps += map(Send, self.form.from_ga(step.frame, wall_ms))
            else:
                self._steps.append(step)

    def emit_error(self, error: RequestError, event_id: str | None) -> None:
        """Tell the client that its message, with *event_id* if it had one, can't be done."""
        self.emit(
            "error",
            error={
                "type": error.type,
                "code": error.code,
                "message": error.message,
                "param": error.param,
                "event_id": event_id,
            },
        )

    def close(self, code: int, reason: str) -> None:
        """End the connection, after the emitted events."""
        self._steps.append(Close(code, reason))

    def take_steps(self) -> list[Step]:
        """Return the steps for the events since the last time."""
        steps, self._steps = self._steps, []
        return steps

    def add_item(self, item: Item, *, after: str | None = None) -> None:
        """
        Put a finished item into the conversation, and tell the client.

        Raises:
            RequestError: The conversation refuses it, see `Conversation.add`.
        """
        self.conversation.add(item, after=after)
        previous = self.conversation.predecessor(item)
        for type_ in ("conversation.item.added", "conversation.item.done"):
            self.emit(type_, previous_item_id=previous, item=item.snapshot())

    def new_item_id(self) -> str:
        """Return an id for an item."""
        # A client may have put in items that a session of the same seed has had.
        while (item_id := self.ids.new("item")) in self.conversation:
            pass
        return item_id

    def wait(self, duration_ms: float, pace: Pace | None = None) -> float:
        """Return how long to wait, in milliseconds: *duration_ms*, more or less, as is the pace."""
        return self.progress.delay(duration_ms, pace or self.pace) * 1000
