"""
A model without a service: the test gives it events to emit, and sees the inputs sent to it.
"""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from eventbus.events import (
    RealtimeModelConnectionStatusEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
)
from eventbus.exceptions import ModelNotConnected
from eventbus.realtime.inputs import RealtimeModelSendEvent, RealtimeModelSendToolOutput
from eventbus.realtime.model import RealtimeModel, RealtimeModelConfig, RealtimeModelListener


class ScriptedModel(RealtimeModel):
    """
    Emits the events given to `emit`; keeps the inputs sent to it, and its connect options.
    """

    def __init__(self, connect_error: Exception | None = None) -> None:
        self.config: RealtimeModelConfig | None = None
        self.sent: list[RealtimeModelSendEvent] = []
        self.listeners: list[RealtimeModelListener] = []
        self.is_connected = False
        self.send_error: Exception | None = None
        self._connect_error = connect_error
        self._news = anyio.Event()

    async def connect(self, options: RealtimeModelConfig) -> None:
        self.config = options
        await self.emit(RealtimeModelConnectionStatusEvent("connecting"))
        if self._connect_error is not None:
            raise self._connect_error
        self.is_connected = True
        await self.emit(RealtimeModelConnectionStatusEvent("connected"))

    def add_listener(self, listener: RealtimeModelListener) -> None:
        if listener not in self.listeners:
            self.listeners.append(listener)

    def remove_listener(self, listener: RealtimeModelListener) -> None:
        if listener in self.listeners:
            self.listeners.remove(listener)

    async def send_event(self, event: RealtimeModelSendEvent) -> None:
        if not self.is_connected:
            msg = "The model isn't connected."
            raise ModelNotConnected(msg)
        if self.send_error is not None:
            raise self.send_error
        self.sent.append(event)
        self._news.set()
        self._news = anyio.Event()
        await anyio.lowlevel.checkpoint()

    async def close(self) -> None:
        if self.is_connected:
            self.is_connected = False
            await self.emit(
                RealtimeModelConnectionStatusEvent("disconnected"), RealtimeModelEndOfStreamEvent()
            )

    async def emit(self, *events: RealtimeModelEvent) -> None:
        """
        Give *events* to the listeners, one after another.
        """
        for event in events:
            for listener in tuple(self.listeners):
                await listener.on_event(event)

    async def call(self, *calls: RealtimeModelToolCallEvent) -> None:
        """
        Emit a response that consists of *calls*.
        """
        await self.emit(
            RealtimeModelTurnStartedEvent("resp_1"), *calls, RealtimeModelTurnEndedEvent("resp_1")
        )

    def tell_sent(self, message: Mapping[str, object]) -> None:
        """
        Let the listeners know that *message* has been sent.
        """
        for listener in tuple(self.listeners):
            listener.on_sent(message)

    @property
    def outputs(self) -> list[RealtimeModelSendToolOutput]:
        """
        The outputs of tools that it was sent.
        """
        return [event for event in self.sent if isinstance(event, RealtimeModelSendToolOutput)]

    async def wait_sent(self, count: int) -> None:
        """
        Wait until it was sent *count* events.
        """
        with anyio.fail_after(30):
            while len(self.sent) < count:
                await self._news.wait()
