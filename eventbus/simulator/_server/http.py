"""
Plain HTTP on the simulator's port, for the requests that don't open a WebSocket.

Bytes go in and bytes come out, by h11. One request a connection is enough here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import attrs
import msgspec

try:
    import h11
except ModuleNotFoundError as exc:
    if exc.name != "h11":  # h11 is there, something it needs isn't: not ours to explain
        raise
    msg = (
        "The simulator needs the h11 package: pip install 'eventbus[sim]', "
        "or pip install '.[sim]' in a clone."
    )
    raise ModuleNotFoundError(msg, name="h11") from exc

_MAX_BODY_BYTES: Final = 1024 * 1024


@attrs.frozen
class HttpRequest:
    """
    A request.

    Attributes:
        method: In capitals.
        target: Its path and query.
        headers: By name in lower case; of several with one name, the last.
        body: All of it.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = attrs.field(default=b"", repr=False)

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


@attrs.frozen
class HttpAnswer:
    """
    A response.

    Attributes:
        status: Its code.
        body: All of it.
        content_type: Of the body.
        headers: Further ones.
    """

    status: int
    body: bytes = attrs.field(repr=False)
    content_type: str = "application/json"
    headers: Mapping[str, str] = attrs.field(factory=dict)

    @classmethod
    def json(cls, value: Any, status: int = 200) -> HttpAnswer:
        """Return an answer with *value* in JSON as its body."""
        return cls(status, msgspec.json.encode(value))

    @classmethod
    def error(cls, status: int, code: str, message: str, param: str | None = None) -> HttpAnswer:
        """Return an answer that refuses, with a body as the service writes it."""
        kind = "server_error" if status >= 500 else "invalid_request_error"
        error = {"message": message, "type": kind, "param": param, "code": code}
        return cls.json({"error": error}, status)

    @property
    def reason(self) -> str:
        """The phrase of the status."""
        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return "Refused"

    def all_headers(self) -> dict[str, str]:
        """Return the headers, with those of the body and of the connection's end."""
        return {
            "Content-Type": self.content_type,
            "Content-Length": str(len(self.body)),
            "Connection": "close",
            **self.headers,
        }


class HttpExchange:
    """
    One request and its answer.

    Args:
        answer: Returns the answer to a request.
    """

    def __init__(self, answer: Callable[[HttpRequest], HttpAnswer]) -> None:
        self._answer = answer
        self._connection = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._body = b""
        self._length = 0

    def receive(self, data: bytes) -> tuple[bytes, bool]:
        """Return the bytes to send for *data*, and whether they are the last ones."""
        try:
            self._connection.receive_data(data)
            return self._proceed()
        except h11.RemoteProtocolError as exc:
            return self._send(HttpAnswer.error(exc.error_status_hint, "bad_request", str(exc)))

    def _proceed(self) -> tuple[bytes, bool]:
        while True:
            event = self._connection.next_event()
            if event is h11.NEED_DATA:
                if self._connection.they_are_waiting_for_100_continue:
                    told = h11.InformationalResponse(status_code=100, headers=[])
                    return self._connection.send(told) or b"", False
                return b"", False
            if isinstance(event, h11.Request):
                self._request = event
            elif isinstance(event, h11.Data):
                self._length += len(event.data)
                # Of a longer one, the answer waits until all was sent: nobody reads it before.
                if self._length <= _MAX_BODY_BYTES:
                    self._body += event.data
            elif self._length > _MAX_BODY_BYTES:
                msg = f"The body is longer than {_MAX_BODY_BYTES} bytes."
                return self._send(HttpAnswer.error(413, "request_too_large", msg))
            else:
                return self._send(self._answered())

    def _answered(self) -> HttpAnswer:
        assert self._request is not None
        headers = {name.decode("ascii"): _text(value) for name, value in self._request.headers}
        method = self._request.method.decode("ascii")
        target = self._request.target.decode("ascii")
        return self._answer(HttpRequest(method, target, headers, self._body))

    def _send(self, answer: HttpAnswer) -> tuple[bytes, bool]:
        if self._connection.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return b"", True
        response = h11.Response(
            status_code=answer.status,
            reason=answer.reason,
            headers=list(answer.all_headers().items()),
        )
        is_head = self._request is not None and self._request.method == b"HEAD"
        events = [response, *([] if is_head else [h11.Data(data=answer.body)]), h11.EndOfMessage()]
        return b"".join(self._connection.send(event) or b"" for event in events), True


def _text(value: bytes) -> str:
    return value.decode("ascii", errors="surrogateescape")
