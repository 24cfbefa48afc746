"""
The inspector's web server: what the page asks for, and who may ask.

Rules
-----

* It listens on 127.0.0.1 unless another address is asked for, and that needs a token.
* A request needs the token, in the URL's ``token`` or in the cookie that the first page set; a
  Host that isn't this server's is refused (DNS rebinding), and so is a request that a browser
  makes for another site's page (Sec-Fetch-Site). There is no CORS.
* A model's words are data: the page shows them as text, and its policy allows no script but its
  own files.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Callable
from importlib import resources
from typing import Any, Final

from .._local_requests import RequestGuard, read_origins
from ..exceptions import FilterError
from ._call import CallView
from ._file import JournalView
from ._page import FILES

try:
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route
    from starlette.types import ASGIApp, Receive, Scope, Send
except ModuleNotFoundError as exc:
    if exc.name != "starlette":
        raise
    msg = "The inspector needs the starlette package: pip install 'eventbus[inspect]'."
    raise ModuleNotFoundError(msg, name="starlette") from exc

_COOKIE: Final = "eventbus-inspector"  # and the port: cookies don't know ports apart
_POLL_S: Final = 0.25
_STATIC: Final = resources.files(__name__.rpartition(".")[0]) / "static"
_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

Handler = Callable[[Request], Any]


class _Guarded:
    """Lets through only requests that may be made; HTTP apart, nothing is served."""

    def __init__(self, app: ASGIApp, guard: RequestGuard, token: str, port: int) -> None:
        self._app, self._guard, self._token = app, guard, token
        self._cookie = f"{_COOKIE}-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        refusal = self._guard.refusal(list(request.headers.items()), (scope["server"] or ("",))[0])
        given = request.query_params.get("token") or request.cookies.get(self._cookie, "")
        if refusal is not None:
            response = Response(refusal.message, refusal.status)
        elif request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            response = Response("Only the inspector's own page may ask for this.", 403)
        elif not secrets.compare_digest(given.encode(), self._token.encode()):
            response = Response("Open the address that was printed: it has the token.", 403)
        else:
            await self._app(scope, receive, self._with_headers(send))
            return
        await response(scope, receive, self._with_headers(send))

    def _with_headers(self, send: Send) -> Send:
        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                cookie = f"{self._cookie}={self._token}; HttpOnly; SameSite=Strict; Path=/"
                more = {**_HEADERS, "set-cookie": cookie}
                if message["status"] == 403:  # whoever has no token gets none
                    del more["set-cookie"]
                extra = [(name.encode(), value.encode()) for name, value in more.items()]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        return with_headers


def make_app(
    views: list[JournalView],
    *,
    token: str,
    address: tuple[str, int],
    is_live: bool,
    closing: asyncio.Event,
) -> ASGIApp:
    """
    Return the application that serves the page and the data of *views*.

    Args:
        views: The journals; the list may grow.
        token: Every request has to know it.
        address: The host and port that the server listens at.
        is_live: Whether the journals may still be written.
        closing: Set when the server stops, so that streams end.
    """
    api = _Api(views, is_live=is_live, closing=closing)
    routes = [
        Route("/", _static),
        Route("/api/calls", api.overview),
        Route("/api/calls/{call}", api.answer(_document)),
        Route("/api/calls/{call}/lines", api.answer(_lines)),
        Route("/api/calls/{call}/rows", api.answer(_rows)),
        Route("/api/calls/{call}/records/{seq:int}", api.answer(_detail)),
        Route("/api/calls/{call}/audio.wav", api.answer(_sound)),
        Route("/api/stream", api.stream),
        Route("/{name}", _static),
    ]
    host, port = address
    names = ("localhost", "127.0.0.1", "[::1]")
    origins = read_origins([f"http://{name}:{port}" for name in names])
    return _Guarded(Starlette(routes=routes), RequestGuard(host, origins), token, port)


class _Api:
    """The data of the journals."""

    def __init__(self, views: list[JournalView], *, is_live: bool, closing: asyncio.Event) -> None:
        self._views, self._is_live, self._closing = views, is_live, closing

    def answer(self, make: Callable[[Request, JournalView, CallView], Response]) -> Handler:
        """Return the handler of requests about one call; *make* runs in a thread."""

        async def handler(request: Request) -> Response:
            number, _, place = request.path_params["call"].partition("-")
            try:
                view = self._views[int(number)]
                call = list(view.calls.values())[int(place)]
            except (ValueError, IndexError):
                return JSONResponse({"error": "There is no such call."}, 404)
            return await run_in_threadpool(make, request, view, call)

        return handler

    async def overview(self, _: Request) -> Response:
        """Answer with the list of calls."""
        calls = await run_in_threadpool(self._calls)
        return JSONResponse({"is_live": self._is_live, "calls": calls})

    async def stream(self, request: Request) -> Response:
        """Answer with a message for each change, at most four a second."""
        given = request.headers.get("last-event-id") or request.query_params.get("after", "0")
        after = int(given) if given.isdigit() else 0
        return StreamingResponse(self._changes(request, after), media_type="text/event-stream")

    def _calls(self) -> list[dict[str, Any]]:
        return [
            {"id": f"{number}-{place}", **view.summary(call)}
            for number, view in enumerate(self._views)
            for place, call in enumerate(list(view.calls.values()))
        ]

    async def _changes(self, request: Request, after: int) -> AsyncIterator[str]:
        """Yield messages whose id is the sum of the numbers of the latest records."""
        yield "retry: 1000\n\n"
        while not self._closing.is_set() and not await request.is_disconnected():
            total = sum(view.last_seq for view in self._views)
            if total != after:
                after = total
                data = json.dumps(await run_in_threadpool(self._calls))
                yield f"id: {after}\nevent: calls\ndata: {data}\n\n"
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _POLL_S)
        yield "event: end\ndata: {}\n\n"


def _document(_: Request, view: JournalView, call: CallView) -> Response:
    return JSONResponse(view.document(call))


def _lines(request: Request, view: JournalView, call: CallView) -> Response:
    try:
        return JSONResponse(view.lines(call, request.query_params.get("filter", "")))
    except FilterError as exc:
        return JSONResponse({"error": str(exc), "position": exc.position}, 400)


def _rows(request: Request, view: JournalView, call: CallView) -> Response:
    try:
        first, last = (int(request.query_params[name]) for name in ("from", "to"))
    except (KeyError, ValueError):
        return JSONResponse({"error": "from= and to= are numbers of records."}, 400)
    return JSONResponse(view.rows(call, first, last))


def _detail(request: Request, view: JournalView, call: CallView) -> Response:
    text = view.detail(call, request.path_params["seq"])
    if text is None:
        return JSONResponse({"error": "There is no such record in this call."}, 404)
    return Response(text, media_type="application/json")


def _sound(request: Request, view: JournalView, call: CallView) -> Response:
    if not view.has_sound(call):
        return JSONResponse({"error": "No audio was recorded."}, 404)
    return _in_ranges(request, view.sound(call), "audio/wav")


async def _static(request: Request) -> Response:
    name = request.path_params.get("name") or "index.html"
    if name not in FILES:
        return Response("There is no such page.", 404)
    return Response((_STATIC / name).read_bytes(), media_type=_TYPES[name[name.rindex(".") :]])


def _in_ranges(request: Request, data: bytes, media_type: str) -> Response:
    """Return *data*, or the one range of it that was asked for (RFC 9110, 14)."""
    headers = {"accept-ranges": "bytes"}
    unit, _, asked = request.headers.get("range", "").partition("=")
    first, _, last = asked.partition("-")
    if unit != "bytes" or not (first.isdigit() and (last.isdigit() or not last)):
        return Response(data, media_type=media_type, headers=headers)
    start, end = int(first), min(int(last or len(data)), len(data) - 1)
    if start > end:
        return Response(status_code=416, headers={"content-range": f"bytes */{len(data)}"})
    headers["content-range"] = f"bytes {start}-{end}/{len(data)}"
    return Response(data[start : end + 1], 206, headers, media_type)
