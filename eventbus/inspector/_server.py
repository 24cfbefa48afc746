"""
The inspector's web server: the page's requests, and the rules for answering them.

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
import math
import secrets
from collections.abc import AsyncIterator, Callable
from importlib import resources
from typing import Any, Final

from .._local_requests import RequestGuard
from .._origins import read_origins
from ..exceptions import ExportError, FilterError
from ._call import CallView
from ._compare import compare
from ._file import MAX_LINES, JournalView
from ._page import FILES, MODULES
from ._traffic import Traffic

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
    msg = (
        "The inspector needs the starlette package: pip install 'eventbus[inspect]', "
        "or pip install '.[inspect]' in a clone."
    )
    raise ModuleNotFoundError(msg, name="starlette") from exc

_COOKIE: Final = "eventbus-inspector"  # and the port: cookies don't know ports apart
_POLL_S: Final = 0.25
_STREAM: Final = "/api/stream"
_MAX_SOUND_MS: Final = 120_000
_STATIC: Final = resources.files(__name__.rpartition(".")[0]) / "static"
_PRELOAD: Final = ", ".join(f"<{name}>; rel=modulepreload" for name in MODULES)
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


class _Counted:
    """Counts requests, apart from those that go on as long as a page is open."""

    def __init__(self, app: ASGIApp, traffic: Traffic) -> None:
        self._app, self._traffic = app, traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == _STREAM:
            await self._app(scope, receive, send)
            return
        with self._traffic.request():
            await self._app(scope, receive, send)


def make_app(
    views: list[JournalView],
    *,
    token: str,
    address: tuple[str, int],
    is_live: bool,
    closing: asyncio.Event,
    traffic: Traffic,
) -> ASGIApp:
    """
    Return the application that serves the page and the data of *views*.

    Args:
        views: The journals; the list may grow.
        token: Every request has to know it.
        address: The host and port that the server listens at.
        is_live: Whether the journals may still be written.
        closing: Set when the server stops, so that streams end.
        traffic: Is told of each request, and again while a stream goes on.
    """
    api = _Api(views, is_live=is_live, closing=closing, traffic=traffic)
    routes = [
        Route("/", _static),
        Route("/api/calls", api.overview),
        Route("/api/diff", api.difference),
        Route("/api/calls/{call}", api.answer(_overview)),
        Route("/api/calls/{call}/window", api.answer(_window)),
        Route("/api/calls/{call}/lines", api.answer(_lines)),
        Route("/api/calls/{call}/place/{seq:int}", api.answer(_place)),
        Route("/api/calls/{call}/rows", api.answer(_rows)),
        Route("/api/calls/{call}/records/{seq:int}", api.answer(_detail)),
        Route("/api/calls/{call}/audio.wav", api.answer(_sound)),
        Route(_STREAM, api.stream),
        Route("/{name}", _static),
    ]
    host, port = address
    names = ("localhost", "127.0.0.1", "[::1]")
    origins = read_origins([f"http://{name}:{port}" for name in names])
    guard = RequestGuard(host, origins)
    return _Guarded(_Counted(Starlette(routes=routes), traffic), guard, token, port)


class _Api:
    """The data of the journals."""

    def __init__(
        self,
        views: list[JournalView],
        *,
        is_live: bool,
        closing: asyncio.Event,
        traffic: Traffic,
    ) -> None:
        self._views, self._is_live, self._closing = views, is_live, closing
        self._traffic = traffic

    def answer(self, make: Callable[[Request, JournalView, CallView], Response]) -> Handler:
        """Return the handler of requests about one call; *make* runs in a thread."""

        async def handler(request: Request) -> Response:
            self._traffic.note()
            found = self._find(request.path_params["call"])
            if found is None:
                return JSONResponse({"error": "There is no such call."}, 404)
            return await run_in_threadpool(answer, request, *found)

        def answer(request: Request, view: JournalView, call: CallView) -> Response:
            view.want(call)
            return make(request, view, call)

        return handler

    def _find(self, name: str) -> tuple[JournalView, CallView] | None:
        """Return the call of an id; None if there is no such call."""
        number, _, place = name.partition("-")
        if not (number.isdecimal() and place.isdecimal()):
            return None
        try:
            view = self._views[int(number)]
            return view, list(view.calls.values())[int(place)]
        except IndexError:
            return None

    async def difference(self, request: Request) -> Response:
        """Answer with the differences between two calls."""
        found = [self._find(request.query_params.get(side, "")) for side in ("left", "right")]
        left, right = found
        if left is None or right is None:
            return JSONResponse({"error": "left= and right= are two calls."}, 404)
        return JSONResponse(await run_in_threadpool(_compared, left, right))

    async def overview(self, _: Request) -> Response:
        """Answer with the list of calls."""
        self._traffic.note()
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
        """Yield messages whose id is the number of changes so far."""
        yield "retry: 1000\n\n"
        while not self._closing.is_set() and not await request.is_disconnected():
            self._traffic.note()
            total = sum(view.changes for view in list(self._views))
            if total != after:
                after = total
                data = json.dumps(await run_in_threadpool(self._calls))
                yield f"id: {after}\nevent: calls\ndata: {data}\n\n"
            await self._pause()
        yield "event: end\ndata: {}\n\n"

    async def _pause(self) -> None:
        """Wait a quarter of a second; less, if the journals have been read or the server stops."""
        is_read = self._traffic.is_read
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for((self._closing if is_read.is_set() else is_read).wait(), _POLL_S)


def _compared(
    left: tuple[JournalView, CallView], right: tuple[JournalView, CallView]
) -> dict[str, Any]:
    for view, call in (left, right):
        view.want(call)
    return compare(left, right)


def _overview(_: Request, view: JournalView, call: CallView) -> Response:
    return JSONResponse(view.overview(call))


def _window(request: Request, view: JournalView, call: CallView) -> Response:
    times = _times(request)
    if times is None:
        return JSONResponse({"error": "from= and to= are times in milliseconds."}, 400)
    return JSONResponse(view.window(call, *times))


def _place(request: Request, view: JournalView, call: CallView) -> Response:
    text = request.query_params.get("filter", "")
    try:
        return JSONResponse({"place": view.place(call, request.path_params["seq"], text)})
    except FilterError as exc:
        return JSONResponse({"error": str(exc), "position": exc.position}, 400)


def _lines(request: Request, view: JournalView, call: CallView) -> Response:
    asked = request.query_params
    try:
        start, count = int(asked.get("from", "0")), int(asked.get("count", "200"))
    except ValueError:
        return JSONResponse({"error": "from= and count= are numbers of lines."}, 400)
    try:
        return JSONResponse(
            view.lines(call, asked.get("filter", ""), start, min(max(count, 0), MAX_LINES))
        )
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
    times = _times(request)
    if times is None or times[1] - times[0] > _MAX_SOUND_MS:
        text = f"from= and to= are times in milliseconds, at most {_MAX_SOUND_MS} apart."
        return JSONResponse({"error": text}, 400)
    try:
        data = view.sound(call, *times)
    except ExportError as exc:
        return JSONResponse({"error": str(exc)}, 404)
    return _in_ranges(request, data, "audio/wav")


def _times(request: Request) -> tuple[float, float] | None:
    """Return the window of time that is asked for; None if it isn't one."""
    try:
        start, end = (float(request.query_params[name]) for name in ("from", "to"))
    except (KeyError, ValueError):
        return None
    return (max(0.0, start), end) if math.isfinite(start + end) and end > start else None


async def _static(request: Request) -> Response:
    name = request.path_params.get("name") or "index.html"
    if name not in FILES:
        return Response("There is no such page.", 404)
    # Else a browser would learn of each module from those that import it, one after the other.
    headers = {"link": _PRELOAD} if name == "index.html" else None
    media_type = _TYPES[name[name.rindex(".") :]]
    return Response((_STATIC / name).read_bytes(), headers=headers, media_type=media_type)


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
