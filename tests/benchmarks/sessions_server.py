"""
A service for 200 sessions: sends each as many frames as it asks for, as fast as they are taken.

It takes messages of a live session, too, and answers none of them. In a process of its own, so
that what it costs isn't counted.
"""

# ruff: noqa: T201 (printing is how it tells its port)

from __future__ import annotations

import asyncio
import json
import sys
from itertools import cycle, islice
from pathlib import Path

from websockets.asyncio.server import ServerConnection, serve


async def main(frames: list[str]) -> None:
    """Serve *frames*, again and again, until the process is killed."""

    async def send(connection: ServerConnection) -> None:
        async for message in connection:
            wanted = json.loads(message).get("frames", 0)
            for frame in islice(cycle(frames), wanted):
                await connection.send(frame)

    async with serve(send, "127.0.0.1", 0, compression=None, max_queue=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]).read_text("utf-8").splitlines()))
