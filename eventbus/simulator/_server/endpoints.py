"""
The HTTP requests that the simulator answers, beside those that open a WebSocket.

=====================================  ===========================================================
``GET /``                              tells about the simulator, as text
``POST /v1/realtime/client_secrets``   creates an ephemeral key, see `client_secrets`
``/v1/realtime/calls…``                501: those are for WebRTC and SIP
``/v1/realtime/sessions``              410: of the Beta API, as is ``…/transcription_sessions``
``/v1/realtime`` without an upgrade    426, as ``/v1/live/sessions``
anything else                          404
=====================================  ===========================================================
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import attrs
import msgspec

from .._service.checks import RequestError
from .._service.ids import Ids
from .._service.settings import Settings
from .._service.validation import check_session
from .._vad import VadSettings
from .client_secrets import ClientSecrets, read_seconds
from .handshake import LIVE_PATH, check_key
from .http import HttpAnswer, HttpRequest

_SECRETS: Final = "/realtime/client_secrets"
_OF_THE_BETA: Final = ("/realtime/sessions", "/realtime/transcription_sessions")


class Endpoints:
    """
    The endpoints of one simulator.

    Args:
        secrets: The ephemeral keys.
        api_key: The only valid key; None accepts any, and none.
        clock: Returns the time by which keys expire.
        vad: The turn detection that sessions begin with.
        about: Returns the text of ``GET /``.
    """

    def __init__(
        self,
        secrets: ClientSecrets,
        api_key: str | None,
        clock: Callable[[], float],
        vad: VadSettings,
        about: Callable[[], str],
    ) -> None:
        self._secrets = secrets
        self._api_key = api_key
        self._clock = clock
        self._vad = vad
        self._about = about
        self._count = 0

    def answer(self, request: HttpRequest) -> HttpAnswer:
        """Return the answer to *request*."""
        path = request.path.rstrip("/")
        if not path and request.method in {"GET", "HEAD"}:
            return HttpAnswer(200, self._about().encode(), "text/plain; charset=utf-8")
        if path.endswith(("/realtime", LIVE_PATH)):
            msg = "This URL is for WebSockets: the request has no Upgrade header."
            return attrs.evolve(
                HttpAnswer.error(426, "upgrade_required", msg), headers={"Upgrade": "websocket"}
            )
        if path.endswith(_SECRETS):
            return self._create_secret(request)
        if path.endswith(_OF_THE_BETA):
            msg = (
                "The Realtime Beta API is no longer supported. "
                "Use POST /v1/realtime/client_secrets."
            )
            return HttpAnswer.error(410, "beta_api_shape_disabled", msg)
        if "/realtime/calls" in path:
            msg = "Calls are for WebRTC and SIP, which are beyond the simulator: use a WebSocket."
            return HttpAnswer.error(501, "not_implemented", msg)
        msg = (
            f"Unknown request URL: {request.method} {_shown(request.path)}. The simulator has "
            f"WebSockets at /v1/realtime, and POST /v1/realtime/client_secrets."
        )
        return HttpAnswer.error(404, "unknown_url", msg)

    def _create_secret(self, request: HttpRequest) -> HttpAnswer:
        if request.method != "POST":
            msg = "Not allowed for this URL; use POST."
            return HttpAnswer.error(405, "method_not_supported", msg)
        refusal = check_key(request.target, request.headers, (), self._api_key)
        if refusal is not None:
            return HttpAnswer.error(refusal.status, refusal.code, refusal.message)
        try:
            body = msgspec.json.decode(request.body or b"{}", type=dict[str, Any])
        except (ValueError, RecursionError):
            msg = "We could not parse the JSON body of your request. Send one JSON object."
            return HttpAnswer.error(400, "invalid_json", msg)
        try:
            seconds = read_seconds(body.get("expires_after"))
        except ValueError as exc:
            return HttpAnswer.error(400, "invalid_value", str(exc), "expires_after.seconds")
        session = body.get("session") or {"type": "realtime"}
        try:
            check_session(session)
            shown = self._session_object(session, int(time.time() + seconds))
        except RequestError as exc:
            return HttpAnswer.error(400, exc.code or "invalid_value", exc.message, exc.param)
        secret = self._secrets.create(session, seconds, self._clock())
        return HttpAnswer.json(
            {
                "value": secret.value,
                "expires_at": int(time.time() + seconds),
                "session": shown,
            }
        )

    def _session_object(self, session: dict[str, Any], expires_at: int) -> dict[str, Any]:
        self._count += 1
        settings = Settings(
            Ids(f"secret/{self._count}").new("sess"), None, expires_at, self._vad, session["type"]
        )
        settings.update(session, voice_is_fixed=False)
        return settings.to_session()


def _shown(path: str) -> str:
    return path if len(path) <= 100 else f"{path[:99]}…"
