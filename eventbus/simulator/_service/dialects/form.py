"""
The form of a session's messages: that of the GA protocol, if no dialect says otherwise.

The session itself speaks GA. A form is between it and the client: it takes the client's messages
apart, and puts the events together, as the service of its dialect does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..checks import RequestError


class Form:
    """The form of one session: GA, in which nothing changes."""

    @property
    def initial(self) -> Mapping[str, Any]:
        """The settings by which a session begins otherwise than one of GA."""
        return {}

    def takes(self, type_: Any) -> bool:  # noqa: ARG002  # those of dialects look
        """Return whether a message of this type is looked at; others are ignored."""
        return True

    def to_ga(self, message: dict[str, Any]) -> dict[str, Any]:
        """
        Return a client's message as a GA client would have sent it.

        Raises:
            RequestError: It has a field that the service doesn't know.
        """
        return message

    def from_ga(self, frame: Mapping[str, Any], wall_ms: int) -> list[Mapping[str, Any]]:  # noqa: ARG002
        """
        Return the events that the service of the dialect sends for one of GA; often itself.

        Args:
            frame: The event.
            wall_ms: The time of day, in milliseconds since the epoch.
        """
        return [frame]

    def error(self, error: RequestError) -> RequestError:
        """Return *error* with the dialect's names of the fields."""
        return error


class AzureForm(Form):
    """Azure's v1 API: GA, but for the part of a message, which is in its events twice."""

    def to_ga(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return the message, without the model: the deployment in the URL decides."""
        return without_model(message)

    def from_ga(self, frame: Mapping[str, Any], wall_ms: int) -> list[Mapping[str, Any]]:  # noqa: ARG002
        """Return the event; one about a part has it as its ``content``, too, as was recorded."""
        if frame["type"].startswith("response.content_part."):
            return [{**frame, "content": frame["part"]}]
        return [frame]


def without_model(message: dict[str, Any]) -> dict[str, Any]:
    """Return a client's message without the model of its session."""
    if message.get("type") != "session.update" or not isinstance(message.get("session"), dict):
        return message
    session = {name: value for name, value in message["session"].items() if name != "model"}
    return {**message, "session": session}
