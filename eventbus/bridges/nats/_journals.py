"""
Forwarding a journal: its events into the stream, from the last one on that the stream has.

Rules
-----

* The journal's id is the origin of the events, and the number of a record that of its event. So an
  event has the same id in each run, and is stored and handled once.
* How far the stream has a journal is kept in the bridge's bucket, a few times a second. Another
  run begins there; later events are recognised, by the server or by the receivers.
* The journal is read in a thread of its own, and no faster than the server stores.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

import msgspec

from ...events import EVENT_TYPES, RealtimeModelOtherEvent
from ...exceptions import BridgeError, CodecError, EventBusError, JournalError
from ...journal import EventRecord, open_journal
from ._client import reason
from ._forwarding import Envelope, Selection
from ._stream import get_last
from ._subjects import token

if TYPE_CHECKING:
    from ._client import Connection
    from ._outbox import ForwardStats, Message, Outbox
    from ._subjects import Subjects

logger = logging.getLogger(__name__)

_CHUNK: Final = 256
_NOTE_PERIOD: Final = 0.5


class JournalForwarding:
    """
    A journal that is being forwarded; `NatsBridge.forward_journal` makes it.

    It ends with the journal, with `stop`, or with the bridge.

    Attributes:
        path: The journal.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        follow: bool,
        selection: Selection,
        connection: Connection,
        subjects: Subjects,
        outbox: Outbox,
    ) -> None:
        self._journal = open_journal(path, on_damage=self._damaged)
        self.path = self._journal.path
        self._follow = follow
        self._selection = selection
        self._connection = connection
        self._stream = f"KV_{subjects.bucket}"
        self._outbox = outbox
        self._origin = f"journal-{self._journal.header.journal_id}"
        self._envelope = Envelope(subjects, self._origin)
        self._key = subjects.key("journals", token(self._journal.header.journal_id))
        self._pending: OrderedDict[int, None] = OrderedDict()
        self._top = 0
        self._noted = 0
        self._is_over = asyncio.Event()
        self._error: Exception | None = None
        self._stop_reading = threading.Event()
        self._loop = asyncio.get_running_loop()

    # --- for users ------------------------------------------------------------------------

    @property
    def stats(self) -> ForwardStats:
        """Counts of this forwarding, as they are now."""
        return self._outbox.stats

    async def wait_done(self) -> None:
        """
        Wait until the stream has the whole journal.

        That is up to its end record, or as far as it is written if it isn't followed.

        Raises:
            JournalError: The journal can't be read any more.
        """
        await self._is_over.wait()
        if self._error is not None:
            raise self._error

    async def flush(self, timeout: float | None = None) -> None:
        """
        Wait until the stream has all events that were read so far.

        Args:
            timeout: Seconds to wait; None is as long as it takes.

        Raises:
            TimeoutError: It took longer.
        """
        await asyncio.wait_for(self._outbox.wait_flushed(), timeout)

    def stop(self) -> None:
        """Read nothing more; again is fine."""
        self._stop_reading.set()

    # --- running --------------------------------------------------------------------------

    async def run(self) -> None:
        """Forward until it is cancelled, or done."""
        try:
            start = await self._last_stored() + 1
            noting = asyncio.create_task(self._keep_noting())
            try:
                await self._read(start)
                await self._outbox.wait_flushed()
            finally:
                noting.cancel()
                self.stop()
            await self._note()
        except (JournalError, OSError) as exc:
            self._error = exc
            logger.exception("a journal can't be forwarded", extra={"path": str(self.path)})
        finally:
            self._is_over.set()

    async def _read(self, start: int) -> None:
        """Take the records from number *start* on, in a thread."""
        done: asyncio.Future[None] = self._loop.create_future()

        def finish(error: BaseException | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        def work() -> None:
            error: BaseException | None = None
            try:
                asyncio.run(self._pump(start))
            except BaseException as exc:  # noqa: BLE001  # raised where it is awaited
                error = exc
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(finish, error)

        threading.Thread(target=work, name=f"forward {self.path.name}", daemon=True).start()
        try:
            await done
        finally:
            self.stop()

    async def _pump(self, start: int) -> None:
        """Read records, and hand them to the event loop of the bridge; in the thread."""
        journal = self._journal.seek(seq=start)
        if self._follow and not journal.is_closed:
            await self._pump_new(journal.follow_async(EventRecord))
            return
        chunk: list[EventRecord] = []
        for record in journal.read(EventRecord):
            chunk.append(record)
            if len(chunk) >= _CHUNK and not await self._hand_over(chunk):
                return
        await self._hand_over(chunk)

    async def _pump_new(self, records: AsyncIterator[EventRecord]) -> None:
        """Hand over the records that are there together, and then wait for more."""
        chunk: list[EventRecord] = []
        waiting = asyncio.ensure_future(_next(records))
        try:
            while not self._stop_reading.is_set():
                await asyncio.wait([waiting], timeout=0.05 if chunk else 0.2)
                if waiting.done():
                    record = waiting.result()
                    if record is None:
                        await self._hand_over(chunk)
                        return
                    chunk.append(record)
                    waiting = asyncio.ensure_future(_next(records))
                    if len(chunk) < _CHUNK:
                        continue
                if chunk and not await self._hand_over(chunk):
                    return
        finally:
            waiting.cancel()

    async def _hand_over(self, chunk: list[EventRecord]) -> bool:
        """Have the bridge take records, and wait until it has room; False if it has ended."""
        if self._stop_reading.is_set() or self._loop.is_closed():
            return False
        records = list(chunk)
        chunk.clear()
        future = asyncio.run_coroutine_threadsafe(self._take_all(records), self._loop)
        waiting = asyncio.wrap_future(future)
        while not waiting.done():
            await asyncio.wait([waiting], timeout=0.5)
            if self._stop_reading.is_set() or self._loop.is_closed():
                future.cancel()
                return False
        waiting.result()
        return True

    async def _take_all(self, records: list[EventRecord]) -> None:
        for record in records:
            self._take(record)
        await self._outbox.wait_room()

    def _take(self, record: EventRecord) -> None:
        self._top = max(self._top, record.seq)
        event_type = EVENT_TYPES.get(record.type_name or "", RealtimeModelOtherEvent)
        if record.is_repeat or not self._selection.has(event_type):
            return
        call = None if record.sender is None else str(record.sender)
        number = record.seq
        try:
            message = self._envelope.message(
                record.event,
                call,
                number,
                time_ns=record.wall_ns,
                cause=f"{self._origin}:{record.cause}" if record.cause else "",
                on_stored=lambda: self._pending.pop(number, None),
            )
        except (CodecError, EventBusError) as exc:
            self._outbox.refused += 1
            logger.debug("an event was not recorded", extra={"seq": number, "error": str(exc)})
            return
        self._pending[number] = None
        self._outbox.put(message)

    def refused(self, message: Message, error: BridgeError) -> None:
        """Log that the server will never store an event."""
        logger.error(
            "an event of a journal can't be forwarded",
            extra={"subject": message.subject, "error": str(error)},
        )

    def _damaged(self, damage: JournalError) -> None:
        logger.error("a journal is damaged", extra={"error": str(damage)})

    # --- how far it is --------------------------------------------------------------------

    async def _last_stored(self) -> int:
        while True:
            try:
                found = await get_last(self._connection, self._stream, self._key)
            except BridgeError as exc:
                logger.debug("a journal waits for the server", extra={"error": reason(exc)})
                await asyncio.sleep(_NOTE_PERIOD)
            else:
                self._noted = 0 if found is None else int(msgspec.msgpack.decode(found[1]))
                return self._noted

    async def _note(self) -> None:
        number = next(iter(self._pending)) - 1 if self._pending else self._top
        if number <= self._noted:
            return
        try:
            await self._connection.put(self._key, msgspec.msgpack.encode(number))
        except BridgeError as exc:
            logger.debug("a journal's place can't be noted", extra={"error": reason(exc)})
        else:
            self._noted = number

    async def _keep_noting(self) -> None:
        while True:
            await asyncio.sleep(_NOTE_PERIOD)
            await self._note()


async def _next(records: AsyncIterator[EventRecord]) -> EventRecord | None:
    """Return the next record; None if there is no other."""
    return await anext(records, None)
