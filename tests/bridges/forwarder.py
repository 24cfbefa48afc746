"""
A TCP forwarder that can stop: a network cable that somebody steps on.
It can also keep back all that the client sends from a certain word on.
"""

from __future__ import annotations

import asyncio


class TcpForwarder:
    """
    Forwards connections to a port of this machine; while paused, no byte moves either way.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._tasks: set[asyncio.Task] = set()
        self._word: bytes | None = None
        self._kept = asyncio.Event()
        self._let_go = asyncio.Event()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._own_port}"

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._own_port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def pause(self) -> None:
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def keep_from(self, word: bytes) -> None:
        """
        Keep back what the client sends, from the next *word* on.
        """
        self._word = word

    async def wait_kept(self) -> None:
        """
        Wait until something is kept back.
        """
        await self._kept.wait()

    def let_go(self) -> None:
        """
        Send what was kept back.
        """
        self._let_go.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._port)
            tasks = [
                asyncio.create_task(self._copy(reader, back, is_client=True)),
                asyncio.create_task(self._copy(there, writer)),
            ]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                back.close()
        except OSError:
            pass
        finally:
            writer.close()
            self._tasks.discard(asyncio.current_task())

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_client: bool = False
    ) -> None:
        while data := await reader.read(65536):
            await self._flowing.wait()
            place = data.find(self._word) if is_client and self._word is not None else -1
            if place >= 0:
                writer.write(data[:place])
                self._word, data = None, data[place:]
                self._kept.set()
                await self._let_go.wait()
            writer.write(data)
            await writer.drain()
