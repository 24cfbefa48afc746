"""
The sequence of responses: never two at once, and at most one request waiting.

The service answers a ``response.create`` with ``response.created``, or with an error, and ends
the created response with ``response.done``. It also creates responses by itself, when its turn
detection has heard the end of the user's turn. A create that meets a response that is going on
is refused (``conversation_already_has_active_response``), so a request waits here instead.

Rules
-----

* A create is sent when none is unanswered and no response is going on, whether the service or
  the application began it.
* Requests coalesce: one waits, as the response will see the whole conversation. One with
  parameters of its own takes the place of the one that waits.
* While the user speaks, requests wait: the service would speak over the user. Where turn
  detection creates a response at the end of the user's turn, that response answers a waiting
  request without parameters, which is dropped; one with parameters waits for its end.
* Responses beside the conversation (``conversation: none``) wait in a place of their own, and
  for no user, as they answer none.
* ``response.done`` releases, also one of a response that was never seen to begin, and one
  without an id releases everything; one that came before does nothing.
* An error releases if it names the create, or names nothing at all. If it says that a response
  was going on, the request waits again: the two have crossed on their way. (A response that
  begins when a create is under way is taken for the requested one. It can be one of the
  service's own, which nothing tells apart; then the refusal comes later, and brings the request
  back.)
* The end of the connection releases everything.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs

_ALREADY_ACTIVE: Final = "conversation_already_has_active_response"
_MAX_REMEMBERED: Final = 256
_MAX_ANSWERED: Final = 8


@attrs.define(eq=False)
class _Request:
    message: dict[str, Any]
    event_id: str
    is_cancelled: bool = False

    @property
    def is_beside(self) -> bool:
        response = self.message.get("response")
        return isinstance(response, Mapping) and response.get("conversation") == "none"

    @property
    def has_parameters(self) -> bool:
        return bool(self.message.get("response"))


class ResponseSequencer:
    """
    Decides when a response is asked for; it sends nothing itself.

    Tell it the events, and after each call send the message that `take` returns.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._waiting: dict[bool, _Request] = {}  # by whether it is beside the conversation
        self._sent: _Request | None = None  # and not answered yet
        # Those that seem to be answered: the response may have been the service's own.
        self._answered: dict[str, _Request] = {}
        self._is_refused = False  # by a response that isn't known here
        self._user_turn: Literal["speaking", "awaiting a response"] | None = None
        self._active: dict[str | None, bool] = {}  # by whether it is beside the conversation
        self._cancelled: set[str | None] = set()
        self._done: dict[str, None] = {}

    @property
    def ongoing(self) -> tuple[str, ...]:
        """The ids of the conversation's responses that are going on, as far as they are known."""
        return tuple(
            id_ for id_, is_beside in self._active.items() if id_ is not None and not is_beside
        )

    @property
    def all_ongoing(self) -> tuple[str, ...]:
        """The same, with those beside the conversation."""
        return tuple(id_ for id_ in self._active if id_ is not None)

    @property
    def is_busy(self) -> bool:
        """True if a response goes on, was asked for, or waits to be."""
        return bool(self._active or self._sent or self._waiting)

    @property
    def is_waiting(self) -> bool:
        """True if there is a request that wasn't sent yet."""
        return bool(self._waiting)

    @property
    def is_unanswered(self) -> bool:
        """True if a response.create was sent and not answered."""
        return self._sent is not None

    @property
    def is_user_speaking(self) -> bool:
        """True if the user is in the middle of a turn."""
        return self._user_turn == "speaking"

    @property
    def is_awaited(self) -> bool:
        """True if the user waits for a response of the conversation, or hears one."""
        if self._user_turn is not None:
            return self._user_turn == "awaiting a response"
        going_on = any(
            not is_beside and id_ not in self._cancelled for id_, is_beside in self._active.items()
        )
        sent = self._sent is not None and not self._sent.is_beside and not self._sent.is_cancelled
        return going_on or sent or False in self._waiting

    def ask(self, message: Mapping[str, Any] | None = None) -> bool:
        """
        Note a request for a response.

        Args:
            message: A ``response.create`` with parameters; None is one without.

        Returns:
            Whether another request with parameters of its own was given up for it.
        """
        message = dict(message or {"type": "response.create"})
        event_id = message.setdefault("event_id", f"eventbus_response_{next(self._numbers)}")
        request = _Request(message, event_id)
        self._is_refused = False
        waiting = self._waiting.get(request.is_beside)
        if waiting is not None and not request.has_parameters:
            return False
        self._waiting[request.is_beside] = request
        return waiting is not None and waiting.has_parameters

    def take(self) -> dict[str, Any] | None:
        """Return the ``response.create`` to send now; None if there is none."""
        if self._sent is not None or self._active or self._is_refused:
            return None
        request = None if self._user_turn else self._waiting.pop(False, None)
        self._sent = request or self._waiting.pop(True, None)
        return self._sent.message if self._sent else None

    def on_speech_started(self) -> None:
        """Note that the user has begun to speak."""
        self._user_turn = "speaking"

    def on_speech_stopped(self, *, will_respond: bool) -> None:
        """Note that the user's turn has ended, and whether the service responds by itself."""
        self._user_turn = "awaiting a response" if will_respond else None

    def on_created(self, response_id: str | None, *, is_beside: bool = False) -> bool:
        """
        Note that a response has begun: the requested one, or one of the service's own.

        Args:
            is_beside: Whether it is none of the conversation's.

        Returns:
            Whether it was cancelled when it was on its way.
        """
        self._is_refused = False
        if not is_beside:
            # The conversation has one at a time: another one is over, and its end was lost.
            for over in [id_ for id_, beside in self._active.items() if not beside]:
                del self._active[over]
        self._active[response_id] = is_beside
        sent, self._sent = self._sent, None
        if self._user_turn == "awaiting a response" and not is_beside:
            self._user_turn = None
            waiting = self._waiting.get(False)
            if sent is None and waiting is not None and not waiting.has_parameters:
                del self._waiting[False]  # this response answers it
        if sent is not None:
            if sent.is_cancelled:
                self._cancelled.add(response_id)
            self._answered[sent.event_id] = sent
            if len(self._answered) > _MAX_ANSWERED:
                del self._answered[next(iter(self._answered))]
        if len(self._active) > _MAX_REMEMBERED:
            del self._active[next(iter(self._active))]
        return sent is not None and sent.is_cancelled

    def on_done(self, response_id: str | None) -> None:
        """Note that a response is over; without an id, that all are."""
        self._is_refused = False
        if response_id is None:
            self._active.clear()
            self._cancelled.clear()
            self._sent = None
            self._user_turn = None
            return
        if response_id in self._done:
            return
        if response_id in self._active:
            del self._active[response_id]
        else:  # its beginning could not be read
            self._active.pop(None, None)
            self._sent = None
        self._cancelled.discard(response_id)
        self._done[response_id] = None
        if len(self._done) > _MAX_REMEMBERED:
            del self._done[next(iter(self._done))]

    def on_error(self, event_id: str | None, code: str | None) -> None:
        """Note that the service has reported an error, for *event_id* if it named one."""
        refused = self._sent
        if refused is not None and event_id in {None, refused.event_id}:
            self._sent = None
        elif event_id is not None:
            refused = self._answered.pop(event_id, None)
        elif code == _ALREADY_ACTIVE and self._answered:
            _, refused = self._answered.popitem()
        if refused is not None and code == _ALREADY_ACTIVE:
            self._wait_again(refused)

    def cancel(self, response_id: str | None = None) -> dict[str, Any] | None:
        """
        Return the message that cancels a response; None if it is over, or cancelled already.

        Args:
            response_id: The response; None for the one that is going on.
        """
        if response_id is None:
            going_on = [id_ for id_, is_beside in self._active.items() if not is_beside]
            if not going_on:
                return self._cancel_sent()
            response_id = going_on[-1]
        if response_id not in self._active or response_id in self._cancelled:
            return None
        self._cancelled.add(response_id)
        message = {"type": "response.cancel"}
        if response_id is not None:  # else another that has begun meanwhile might be hit
            message["response_id"] = response_id
        return message

    def reset(self, *, keep_waiting: bool = False) -> None:
        """
        Release everything, as the connection has ended.

        Args:
            keep_waiting: Whether a request that wasn't sent waits for the next connection.
        """
        self._sent = None
        self._is_refused = False
        self._user_turn = None
        self._answered.clear()
        self._active.clear()
        self._cancelled.clear()
        self._done.clear()
        if not keep_waiting:
            self._waiting.clear()

    def _wait_again(self, request: _Request) -> None:
        waiting = self._waiting.get(request.is_beside)
        if waiting is None or (request.has_parameters and not waiting.has_parameters):
            self._waiting[request.is_beside] = request
        # Not at once: an event of the response that is going on must come first.
        self._is_refused = not self._active

    def _cancel_sent(self) -> dict[str, Any] | None:
        # One beside the conversation isn't meant, nor would the service find it without its id.
        if self._sent is None or self._sent.is_cancelled or self._sent.is_beside:
            return None
        self._sent.is_cancelled = True  # the service reads the one before the other
        return {"type": "response.cancel"}
