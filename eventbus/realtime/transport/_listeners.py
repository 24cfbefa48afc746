"""
The listeners of a model: told in turn, and none of them can harm the model or another one.

A listener that raises is logged, and reported to the others as a `RealtimeModelExceptionEvent`;
an exception on that report is logged only. One that raises again and again is logged
and reported the first time: it is told of fifty frames a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ...events import RealtimeModelEvent, RealtimeModelExceptionEvent
from ...wire._frames import frame_of
from ..model import RealtimeModelListener

__all__ = ["Listeners"]

_logger = logging.getLogger(__name__)


class Listeners:
    """
    The listeners that are told a model's events.

    Attributes:
        awaited: Those that `emit_nowait` doesn't reach.
    """

    def __init__(self) -> None:
        self._all: tuple[RealtimeModelListener, ...] = ()
        self._called: tuple[
            tuple[RealtimeModelListener, Callable[[RealtimeModelEvent], None]], ...
        ] = ()
        self.awaited: tuple[RealtimeModelListener, ...] = ()
        self._curious: tuple[RealtimeModelListener, ...] = ()
        self._failing: set[int] = set()  # ids: a listener needn't be hashable
        self._reports: list[tuple[RealtimeModelListener, RealtimeModelExceptionEvent]] = []

    def add(self, listener: RealtimeModelListener) -> None:
        """Tell *listener* from the next event on; twice is once."""
        if not any(listener is each for each in self._all):
            self._set((*self._all, listener))

    def remove(self, listener: RealtimeModelListener) -> None:
        """Tell *listener* nothing more."""
        self._failing.discard(id(listener))
        self._set(tuple(each for each in self._all if each is not listener))

    def emit_nowait(self, event: RealtimeModelEvent) -> None:
        """Tell the listeners that are called; await `emit_awaited` after it if there are others."""
        for listener, take in self._called:
            try:
                take(event)
            except Exception as exc:  # noqa: BLE001  # a listener may raise anything
                self._note_failure(listener, exc, event)
            else:
                if self._failing:
                    self._failing.discard(id(listener))

    async def emit_awaited(self, event: RealtimeModelEvent) -> None:
        """Tell the listeners that are awaited."""
        for listener in self.awaited:
            await self._tell(listener, event)
        while self._reports:
            culprit, report = self._reports.pop(0)
            for listener in self.awaited:
                if listener is not culprit:
                    await self._tell(listener, report, is_report=True)

    async def emit(self, event: RealtimeModelEvent) -> None:
        """Tell all listeners."""
        self.emit_nowait(event)
        if self.awaited:
            await self.emit_awaited(event)

    def on_sent(self, frame: bytes) -> None:
        """Tell a message that was sent to the listeners with `on_sent`."""
        if not self._curious:
            return
        message = frame_of(frame)  # parsed only if a listener reads it
        for listener in self._curious:
            try:
                listener.on_sent(message)
            except Exception:
                _logger.exception(
                    "A model's listener failed to take note of a message",
                    extra={"listener": _name(listener), "message_type": message.get("type")},
                )

    def _set(self, listeners: tuple[RealtimeModelListener, ...]) -> None:
        # A loop over one of them goes on with the old tuple.
        self._all = listeners
        # By its method, and not by its class: a journal's listener knows of no models.
        self._called = tuple(
            (each, take)
            for each in listeners
            if (take := getattr(each, "on_event_nowait", None)) is not None
        )
        self.awaited = tuple(each for each in listeners if not hasattr(each, "on_event_nowait"))
        self._curious = tuple(
            each for each in listeners if type(each).on_sent is not RealtimeModelListener.on_sent
        )

    async def _tell(
        self, listener: RealtimeModelListener, event: RealtimeModelEvent, *, is_report: bool = False
    ) -> None:
        try:
            await listener.on_event(event)
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody has cancelled us: it comes from inside the listener, and is a failure.
            self._note_failure(listener, exc, event, is_report=is_report)
        except Exception as exc:  # noqa: BLE001  # a listener may raise anything
            self._note_failure(listener, exc, event, is_report=is_report)
        else:
            self._failing.discard(id(listener))

    def _note_failure(
        self,
        listener: RealtimeModelListener,
        exc: BaseException,
        event: RealtimeModelEvent,
        *,
        is_report: bool = False,
    ) -> None:
        if id(listener) in self._failing:
            return
        self._failing.add(id(listener))
        _logger.error(
            "A model's listener failed",
            exc_info=exc,
            extra={"listener": _name(listener), "event_type": type(event).__qualname__},
        )
        if is_report:
            return
        context = f"listener {_name(listener)}, on {type(event).__qualname__}"
        report = RealtimeModelExceptionEvent(exc, context, event=event, handler=listener.on_event)
        for other, take in self._called:
            if other is not listener:
                try:
                    take(report)
                except Exception as second:  # noqa: BLE001  # as above
                    self._note_failure(other, second, report, is_report=True)
        if self.awaited:
            self._reports.append((listener, report))


def _name(listener: RealtimeModelListener) -> str:
    return type(listener).__qualname__
