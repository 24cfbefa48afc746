"""
A service for 200 sessions: sends each as many frames as it asks for, at the rhythm it asks for.

Without a rhythm it sends as fast as they are taken; with one, sessions don't send at the same
moment. It takes messages of a live session, too, and answers none of them. In a process of its
own, so that its cost isn't counted.
"""

# ruff: noqa: T201 (printing is how it tells its port)

from __future__ import annotations

import asyncio
import json
import sys
from itertools import count, cycle, islice
from pathlib import Path

from websockets.asyncio.server import ServerConnection, serve


async def main(frames: list[str]) -> None:
    """Serve *frames*, again and again, until the process is killed."""
    numbers, loop = count(), asyncio.get_running_loop()

    async def send(connection: ServerConnection) -> None:
        offset = next(numbers) * 0.618 % 1
        async for message in connection:
            wish = json.loads(message)
            every_s = wish.get("every_s", 0)
            due = loop.time() + offset * every_s
            for frame in islice(cycle(frames), wish.get("frames", 0)):
                if every_s:
                    await asyncio.sleep(due - loop.time())
                    due += every_s
                await connection.send(frame)

    async with serve(send, "127.0.0.1", 0, compression=None, max_queue=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]).read_text("utf-8").splitlines()))
