"""
The listeners of a model: told in turn, and none of them can harm the model or another one.

Those with `on_event_nowait` are called, and then the others are awaited. A `SoleListener` is called
while it is the only one that hears events, and may take the two events of a frame in one step; one
with ``hears_events = False`` is only told the messages that are sent.

A listener that raises is logged, and reported to the others as a `RealtimeModelExceptionEvent`;
an exception on that report is logged only. One that raises again and again is logged
and reported the first time: it is told of fifty frames a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from ...events import RealtimeModelEvent, RealtimeModelExceptionEvent
from ...wire._frames import frame_of
from ..model import RealtimeModelListener

__all__ = ["Listeners"]

_logger = logging.getLogger(__name__)


class SoleListener(Protocol):
    """
    A listener that is called, and not awaited, while no other one hears the model's events.

    Beside others it is awaited: each is told in its turn. Its methods return at once.
    """

    def on_event_alone(self, event: RealtimeModelEvent, /) -> None:
        """Take *event*, as `RealtimeModelListener.on_event` does."""
        ...

    def takes_frames(self) -> bool:
        """Return whether nothing would see the raw event of a frame, so that `on_frame` may be."""
        ...

    def on_frame(self, raw: RealtimeModelEvent, event: RealtimeModelEvent, /) -> bool:
        """
        Take the raw event of a frame and the only other one, as one after the other.

        Returns:
            False if it can't do it in one step; then it has done nothing.
        """
        ...


class Listeners:
    """The listeners that are told a model's events."""

    def __init__(self) -> None:
        self._all: tuple[RealtimeModelListener, ...] = ()
        self._called: tuple[
            tuple[RealtimeModelListener, Callable[[RealtimeModelEvent], None]], ...
        ] = ()
        self._awaited: tuple[RealtimeModelListener, ...] = ()
        self._sole: SoleListener | None = None
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

    def takes_frames(self) -> bool:
        """Return whether `emit_frame` can be called: nothing sees the raw event of a frame."""
        sole = self._sole
        return sole is not None and sole.takes_frames()

    def emit_frame(self, raw: RealtimeModelEvent, event: RealtimeModelEvent) -> bool:
        """
        Tell the raw event of a frame and the only other one in one step.

        Returns:
            False if that can't be: they are to be told one after the other.
        """
        sole: Any = self._sole
        try:
            is_told: bool = sole.on_frame(raw, event)
        except (Exception, asyncio.CancelledError) as exc:
            if _is_obeyed(exc):
                raise
            self._failing.discard(id(sole))  # it has taken the raw event
            self._note_failure(sole, exc, event)
            return True
        if self._failing and is_told:
            self._failing.discard(id(sole))
        return is_told

    def emit_nowait(self, event: RealtimeModelEvent) -> bool:
        """Tell the listeners that are called; return whether `emit_awaited` has to be awaited."""
        sole: Any = self._sole
        if sole is not None:
            try:
                sole.on_event_alone(event)
            except (Exception, asyncio.CancelledError) as exc:
                if _is_obeyed(exc):
                    raise
                self._note_failure(sole, exc, event)
            else:
                self._failing.discard(id(sole))
            return False  # one that was added meanwhile is told the next event
        for listener, take in self._called:
            try:
                take(event)
            except Exception as exc:  # noqa: BLE001  # a listener may raise anything
                self._note_failure(listener, exc, event)
            else:
                if self._failing:
                    self._failing.discard(id(listener))
        return bool(self._awaited)

    async def emit_awaited(self, event: RealtimeModelEvent) -> None:
        """Tell the listeners that are awaited."""
        for listener in self._awaited:
            await self._tell(listener, event)
        while self._reports:
            culprit, report = self._reports.pop(0)
            for listener in self._awaited:
                if listener is not culprit:
                    await self._tell(listener, report, is_report=True)

    async def emit(self, event: RealtimeModelEvent) -> None:
        """Tell all listeners."""
        if self.emit_nowait(event):
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
        # By its attributes, and not by its class: a journal's listener knows of no models.
        hearing = tuple(each for each in listeners if getattr(each, "hears_events", True))
        sole: Any = hearing[0] if len(hearing) == 1 else None
        self._sole = sole if hasattr(sole, "on_event_alone") else None
        self._called = tuple(
            (each, take)
            for each in hearing
            if (take := getattr(each, "on_event_nowait", None)) is not None
        )
        self._awaited = tuple(each for each in hearing if not hasattr(each, "on_event_nowait"))
        self._curious = tuple(
            each for each in listeners if type(each).on_sent is not RealtimeModelListener.on_sent
        )

    async def _tell(
        self, listener: RealtimeModelListener, event: RealtimeModelEvent, *, is_report: bool = False
    ) -> None:
        try:
            await listener.on_event(event)
        except (Exception, asyncio.CancelledError) as exc:
            if _is_obeyed(exc):
                raise
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
        if self._awaited:
            self._reports.append((listener, report))


def _is_obeyed(exc: BaseException) -> bool:
    """Return whether an exception cancels the present task, and is no failure of a listener's."""
    if not isinstance(exc, asyncio.CancelledError):
        return False
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0  # else it comes from inside the listener


def _name(listener: RealtimeModelListener) -> str:
    return type(listener).__qualname__
