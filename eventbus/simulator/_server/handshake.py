"""
Who may come in: what a request for a connection asks for, and why it is refused.

The paths and the places of the key are those of OpenAI and of Azure; browsers, which can't set
headers, have theirs in a subprotocol. A refusal never repeats what was sent: it may be a key.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs

import attrs
import msgspec

__all__ = ["Admission", "Refusal", "admit"]

_SUBPROTOCOL: Final = "realtime"
_KEY_SUBPROTOCOL: Final = "openai-insecure-api-key."


@attrs.frozen
class Admission:
    """
    A connection that may be opened.

    Attributes:
        model: The model that it is for, Azure's deployment; None if it names none.
        subprotocol: What both sides speak, if the client has offered it.
    """

    model: str | None
    subprotocol: str | None


@attrs.frozen
class Refusal:
    """
    A connection that may not.

    Attributes:
        status: Of the HTTP response.
        code: The service's name for the reason.
        message: The reason, and what to do.
    """

    status: int
    code: str
    message: str

    def to_json(self) -> bytes:
        """Return the body of the response, as the service writes it."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        error: dict[str, Any] = {
            "message": self.message,
            "type": kind,
            "param": None,
            "code": self.code,
        }
        return msgspec.json.encode({"error": error})


def admit(
    target: str, headers: Mapping[str, str], offered: Iterable[str], api_key: str | None
) -> Admission | Refusal:
    """
    Return whether a request may become a connection.

    Args:
        target: Its path and query.
        headers: Its headers, whose names are looked up in lower case.
        offered: The subprotocols that the client offers.
        api_key: The key that it has to know; None lets everybody in.
    """
    offered = tuple(offered)
    path, _, query_text = target.partition("?")  # no URL: nothing in it can be wrong
    if not path.endswith("/realtime"):
        return Refusal(404, "unknown_url", "Unknown URL. Connect to /v1/realtime.")
    query = parse_qs(query_text)
    if api_key is not None:
        key = _key(headers, query, offered)
        if not key:
            msg = "Missing bearer authentication. Send the header 'Authorization: Bearer KEY'."
            return Refusal(401, "missing_api_key", msg)
        if not hmac.compare_digest(_bytes(key), _bytes(api_key)):
            msg = "Incorrect API key provided. Use the one that the simulator was started with."
            return Refusal(401, "invalid_api_key", msg)
    models = [*query.get("model", ()), *query.get("deployment", ())]
    subprotocol = _SUBPROTOCOL if _SUBPROTOCOL in offered else None
    model = _bytes(models[0]).decode(errors="replace") if models else None
    return Admission(model, subprotocol)


def _key(headers: Mapping[str, str], query: Mapping[str, list[str]], offered: Iterable[str]) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    if "api-key" in headers:
        return headers["api-key"]
    for protocol in offered:
        if protocol.startswith(_KEY_SUBPROTOCOL):
            return protocol.removeprefix(_KEY_SUBPROTOCOL)
    return (query.get("api-key") or [""])[0]


def _bytes(text: str) -> bytes:
    # Bytes of a request that are no ASCII arrive as lone surrogates.
    return text.encode(errors="surrogateescape")
