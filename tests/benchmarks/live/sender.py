"""
The process that plays the service: sends every session its frames, on schedule.

It must cost little, or it would itself be measured: the handshake is that of websockets,
then frames are written as they are and all that comes back is skipped, unread. The frames of the
sessions are spread evenly over time; as timers are that exact, those of one millisecond leave
together.

::

    python -m live.sender     its port comes first, as a line on standard output
    {"sessions": 200, "rate": 50, "seconds": 1.0}      on standard input: send, when all are open
    {"sent": 10000, "late_us": 1200}                   on standard output: done

It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import random
import struct
import sys
from time import perf_counter_ns
from typing import Any

from websockets.http11 import Request
from websockets.server import ServerProtocol

from .stamped import FRAME_BYTES, Writer

__all__: list[str] = []

_CLOSE = 8
_SHORT, _MEDIUM = 125, 126  # what an 8-bit length says, and that 16 bits come instead


def _message_header(length: int) -> bytes:
    """Return the header of a whole text message from a server (RFC 6455, 5.2)."""
    if length <= _SHORT:
        return struct.pack("!BB", 0x81, length)
    return struct.pack("!BBH", 0x81, _MEDIUM, length)


_AUDIO_HEADER = _message_header(FRAME_BYTES)


class _Session(asyncio.Protocol):
    """One connection, from the server's side."""

    def __init__(self, sessions: list[_Session]) -> None:
        self._sessions = sessions  # all that are open
        self._handshake: ServerProtocol | None = ServerProtocol()
        self._writer: Writer
        self._transport: asyncio.Transport
        self._rest = b""  # the beginning of a frame's header
        self._to_skip = 0  # bytes of a frame that are still to come

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._sessions:
            self._sessions.remove(self)

    def data_received(self, data: bytes) -> None:
        if self._handshake is None:
            self._skip(data)
            return
        self._handshake.receive_data(data)
        for request in self._handshake.events_received():
            assert isinstance(request, Request)
            self._handshake.send_response(self._handshake.accept(request))
            for part in self._handshake.data_to_send():
                self._transport.write(part)
            self._handshake = None
            self._sessions.append(self)

    def _skip(self, data: bytes) -> None:
        data = self._rest + data
        at = self._to_skip
        self._rest = b""
        while at < len(data):
            length = data[at + 1] & 0x7F if at + 1 < len(data) else 0
            extended = 0 if length <= _SHORT else 2 if length == _MEDIUM else 8
            begin = at + 2 + extended + 4  # the mask
            if begin > len(data):
                self._rest, at = data[at:], len(data)
                break
            if extended:
                length = int.from_bytes(data[at + 2 : at + 2 + extended])
            if data[at] & 0x0F == _CLOSE:
                self._transport.write(b"\x88\x02\x03\xe8")  # 1000
                self._transport.close()
                return
            at = begin + length
        self._to_skip = at - len(data)

    def begin(self, number: int) -> None:
        """Become the session with this *number*, which answers."""
        self._writer = Writer(number)
        for frame in self._writer.opening():
            self._transport.write(_message_header(len(frame)) + frame)

    def send(self, number: int) -> None:
        """Send the frame with this *number*."""
        self._transport.write(_AUDIO_HEADER + self._writer.frame(number, perf_counter_ns()))


async def _send(sessions: list[_Session], rate: float, seconds: float) -> dict[str, Any]:
    """Send each session so many frames a second."""
    in_order = random.Random(20).sample(sessions, len(sessions))
    total = round(rate * seconds) * len(sessions)
    gap = 1 / rate / len(sessions)
    clock = asyncio.get_running_loop().time
    begin, sent, late = clock() + 0.02, 0, []
    while sent < total:
        await asyncio.sleep(begin + sent * gap - clock())
        ahead = clock() - begin
        late.append(ahead - sent * gap)
        for index in range(sent, min(total, int(ahead / gap) + 1)):
            in_order[index % len(sessions)].send(index // len(sessions))
            sent = index + 1
    late.sort()
    return {"sent": sent, "late_us": late[int(len(late) * 0.99)] * 1e6}


async def _obey(sessions: list[_Session], lines: asyncio.StreamReader) -> None:
    async for line in lines:
        order = json.loads(line)
        # A client is done a little before the server, with opening and with closing.
        while len(sessions) != order["sessions"]:  # noqa: ASYNC110  # nothing else is to be done
            await asyncio.sleep(0.001)
        for number, session in enumerate(sessions):
            session.begin(number)
        done = await _send(list(sessions), order["rate"], order["seconds"])
        print(json.dumps(done), flush=True)  # noqa: T201  # to the process that has started this


async def _main() -> None:
    sessions: list[_Session] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Session(sessions), "127.0.0.1", 0, backlog=4_096)
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201  # as above
    await _obey(sessions, lines)


if __name__ == "__main__":
    asyncio.run(_main())
