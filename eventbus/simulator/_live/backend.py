"""
The delegated work of a GPT-Live session: by the client, or by a simulated Responses model.

A turn of the scenario that calls tools is work to delegate. A Responses backend calls them, one
response a round, and goes on when the client has sent the output of each call and asks for it;
at the end, the voice says its answer. A client that does the work itself is told nothing but the
delegation's id, and its commentary is spoken as it is. Speaking over the voice cancels no work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from .._script.turn_picker import Answer, AnswerCall, Prompt, ToolOutput
from .._service.checks import RequestError
from .._service.timers import Process
from .._service.usage import text_tokens
from .faults import ReplyFaults
from .state import LiveState
from .voice import Voice


@attrs.define(eq=False)
class _Delegation:
    """
    Work that the model has handed over.

    Attributes:
        id: Its id.
        response_id: The id of its first response.
        names: The call ids of the present round -> the tools.
        outputs: The outputs of the present round so far.
        is_running: Whether a response of the backend is in progress.
    """

    id: str
    response_id: str | None
    names: dict[str, str] = attrs.Factory(dict)
    outputs: list[ToolOutput] = attrs.Factory(list)
    is_running: bool = False


class Backend:
    """
    The replies of one session, and the work behind them.

    Args:
        state: The session.
        voice: Says the answers.

    Attributes:
        count: How many replies there have been.
    """

    def __init__(self, state: LiveState, voice: Voice) -> None:
        self._state = state
        self._voice = voice
        self._clients: set[str] = set()
        self._delegations: list[_Delegation] = []
        self._typed: list[str] = []
        self.count = 0

    def reply(self, text: str) -> None:
        """Reply to words of the user."""
        answer, faults = self._answer(Prompt(text=text, **self._settings()))
        delay_ms = self._delay_ms(answer)
        self._voice.say(answer.say, faults, delay_ms)
        if answer.calls:
            self._delegate(answer, faults)

    def say(self, content: str, delegation_id: str | None) -> None:
        """Say a commentary of the client's; raises RequestError for an unknown delegation."""
        self.check_delegation(delegation_id)
        self.count += 1
        faults = self._state.faults.begin_reply(())
        self._voice.say(content, faults, self._state.pace.first_output_ms)

    def check_delegation(self, delegation_id: str | None) -> None:
        """
        Check the delegation that a text of the client's is for.

        Raises:
            RequestError: It is none of the client's.
        """
        if delegation_id is not None and delegation_id not in self._clients:
            msg = (
                f"Invalid 'delegation_id': there is no client delegation "
                f"'{delegation_id[:60]}'; use null for the session as a whole."
            )
            raise RequestError(msg, code="invalid_value", param="delegation_id")

    def add_item(self, item: Mapping[str, Any]) -> None:
        """
        Add an item of the client's to the backend's input.

        Raises:
            RequestError: The session has no Responses backend, or no call has that id.
        """
        self._check_backend("response.item.create")
        if item["type"] == "message":
            if item["role"] == "user":
                self._typed.append(_text_of(item["content"]))
            return
        call_id = item["call_id"]
        for delegation in self._delegations:
            if call_id in delegation.names:
                output = ToolOutput(delegation.names.pop(call_id), _text_of(item["output"]))
                delegation.outputs.append(output)
                return
        msg = f"No tool call found for function call output with call_id {call_id[:60]}."
        raise RequestError(msg, code="invalid_value", param="item.call_id")

    def create_response(self, event_id: str | None) -> None:
        """
        Let the backend go on, or answer what was typed.

        Raises:
            RequestError: The session has no Responses backend, or outputs are missing.
        """
        self._check_backend("response.create")
        if any(each.is_running for each in self._delegations):
            msg = "A response of the backend is in progress. Wait for its end."
            raise RequestError(msg, code="conversation_already_has_active_response")
        waiting = next((each for each in self._delegations if each.outputs), None)
        if waiting is None:
            # Typed text is work of its own, which the backend answers.
            typed, self._typed = " ".join(self._typed), []
            prompt = Prompt(text=typed, **self._settings())
            delegation = self._begin(event_id)
        elif waiting.names:
            missing = ", ".join(waiting.names)
            msg = f"No tool output found for function call {missing}."
            raise RequestError(msg, code="invalid_value", param="input")
        else:
            delegation = waiting
            prompt = Prompt(outputs=tuple(delegation.outputs), **self._settings())
            delegation.outputs = []
        answer, faults = self._answer(prompt)
        self._run(delegation, answer, faults)

    def _check_backend(self, message: str) -> None:
        if self._state.settings.delegates_to != "responses":
            msg = f"{message} requires Responses delegation, and this session has none."
            raise RequestError(msg, code="invalid_event", param="type")

    def _settings(self) -> dict[str, Any]:
        settings = self._state.settings
        return {
            "tools": settings.tools,
            "tool_choice": settings.tool_choice,
            "instructions": settings.instructions,
            "session": settings.to_session(),
        }

    def _answer(self, prompt: Prompt) -> tuple[Answer, ReplyFaults]:
        self.count += 1
        answer = self._state.progress.answer(prompt)
        return answer, self._state.faults.begin_reply(answer.faults)

    def _delay_ms(self, answer: Answer) -> float:
        wait = self._state.progress.delay(answer.pace.first_output_ms, answer.pace)
        return wait * 1000

    # --- delegations ----------------------------------------------------------------------

    def _delegate(self, answer: Answer, faults: ReplyFaults) -> None:
        if self._state.settings.delegates_to == "responses":
            spoken = attrs.evolve(answer, say="")  # the voice has said that already
            self._run(self._begin(None), spoken, faults)
            return
        delegation_id = self._state.ids.new("dlg")
        self._clients.add(delegation_id)
        self._tell_delegation({"id": delegation_id, "type": "delegation", "target": "client"})
        self._state.add_steps(faults.happen())

    def _begin(self, event_id: str | None) -> _Delegation:
        delegation = _Delegation(self._state.ids.new("dlg"), self._state.ids.new("resp"))
        self._delegations.append(delegation)
        self._tell_delegation(
            {
                "id": delegation.id,
                "type": "delegation",
                "target": "responses",
                "response_id": delegation.response_id or "",
            },
            event_id,
        )
        return delegation

    def _tell_delegation(self, delegation: dict[str, str], event_id: str | None = None) -> None:
        self._state.emit(
            "session.delegation.created",
            delegation=delegation,
            offset_ms=self._state.position_ms,
            client_event_id=event_id,
        )

    def _run(self, delegation: _Delegation, answer: Answer, faults: ReplyFaults) -> None:
        delegation.is_running = True
        self._state.timers.start(self._perform(delegation, answer, faults), self._state.now_ms)

    def _perform(self, delegation: _Delegation, answer: Answer, faults: ReplyFaults) -> Process:
        """Be the backend for one response."""
        response_id, delegation.response_id = delegation.response_id, None
        response = _Response(self._state, delegation.id, response_id, answer)
        response.tell("response.created", "in_progress")
        yield self._delay_ms(answer)
        ending = faults.ending
        if ending is not None:
            delegation.is_running = False
            response.tell(f"response.{ending.status}", ending.status, ending.code)
            self._state.add_steps(faults.happen())
            return
        for call in answer.calls:
            call_id = self._state.ids.new("call")
            delegation.names[call_id] = call.tool
            response.add_call(call_id, call)
            self._state.add_steps(faults.happen())
            yield answer.pace.arguments_delta_ms
        if answer.say:
            response.add_message(answer.say)
        delegation.is_running = False
        response.tell("response.completed", "completed")
        self._voice.say(answer.say, faults, 0)


class _Response:
    """One response of the backend, whose events come wrapped."""

    def __init__(
        self, state: LiveState, delegation_id: str, response_id: str | None, answer: Answer
    ) -> None:
        self._state = state
        self._delegation_id = delegation_id
        self._id = response_id or state.ids.new("resp")
        self._tokens = sum(text_tokens(call.arguments) + 4 for call in answer.calls)
        self._tokens += text_tokens(answer.say)
        self._usage = answer.usage
        self._sequence = 0
        self._index = 0

    def tell(self, type_: str, status: str, error: str | None = None) -> None:
        """Tell the state of the response; it has neither input nor output in it."""
        failure = {"code": "server_error", "message": f"{error}: the simulator was told to fail."}
        response = {
            "id": self._id,
            "object": "response",
            "created_at": self._state.settings.created_at,
            "status": status,
            "error": failure if status == "failed" else None,
            "incomplete_details": {"reason": error} if status == "incomplete" else None,
            "instructions": None,
            "metadata": {},
            "model": self._state.settings.backend_model,
            "output": [],
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "usage": None if status == "in_progress" else self._usage_object(),
        }
        self._emit(type_, response=response)

    def add_call(self, call_id: str, call: AnswerCall) -> None:
        """Tell of a tool call."""
        item = {
            "type": "function_call",
            "id": self._state.ids.new("fc"),
            "call_id": call_id,
            "name": call.tool,
        }
        self._add({**item, "arguments": ""}, {**item, "arguments": call.arguments})

    def add_message(self, text: str) -> None:
        """Tell of the answer in words."""
        item = {"type": "message", "id": self._state.ids.new("msg"), "role": "assistant"}
        part = {"type": "output_text", "text": text, "annotations": []}
        self._add({**item, "content": []}, {**item, "content": [part]})

    def _add(self, begun: dict[str, Any], done: dict[str, Any]) -> None:
        index = self._index
        self._index += 1
        for type_, item, status in (
            ("response.output_item.added", begun, "in_progress"),
            ("response.output_item.done", done, "completed"),
        ):
            self._emit(type_, output_index=index, item={**item, "status": status})

    def _usage_object(self) -> dict[str, Any]:
        told = self._usage
        made = self._tokens if told.output_text_tokens is None else told.output_text_tokens
        given = 64 if told.input_text_tokens is None else told.input_text_tokens
        return {
            "input_tokens": given,
            "input_tokens_details": {
                "cached_tokens": told.cached_tokens or 0,
                "cache_write_tokens": 0,
            },
            "output_tokens": made,
            "output_tokens_details": {"reasoning_tokens": told.reasoning_tokens or 0},
            "total_tokens": given + made,
        }

    def _emit(self, type_: str, **fields: Any) -> None:
        event = {"type": type_, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        self._state.emit("response.event", delegation_id=self._delegation_id, event=event)


def _text_of(content: str | Sequence[Mapping[str, Any]]) -> str:
    """Return the words of an item: a string, or parts of which some have a text."""
    if isinstance(content, str):
        return content
    texts = [part["text"] for part in content if isinstance(part.get("text"), str)]
    return " ".join(texts) if texts else json.dumps(content, ensure_ascii=False)
