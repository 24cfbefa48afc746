"""
The models of a session, one after another.

Rules
-----

* The first model is connected. If it can't be, or says at once that its quota is used up, the next
  one is; if the last one can't be, connecting fails.
* A model that fails for good in a call is replaced by the next one: its connection is given up, or
  its quota is used up. An answer that has broken off is cut off where it was heard.
* The next model is told the conversation. Messages of the user that the service has not confirmed
  are sent again; without any, an answer that the user waits for is asked for again.
* The end of a model that another one follows is no event of the session. Each failure is reported.
* Requests wait while a model is replaced.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio

from ..events import (
    RealtimeModelConnectionStatusEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelErrorEvent,
    RealtimeModelEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelInputAudioCommittedEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
)
from ..exceptions import RealtimeConnectionError
from ..items import InputAudio, RealtimeItem, UserMessageItem
from .inputs import RealtimeModelSendRawMessage, RealtimeModelSendUserInput, RealtimeModelUserInput

if TYPE_CHECKING:
    from .memory import ConversationMemory
    from .model import RealtimeModel, RealtimeModelConfig, RealtimeModelListener

_MAX_UNCONFIRMED: Final = 64

_QUOTA_CODES: Final = frozenset(
    {"insufficient_quota", "quota_exceeded", "billing_hard_limit_reached", "billing_not_active"}
)
"""Codes of errors that another attempt with the same account doesn't mend."""

_LOST_CODES: Final = frozenset({*_QUOTA_CODES, "connection_lost"})
"""Codes of the errors of responses that another model can still give."""

_OF_ENDS: Final = frozenset(
    {
        RealtimeModelConnectionStatusEvent,
        RealtimeModelEndOfStreamEvent,
        RealtimeModelErrorEvent,
        RealtimeModelExceptionEvent,
        RealtimeModelTurnEndedEvent,
    }
)
"""Events that may have to do with the end of a model."""


class Host(Protocol):
    """The session, as the succession of its models sees it."""

    @property
    def is_over(self) -> bool:
        """True before the session has begun, and when it is over."""
        ...

    def config_of(self, place: int) -> RealtimeModelConfig:
        """Return the options to connect a model with, by its place."""
        ...

    def start(self, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start a task of the session."""
        ...

    def lose_turn(self) -> None:
        """Note that the turn that was going on has ended with its model."""
        ...

    def end_stream(self) -> None:
        """Publish the end of the session's last model."""
        ...

    def report(self, exc: Exception, context: str) -> None:
        """Publish a failure."""
        ...


class Succession:
    """
    The models of a session.

    Args:
        models: The models, the first one to begin with.
        host: The session.
        listener: The session's listener.
        memory: The session's memory, as models ask it; None remembers nothing.

    Attributes:
        place: The place of the present model.
        is_replacing: Whether the present model is being replaced; requests wait for `ready`.
    """

    def __init__(
        self,
        models: Sequence[RealtimeModel],
        host: Host,
        listener: RealtimeModelListener,
        memory: ConversationMemory | None,
    ) -> None:
        self.place = 0
        self._models = list(models)
        self._is_alone = len(self._models) == 1
        self._host = host
        self._listener = listener
        self._memory = memory
        self._is_connecting = False
        self.is_replacing = False
        # Whether the present model has failed while it was taking over, and why one has failed.
        self._has_failed_again = False
        self._failure: Exception | None = None
        self._replaced = anyio.Event()
        self._is_awaited = False
        self._unconfirmed: deque[RealtimeModelUserInput] = deque(maxlen=_MAX_UNCONFIRMED)

    @property
    def present(self) -> RealtimeModel:
        """The present model."""
        return self._models[self.place]

    @property
    def _has_next(self) -> bool:
        return self.place + 1 < len(self._models)

    async def ready(self) -> RealtimeModel:
        """Return the present model, when none is being replaced."""
        while self.is_replacing:
            await self._replaced.wait()
        return self.present

    # --- requests ---------------------------------------------------------------------------

    async def send_message(self, message: RealtimeModelUserInput) -> None:
        """Send a message of the user, which the next model gets if this one fails before."""
        model = await self.ready()
        self._unconfirmed.append(message)
        try:
            await model.send_event(RealtimeModelSendUserInput(message))
        except BaseException:
            if message in self._unconfirmed:
                self._unconfirmed.remove(message)
            raise
        self._is_awaited = True

    def await_answer(self) -> None:
        """Note that the user waits for an answer."""
        self._is_awaited = True

    def confirm(self, item: RealtimeItem) -> None:
        """Note that the service has added an item."""
        content = item.content if isinstance(item, UserMessageItem) else ()
        if self._unconfirmed and content and not isinstance(content[0], InputAudio):
            self._unconfirmed.popleft()

    # --- events -----------------------------------------------------------------------------

    def note(self, event: RealtimeModelEvent) -> None:
        """Note whether the user waits for an answer after *event*."""
        match event:
            case RealtimeModelInputAudioCommittedEvent() | RealtimeModelTurnStartedEvent():
                self._is_awaited = True
            case RealtimeModelTurnEndedEvent(error=error):
                self._is_awaited = getattr(error, "code", None) in _LOST_CODES
            case _:
                pass

    def hides(self, event: RealtimeModelEvent) -> bool:
        """
        Return whether *event* is the end of a model that another one follows.

        A model that fails for good begins to be replaced.
        """
        if self._is_alone:
            return False
        if type(event) is RealtimeModelRawServerEvent:
            self._note_frame()
            return False
        return self._is_end(event)

    def passes(self, event: RealtimeModelEvent) -> bool:
        """
        Return whether a frame that means *event* has nothing to do with the end of a model.

        If so, `hides` needn't be asked about its events.
        """
        if self._is_alone:
            return True
        if type(event) in _OF_ENDS:
            return False
        self._note_frame()
        return True

    def _note_frame(self) -> None:
        if not (self._is_connecting or self.is_replacing):
            self._failure = None  # it was of a renewal, and the session goes on

    def _is_end(self, event: RealtimeModelEvent) -> bool:
        match event:
            case RealtimeModelExceptionEvent(exception=RealtimeConnectionError() as exc):
                if exc.code is not None:
                    self._failure = exc
            case RealtimeModelErrorEvent(error=error) | RealtimeModelTurnEndedEvent(error=error):
                if getattr(error, "code", None) in _QUOTA_CODES:
                    self._failure = _quota_error(error)
                    self._fail()
            case RealtimeModelConnectionStatusEvent(status="connected"):
                self._failure = None
            case RealtimeModelConnectionStatusEvent(status="disconnected"):
                if self._failure is not None and not self._host.is_over:
                    self._fail()
                return self._is_hidden
            case RealtimeModelEndOfStreamEvent():
                return self._is_hidden
            case _:
                pass
        return False

    @property
    def _is_hidden(self) -> bool:
        """True if the end of a model is not that of the session."""
        return self.is_replacing or (self._is_connecting and self._has_next)

    def _fail(self) -> None:
        """Let the next model follow, or note that for the task that is at it."""
        if self.is_replacing:
            self._has_failed_again = True
        elif self._has_next and not self._is_connecting:  # which sees the failure, too
            self.is_replacing = True
            self._replaced = anyio.Event()
            self._host.start(self._replace)

    # --- models -----------------------------------------------------------------------------

    async def connect(self) -> None:
        """
        Connect the present model, or else the first of the next ones that can be.

        Raises:
            RealtimeConnectionError: None of them can be connected.
        """
        self._is_connecting = True
        try:
            while not await self._try_present():
                self.place += 1
        finally:
            self._is_connecting = False

    async def _try_present(self) -> bool:
        """Connect the present model; return False if that has failed and another one follows."""
        model = self.present
        model.add_listener(self._listener)
        if self._memory is not None:
            model.use_memory(self._memory)
        self._failure = None
        try:
            await model.connect(self._host.config_of(self.place))
        except RealtimeConnectionError as exc:
            if not self._has_next:
                raise
            self._failure = exc
        if self._failure is None or not self._has_next:
            return True
        await self._drop(model, self._failure)
        return False

    async def _drop(self, model: RealtimeModel, failure: Exception) -> None:
        try:
            if self._is_awaited:
                await model.cut_off()
            model.remove_listener(self._listener)
            await model.close()
        except Exception as exc:  # noqa: BLE001  # the model's, and it is reported
            self._host.report(exc, "closing a model")
        self._host.report(failure, "connecting; the next model takes over")

    async def _replace(self) -> None:
        """Let the next model take the call over."""
        failed, failure = self.present, self._failure
        assert failure is not None
        is_lost = False
        try:
            await self._drop(failed, failure)
            self._host.lose_turn()
            self.place += 1
            await self.connect()
            self._has_failed_again = False
            await self._ask_again()
        except Exception as exc:  # noqa: BLE001  # the model's, and it is reported
            self._host.report(exc, "falling back")
            is_lost = True
        finally:  # also if the session is being left: requests may wait
            self.is_replacing = False
            self._replaced.set()
        if self._has_failed_again and self._has_next and not is_lost:
            self._fail()
        elif self._has_failed_again or is_lost:
            self._host.end_stream()

    async def _ask_again(self) -> None:
        """Ask the present model for what the last one owes."""
        for message in list(self._unconfirmed):
            await self.present.send_event(RealtimeModelSendUserInput(message))
        is_repeated = self._memory is not None and self._memory.repeats_turn
        if not (self._is_awaited and is_repeated) or self._unconfirmed:
            return
        try:
            await self.present.send_event(RealtimeModelSendRawMessage({"type": "response.create"}))
        except Exception as exc:  # noqa: BLE001  # a model of another kind, which answers by itself
            self._host.report(exc, "asking for an answer again")


def _quota_error(error: Any) -> RealtimeConnectionError:
    msg = f"The model's quota is used up: {error.message}"
    return RealtimeConnectionError(msg, reason=error.code)
