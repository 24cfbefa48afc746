"""
The client of the probes: it performs each at the service, then at a simulator of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit, urlunsplit

import attrs
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from ...exceptions import RealtimeConnectionError
from ...wire.openai import dialect_of
from .._server.server import Simulator
from .comparison import Difference, compare
from .probes import PROBES, Await, Probe


class _WithoutRedirects(connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        """Take a redirect for a refusal: the key is for the given address."""
        return exc


_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_SCENARIO: Final = {
    "pace": {"first_output_ms": 20, "text_delta_ms": 1, "arguments_delta_ms": 1},
    "turns": [{"when": "Count aloud", "say": "One, two, three. " * 100}],
    "otherwise": "Hello there, hello.",
}


_BEGIN: Final = "session.created"
_REMEDY: Final = "Check the URL, the key and the model."


class _NoEvent(Exception):
    """A frame is no JSON object with a type."""


@attrs.frozen
class Checked:
    """
    A probe that was performed at both.

    Attributes:
        probe: Its name.
        differences: Where the service answers otherwise.
    """

    probe: str
    differences: list[Difference]


async def check(
    url: str,
    api_key: str | None,
    *,
    model: str = "gpt-realtime",
    probes: Iterable[Probe] = PROBES,
    timeout: float = 30,  # of each event that is awaited
) -> AsyncIterator[Checked]:
    """
    Perform *probes* at the service and at the simulator, and yield each with its differences.

    Args:
        url: The service's WebSocket, or the base URL of the SDK.
        api_key: The key, for the header that the service takes it in; None sends none.
        model: The model, if the URL names none.
        probes: What is asked.
        timeout: Of each event that is awaited, in seconds.

    Raises:
        RealtimeConnectionError: The service can't be reached, refuses the connection, or begins
            no session.
        ValueError: The URL isn't one, has a password, or its service doesn't speak GA.
    """
    address = _address(url, model)
    headers = _headers(url, api_key)
    async with Simulator(_SCENARIO) as simulator:
        here = f"{simulator.url.partition('?')[0]}?model={model}"
        is_begun = False
        for probe in probes:
            theirs, end = await _perform(address, headers, probe, timeout)
            if not is_begun and end and not any(e["type"] == _BEGIN for e in theirs):
                raise _no_session(address, end)
            is_begun = True
            ours, our_end = await _perform(here, {}, probe, timeout)
            found = compare(probe.name, theirs, ours)
            if end != our_end:
                text = f"the service {end or 'goes on'}, the simulator {our_end or 'goes on'}"
                found.insert(0, Difference(probe.name, text))
            yield Checked(probe.name, found)


def _no_session(url: str, end: str) -> RealtimeConnectionError:
    msg = f"There is no session at {_place(url)}: the service {end}. {_REMEDY}"
    return RealtimeConnectionError(msg, reason=end)


def _place(url: str) -> str:
    """Return the address without its query, which may have a key."""
    return urlsplit(url)._replace(query="").geturl()


def _address(url: str, model: str) -> str:
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        msg = "The URL has a name or password in it; leave them out: the key is OPENAI_API_KEY."
        raise ValueError(msg)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        msg = f"{url} is no URL of a service; it begins with wss:// or https://."
        raise ValueError(msg)
    dialect = dialect_of(url)
    if dialect is not None and (dialect.session != "nested" or dialect.is_beta):
        msg = f"{dialect.title} has settings of its own; the check speaks the GA protocol only."
        raise ValueError(msg)
    path = parts.path.rstrip("/")
    path = path if path.endswith("/realtime") else f"{path}/realtime"
    query = parts.query
    if not parse_qs(query).keys() & {"model", "deployment"}:
        query = "&".join(filter(None, (query, f"model={model}")))
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, path, query, ""))


def _headers(url: str, api_key: str | None) -> dict[str, str]:
    if api_key is None:
        return {}
    dialect = dialect_of(url)
    header = "Authorization" if dialect is None else dialect.auth_header
    return {header: f"Bearer {api_key}" if header == "Authorization" else api_key}


async def _perform(
    url: str, headers: dict[str, str], probe: Probe, timeout: float
) -> tuple[list[dict[str, Any]], str]:
    """Return the events of a probe and, if it came to no end, the reason in words."""
    frames: list[dict[str, Any]] = []
    try:
        socket = await _WithoutRedirects(
            url, additional_headers=headers, max_size=None, open_timeout=timeout
        )
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as exc:
        msg = f"There is no connection to {_place(url)}: {exc}. {_REMEDY}"
        raise RealtimeConnectionError(msg, reason=str(exc)) from exc
    async with socket:
        try:
            return frames, await _converse(socket, probe, frames, timeout)
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else None
            return frames, "cuts the connection" if code is None else f"closes it with code {code}"


async def _converse(
    socket: ClientConnection, probe: Probe, frames: list[dict[str, Any]], timeout: float
) -> str:
    """Perform the steps, and return why that came to no end; nothing if it did."""
    position = 0
    for step in (Await(_BEGIN), *probe.steps):
        if isinstance(step, Await):
            try:
                async with asyncio.timeout(timeout):
                    position = await _await(socket, step.type, frames, position)
            except TimeoutError:
                return f"sends no {step.type} within {timeout:g} s"
            except _NoEvent:
                return f"sends a frame that is no event, before {step.type}"
            if frames[position - 1]["type"] != step.type:
                error = frames[position - 1].get("error")
                code = error.get("code") if isinstance(error, dict) else None
                return f"sends an error with the code {code} before {step.type}"
        else:
            message = step.message(frames) if callable(step.message) else step.message
            await socket.send(msgspec.json.encode(message).decode())
    return ""


async def _await(
    socket: ClientConnection, type_: str, frames: list[dict[str, Any]], position: int
) -> int:
    """Wait for an event of this type, or for an error; return the position behind it."""
    while True:
        while position == len(frames):
            frames.append(_read(await socket.recv()))
        position += 1
        if frames[position - 1]["type"] in {type_, "error"}:
            return position


def _read(frame: str | bytes) -> dict[str, Any]:
    try:
        event = msgspec.json.decode(frame)
    except (ValueError, RecursionError):
        raise _NoEvent from None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise _NoEvent
    return event
