"""
The opening handshake: the model that a connection is for, or the reason that it is refused for.

The paths and the places of the key are those of OpenAI and of Azure; browsers, which can't set
headers, have theirs in a subprotocol. A refusal never repeats a key.

Some mistakes the service tells after it has accepted the connection: an error event, and then the
close code 4000. Those are the `Admission.error`.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import parse_qs

import attrs

from ...wire.openai import DIALECTS
from .._service.checks import RequestError
from .._service.dialects.forms import AZURE_DATED
from .model_names import refuse_model

_SUBPROTOCOL: Final = "realtime"
Secret: TypeAlias = Mapping[str, Any] | Literal[False] | None
"""The session's settings of an ephemeral key; None if it isn't one, False if it has expired."""

ANY_MODEL: Final = "simulated"
"""The model of `Simulator.url`: the session may set another one, as if none had been named."""

LIVE_PATH: Final = "/live/sessions"
"""The end of the path of GPT-Live."""

_KEY_SUBPROTOCOL: Final = "openai-insecure-api-key."

# Since May 2026, with the close code 4000; seen in public reports, as in
# github.com/pickle-com/glass/issues/220 and github.com/api7/aisix/pull/1061.
_NO_BETA: Final = RequestError(
    "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API.",
    code="beta_api_shape_disabled",
)
_WITH_BETA: Final = (AZURE_DATED, "azure-voice-live")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_NO_MODEL: Final = RequestError("You must provide a model parameter.", code="missing_model")


@attrs.frozen
class Admission:
    """
    A connection that may be opened.

    Attributes:
        model: The model that it is for, Azure's deployment; None if the client leaves it open.
        subprotocol: The subprotocol, if the client has offered it.
        is_transcription: Whether it asks for a session that only transcribes.
        error: The reason to close it at once, if there is one.
        session: The settings that it begins with: those of its ephemeral key.
        is_live: Whether it speaks GPT-Live, whose model is named by its first message.
        dialect: The dialect that it speaks.
    """

    model: str | None
    subprotocol: str | None
    is_transcription: bool = False
    error: RequestError | None = None
    session: Mapping[str, Any] | None = None
    is_live: bool = False
    dialect: str = "openai"


@attrs.frozen
class Refusal:
    """
    A connection that is refused.

    Attributes:
        status: Of the HTTP response.
        code: The service's name for the reason.
        message: The reason, and the remedy.
    """

    status: int
    code: str
    message: str


def admit(
    target: str,
    headers: Mapping[str, str],
    offered: Iterable[str],
    api_key: str | None,
    find_secret: Callable[[str], Secret] = lambda _key: None,
    dialect: str = "openai",
    allowed: Collection[str] = (),
) -> Admission | Refusal:
    """
    Return whether a request may become a connection.

    Args:
        target: Its path and query.
        headers: Its headers, with their names in lower case.
        offered: The subprotocols that the client offers.
        api_key: The only valid key; None accepts any, and none.
        find_secret: Looks an ephemeral key up: see `Secret`.
        dialect: The dialect of a path that says nothing of it.
        allowed: Names of models to take beside those of known families.
    """
    offered = tuple(offered)
    path = target.partition("?")[0].rstrip("/")
    if path.endswith(LIVE_PATH):
        refusal = check_key(target, headers, offered, api_key)
        return refusal or Admission(None, None, is_live=True)
    if not path.endswith("/realtime"):
        msg = "Unknown URL. Connect to /v1/realtime, or to /v1/live/sessions."
        return Refusal(404, "unknown_url", msg)
    query = _query(target)
    secret = find_secret(_key(headers, query, offered))
    if secret is False:
        msg = (
            "The ephemeral key has expired. Create another one with "
            "POST /v1/realtime/client_secrets."
        )
        return Refusal(401, "invalid_api_key", msg)
    refusal = check_key(target, headers, offered, api_key) if secret is None else None
    if refusal is not None:
        return refusal
    models = [*query.get("deployment", ()), *query.get("model", ())]
    subprotocol = _SUBPROTOCOL if _SUBPROTOCOL in offered else None
    model = _bytes(models[-1]).decode(errors="replace") if models else None
    model = None if model == ANY_MODEL else model
    is_transcription = query.get("intent") == ["transcription"]
    if secret is not None:
        is_transcription = secret["type"] == "transcription"
    error = None
    dialect = _dialect(target.partition("?")[0], query, dialect)
    if dialect in _WITH_BETA:
        pass
    elif "realtime=v1" in headers.get("openai-beta", "").replace(" ", "").split(","):
        error = _NO_BETA
    if (
        not models
        and dialect != "xai"
        and not is_transcription
        and "call_id" not in query
        and not secret
    ):
        error = _NO_MODEL
    if error is None and not is_transcription:
        error = refuse_model(model, dialect, allowed)
    return Admission(model, subprotocol, is_transcription, error, secret, dialect=dialect)


def _dialect(path: str, query: Mapping[str, list[str]], default: str) -> str:
    """Return the dialect of an address: Azure has three, each at a path of its own."""
    if path.startswith(DIALECTS["azure-voice-live"].path):
        return "azure-voice-live"
    if not path.startswith(DIALECTS["azure"].path):
        return default
    is_dated = any(map(_DATE.match, query.get("api-version", ())))
    return AZURE_DATED if is_dated and not path.startswith("/openai/v1/") else "azure"


def check_key(
    target: str, headers: Mapping[str, str], offered: Iterable[str], api_key: str | None
) -> Refusal | None:
    """Return the refusal of a request without the key, or None; for the arguments see `admit`."""
    if api_key is None:
        return None
    key = _key(headers, _query(target), offered)
    if not key:
        msg = "Missing bearer authentication. Send the header 'Authorization: Bearer KEY'."
        return Refusal(401, "missing_api_key", msg)
    if not hmac.compare_digest(_bytes(key), _bytes(api_key)):
        msg = "Incorrect API key provided. Use the one that the simulator was started with."
        return Refusal(401, "invalid_api_key", msg)
    return None


def _query(target: str) -> dict[str, list[str]]:
    # Not a URL: nothing in it can be wrong. `Simulator.url` has a query already, and a client may
    # append another one to it.
    return parse_qs(target.partition("?")[2].replace("?", "&"))


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
