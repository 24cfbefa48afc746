"""
The responses of a session: when they begin and end, and the input of each.

At most one response at a time writes into the conversation. Those that are out of band, with
``conversation: "none"``, come beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from ..scenario import Prompt, ToolOutput
from .checks import RequestError
from .conversation import Conversation, Item
from .playout import Playout
from .responses import Order, Response
from .settings import check_modalities, check_tool_choice
from .state import SessionState
from .timers import Process
from .usage import RateLimits


class Responder:
    """
    The responses of one session.

    Args:
        state: The session.
        on_idle: Called with a response that wrote into the conversation, when it is done.

    Attributes:
        count: How many responses there have been.
        playout: Plays the audio, where the service does that.
    """

    def __init__(
        self,
        state: SessionState,
        on_idle: Callable[[Response], None],
        playout: Playout | None = None,
    ) -> None:
        self._state = state
        self._on_idle = on_idle
        self.playout = playout
        self.count = 0
        self._active: dict[Response, Process] = {}
        self._limits = RateLimits()
        self._cached_tokens = 0
        self._has_spoken = False
        self._news: list[Item] = []  # what no response has answered yet

    @property
    def has_spoken(self) -> bool:
        """True if there is assistant audio in the session, which ties it to its voice."""
        return self._has_spoken or any(response.has_audio for response in self._active)

    @property
    def active(self) -> Response | None:
        """The response that writes into the conversation, if there is one."""
        return next((r for r in self._active if r.order.in_conversation), None)

    def notice(self, item: Item) -> None:
        """Note an item of the client's, which the next response answers."""
        self._news.append(item)

    def create(self, overrides: Mapping[str, Any]) -> None:
        """
        Begin a response.

        Args:
            overrides: The ``response`` of the client's message.

        Raises:
            RequestError: There is one already, or *overrides* refer to an unknown item.
        """
        check_modalities(overrides.get("output_modalities"), "response.output_modalities")
        if "tool_choice" in overrides:
            tools = overrides.get("tools", self._state.settings.tools)
            check_tool_choice(overrides["tool_choice"], tools, "response.tool_choice")
        state, active = self._state, self.active
        is_default = overrides.get("conversation", "auto") == "auto"
        if is_default and active is not None:
            msg = (
                f"Conversation already has an active response in progress: {active.id}. "
                f"Wait until the response is finished before creating a new one."
            )
            raise RequestError(msg, code="conversation_already_has_active_response")
        given = overrides.get("input")
        items = list(state.conversation) if given is None else self._items_of(given)
        order = Order.of(state.settings, overrides, items)
        # What the client has deleted since was never said.
        question = [item for item in self._news if item.is_linked] if given is None else items
        prompt = Prompt(
            text=_words(question),
            outputs=_outputs(question, state.conversation),
            tools=order.tools,
            tool_choice=order.tool_choice,
            instructions=order.instructions,
            session=state.settings.to_session(),
        )
        answer = state.progress.answer(prompt)
        if is_default:
            self._news.clear()
        state.faults.begin_response(answer.faults)
        cached_tokens = self._cached_tokens if given is None else 0
        self._begin(Response(state, order, answer, cached_tokens, self._end, self.playout))

    def cancel(
        self, response_id: str | None, reason: Literal["client_cancelled", "turn_detected"]
    ) -> None:
        """
        End a response: *response_id*, or the one that writes into the conversation.

        Raises:
            RequestError: There is none.
        """
        response = self.active
        if response_id is not None:
            response = next((r for r in self._active if r.id == response_id), None)
        if response is None:
            msg = "Cancellation failed: no active response found"
            param = None if response_id is None else "response_id"
            raise RequestError(msg, code="response_cancel_not_active", param=param)
        self._state.timers.stop(self._active[response])
        response.cancel(reason)

    def _begin(self, response: Response) -> None:
        state = self._state
        self.count += 1
        self._active[response] = process = response.perform()
        response.begin()
        state.timers.start(process, state.now_ms)

    def _end(self, response: Response) -> None:
        del self._active[response]
        # After response.done, as in each recording that has it.
        limits = self._limits.take(response.input_tokens, self._state.now_ms)
        self._state.emit("rate_limits.updated", rate_limits=limits)
        self._has_spoken = self._has_spoken or response.has_audio
        if response.order.in_conversation:
            self._cached_tokens = response.input_tokens
            self._on_idle(response)

    def _items_of(self, given: Iterable[Mapping[str, Any]]) -> list[Item]:
        """Return the items that a client gives as a response's input."""
        known = {item.id: item for item in self._state.conversation}
        items = []
        for index, data in enumerate(given):
            if data["type"] != "item_reference":
                items.append(Item(dict(data)))
            elif data["id"] in known:
                items.append(known[data["id"]])
            else:
                path = f"response.input[{index}].id"
                msg = f"Invalid '{path}': the item with id '{data['id']}' does not exist."
                raise RequestError(msg, code="invalid_value", param=path)
        return items


def _words(items: Iterable[Item]) -> str:
    """Return the user's words in *items*."""
    words = []
    for item in items:
        if item.data.get("role") == "user":
            words += [part["text"] for part in item.data["content"] if "text" in part]
            words.append(item.words)
    return " ".join(filter(None, words))


def _outputs(items: Iterable[Item], conversation: Conversation) -> list[ToolOutput]:
    """Return the outputs of tools that are among *items*."""
    names = {
        item.data["call_id"]: item.data["name"]
        for item in conversation
        if item.data["type"] == "function_call"
    }
    return [
        ToolOutput(names.get(item.data["call_id"], ""), item.data["output"])
        for item in items
        if item.data["type"] == "function_call_output"
    ]
