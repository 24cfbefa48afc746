"""
The official SDK's opinion of a server event, more strictly than the SDK asks for it.

The SDK's models let unknown fields pass, and its client builds them without looking. Here every
field has to be known and of its type, but for those few that the service sends and the SDK's
types don't have.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from openai.types.live import server_event as live_server_event
from openai.types.realtime import RealtimeServerEvent
from openai.types.realtime.realtime_session_create_response import RealtimeSessionCreateResponse
from openai.types.realtime.realtime_transcription_session_create_response import (
    RealtimeTranscriptionSessionCreateResponse,
)
from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from eventbus.simulator._service.fault_plan import Send, Step

_EVENTS: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
_LIVE_EVENTS: TypeAdapter[Any] = TypeAdapter(live_server_event.ServerEvent)

_NESTED_EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

_SESSIONS: dict[str, type[BaseModel]] = {
    "realtime": RealtimeSessionCreateResponse,
    "transcription": RealtimeTranscriptionSessionCreateResponse,
}

# In real recordings, and not in the SDK's type: the session of an event is that of a request
# there, so it lacks what only the service knows.
_UNTYPED = {
    "session": {"id", "object", "expires_at"},
    # Of models that reason.
    "item": {"phase"},
    "response.output": {"phase"},
    "response.usage.output_token_details": {"reasoning_tokens"},
}


def strict_server_event(frame: str | Mapping[str, Any]) -> Any:
    """
    Return the SDK's event for a frame.

    Raises:
        ValidationError: The SDK's types don't accept it.
        AssertionError: It has a field that they don't know.
    """
    data = json.loads(frame) if isinstance(frame, str) else frame
    event = _EVENTS.validate_python(data, strict=True)
    unknown = list(_unknown(event, ""))
    assert not unknown, f"{data['type']} has fields that the SDK doesn't know: {unknown}"
    if data["type"] in {"session.created", "session.updated"}:
        of_type = _SESSIONS[data["session"]["type"]]
        of_type.model_validate(data["session"], strict=True)
    return event


def strict_live_event(data: Mapping[str, Any]) -> Any:
    """
    Return the SDK's event for a frame of GPT-Live; raises as `strict_server_event` does.
    """
    event = _LIVE_EVENTS.validate_python(data, strict=True)
    if data["type"] == "response.event":
        _NESTED_EVENTS.validate_python(data["event"])
    unknown = list(_unknown(event, ""))
    assert not unknown, f"{data['type']} has fields that the SDK doesn't know: {unknown}"
    return event


def frames_of(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """
    Return the events that *steps* send, each of which the SDK accepts.
    """
    frames = [dict(step.frame) for step in steps if isinstance(step, Send)]
    for frame in frames:
        strict_server_event(frame)
    return frames


def loose_frames_of(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """
    Return the events that *steps* send in another dialect, of which the SDK has no types.
    """
    return [dict(step.frame) for step in steps if isinstance(step, Send)]


def _unknown(value: Any, path: str) -> Iterable[str]:
    """
    Yield the paths of fields that are in no model.
    """
    if isinstance(value, BaseModel):
        for name in value.model_extra or ():
            if name not in _UNTYPED.get(path, set()):
                yield f"{path}.{name}"
        for name in value.model_fields_set & type(value).model_fields.keys():
            yield from _unknown(getattr(value, name), f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for element in value:
            yield from _unknown(element, path)
