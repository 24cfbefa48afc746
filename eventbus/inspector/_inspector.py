"""
The inspector in somebody's program: a server in a thread of its own, beside a bus or for files.

A bus is inspected through a temporary journal: a `Recorder` writes it, the server's thread reads
it, while a page is open. So the bus pays for recording and nothing else, a blocked loop stops no
page, and a page that is slow can ask again for everything.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import secrets
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio.to_thread

from ..bus import EventBus, check_bus
from ..exceptions import InspectorError, JournalError
from ..journal import Recorder
from ..journal._recorder import SendingModel
from ._file import JournalView
from ._heartbeat import Heartbeat
from ._server import make_app
from ._traffic import Traffic

try:
    import uvicorn
except ModuleNotFoundError as exc:
    if exc.name != "uvicorn":
        raise
    msg = (
        "The inspector needs the uvicorn package: pip install 'eventbus[inspect]', "
        "or pip install '.[inspect]' in a clone."
    )
    raise ModuleNotFoundError(msg, name="uvicorn") from exc

if TYPE_CHECKING:
    from starlette.types import ASGIApp

logger = logging.getLogger(__name__)

_MAX_PORT = 65_535
_UPDATE_S = 0.1
_SLICE_S = 0.05
_LONG_SLICE_S = 0.2  # where a request ends it
_ATTENTION_S = 5.0
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Inspector:
    """
    Shows calls in a browser, live or recorded.

    ::

        with Inspector(bus) as inspector:
            print(inspector.url)
            ...

    Args:
        bus: The bus to look at; None to look at *paths* only.
        paths: Journals to show, also ones that are being written.
        host: The address to listen at.
        port: The port; 0 for any that is free.
        token: The word that a browser must know; by default a random one. Another address than
            this machine's needs one that you give.

    Raises:
        InspectorError: The port is in use, or *host* is open to others and there is no *token*.
        OSError, JournalError: A journal can't be read.
        TypeError: *bus* is not a bus, or *paths* not a list of paths.
        ValueError: *port* isn't a number from 0 to 65535.
    """

    def __init__(
        self,
        bus: EventBus | None = None,
        *,
        paths: Iterable[Path | str] = (),
        host: str = "127.0.0.1",
        port: int = 7420,
        token: str | None = None,
    ) -> None:
        if bus is not None:
            check_bus(bus, "An inspector shows")
        if isinstance(paths, (str, bytes, os.PathLike)) or not isinstance(paths, Iterable):
            msg = f"paths= is a list of journals, like ['call.journal']; not {paths!r}."
            raise TypeError(msg)
        if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= _MAX_PORT:
            msg = f"port= is a number from 0 to {_MAX_PORT}, not {port!r}."
            raise ValueError(msg)
        for name, text in (("host", host), ("token", "" if token is None else token)):
            if not isinstance(text, str):
                msg = f"{name}= is a text, not {type(text).__qualname__}."
                raise TypeError(msg)
        if token is None and host not in _LOOPBACK:
            msg = (
                f"The inspector shows voices and words, and {host} is open to other machines: "
                f"give a token, or listen at 127.0.0.1."
            )
            raise InspectorError(msg)
        self._bus, self._host, self._port = bus, host, port
        self._token = token or secrets.token_urlsafe(16)
        self._paths = [Path(path) for path in paths]
        self._views: list[JournalView] = []
        self._stack = contextlib.ExitStack()
        self._recorder: Recorder | None = None
        self._heartbeat: Heartbeat | None = None
        self.url = ""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            for path in self._paths:
                view = JournalView(path)
                view.open()
                self._views.append(view)
            if self._bus is not None:
                self._record(self._bus, stack)
            listening = stack.enter_context(self._listen())
            stack.enter_context(_Serving(self, listening))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._recorder = None
        self._stack.close()

    def listen(self, model: SendingModel, sender: Any = None) -> None:
        """
        Show the caller's side as well: the messages that are sent through *model* from now on.

        Args:
            model: The model of a live session.
            sender: The session that the messages belong to, as its events have it.

        Raises:
            InspectorError: No bus is inspected, or the inspector isn't entered.
        """
        if self._recorder is None:
            msg = "listen() shows one side of a live call; enter an inspector of its bus first."
            raise InspectorError(msg)
        self._recorder.listen(model, sender)

    def sent(self, message: Mapping[str, Any] | str | bytes, sender: Any = None) -> None:
        """
        Show a message to the service, of which no model tells; from any thread.

        Args:
            message: The message, in the service's own words.
            sender: The session that it belongs to, as its events have it.

        Raises:
            InspectorError: No bus is inspected, or the inspector isn't entered.
        """
        if self._recorder is None:
            msg = "sent() shows one side of a live call; enter an inspector of its bus first."
            raise InspectorError(msg)
        self._recorder.sent(message, sender)

    def _record(self, bus: EventBus, stack: contextlib.ExitStack) -> None:
        folder = Path(tempfile.mkdtemp(prefix="eventbus-inspector-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        path = folder / "live.journal"
        self._recorder = stack.enter_context(Recorder(path, fsync="none"))
        self._recorder.attach(bus)
        view = JournalView(path, "this process", is_live=True)
        self._views.append(view)
        self._heartbeat = Heartbeat(bus, view)

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((self._host, self._port))
            listening.listen(64)
        except OSError as exc:
            listening.close()
            msg = f"The inspector can't listen at {self._host}:{self._port}: {exc.strerror}; "
            if isinstance(exc, socket.gaierror) or exc.errno == errno.EADDRNOTAVAIL:
                msg += f"{self._host} is no address of this machine: give another host."
            else:
                msg += "give another port, or 0 for any that is free."
            raise InspectorError(msg) from exc
        self._port = listening.getsockname()[1]
        name = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"http://{name}:{self._port}/?token={self._token}"
        return listening

    def app(self, closing: asyncio.Event, traffic: Traffic) -> ASGIApp:
        """Return the application, which ends its streams when *closing* is set."""
        return make_app(
            self._views,
            token=self._token,
            address=(self._host, self._port),
            is_live=self._bus is not None,
            closing=closing,
            traffic=traffic,
        )

    @property
    def is_read(self) -> bool:
        """Whether the journals have been read as far as they were when they were opened."""
        return all(view.progress >= 1 for view in self._views)

    def update(self, traffic: Traffic, *, is_polite: bool) -> bool:
        """
        Take the next records, for a moment; return whether to go on at once.

        Args:
            traffic: The requests of pages.
            is_polite: Whether to stop for the next one.

        A bus that nobody looks at is only recorded: the page that comes reads what was missed. One
        that runs gets most of the time, since two threads share one interpreter.
        """
        if self._heartbeat is not None:
            self._heartbeat.beat()
        if self._bus is not None and time.monotonic() - traffic.asked_at > _ATTENTION_S:
            return False
        slice_s = _LONG_SLICE_S if is_polite and self._bus is None else _SLICE_S
        for view in self._views:
            try:
                view.update(slice_s, traffic if is_polite else None)
            except (OSError, JournalError) as exc:
                logger.debug("a journal can't be read at present", exc_info=exc)
        return any(view.is_behind for view in self._views)


class _Serving:
    """The thread of the server, while it is entered."""

    def __init__(self, inspector: Inspector, listening: socket.socket) -> None:
        self._inspector, self._listening = inspector, listening
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._stop: Any = None
        self._thread = threading.Thread(target=self._run, name="eventbus-inspector", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            msg = f"The inspector can't start: {self._failure}."
            raise InspectorError(msg) from self._failure

    def __exit__(self, *exc: object) -> None:
        self._stop()
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as exc:  # noqa: BLE001  # told where it was started
            self._failure = exc
            self._ready.set()

    async def _serve(self) -> None:
        closing = asyncio.Event()
        loop = asyncio.get_running_loop()
        traffic = Traffic()
        config = uvicorn.Config(
            self._inspector.app(closing, traffic),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=5,
        )
        # What the first requests would import, beside a journal that is being read.
        config.load()
        await anyio.to_thread.run_sync(list)
        server = uvicorn.Server(config)
        # Signals are the program's, and can only be caught in its main thread.
        vars(server)["capture_signals"] = contextlib.nullcontext

        def stop() -> None:
            closing.set()
            traffic.is_read.set()  # wakes the streams
            server.should_exit = True

        self._stop = lambda: loop.call_soon_threadsafe(stop)
        updating = loop.create_task(self._update(closing, traffic))
        self._ready.set()
        await server.serve(sockets=[self._listening])
        await updating

    async def _update(self, closing: asyncio.Event, traffic: Traffic) -> None:
        update = self._inspector.update
        while not closing.is_set():
            is_polite = await traffic.wait_idle()
            has_more = await asyncio.to_thread(update, traffic, is_polite=is_polite)
            if self._inspector.is_read:
                traffic.is_read.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(closing.wait(), 0.0 if has_more else _UPDATE_S)
