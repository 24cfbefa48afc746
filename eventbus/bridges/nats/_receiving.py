"""
Receiving: the events of a stream on a bus, each call in order.

Rules
-----

* An event is published with its call's id as sender, and is done with when all its handlers have
  finished. The next event of the call comes after that; other calls go on meanwhile.
* A member of a group notes how far it has handled each of its partitions, a few times a second. A
  member that takes a partition over begins there, so an event may come again after a failure, and
  none is left out.
* A message that was stored twice is dropped, known by its origin, call and sequence. So is one that
  the checkpoint has as done.
* A member whose lease has run out begins to handle nothing more.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs

from ...context import DELIVERY, Delivery
from ...events import RealtimeModelExceptionEvent
from ...exceptions import (
    BridgeError,
    BusClosed,
    BusNotRunning,
    EventsLost,
    OptionError,
    UnreadableMessage,
)
from .._failures import Retry
from ._calls import CallWorkers
from ._forwarding import publish_report
from ._leases import Checkpoint, Group
from ._messages import CALL, CAUSE, ID
from ._reading import NEW, StreamReader
from ._subjects import header_text, token

if TYPE_CHECKING:
    from ...bus import EventBus
    from ._client import Connection
    from ._messages import Received
    from ._subjects import Subjects

logger = logging.getLogger(__name__)

Start: TypeAlias = Literal["new", "first"] | datetime | int
"""
The place in the stream where receiving begins.

``new``: after the events that are there; ``first``: with the oldest; or with those forwarded from a
time on, or with a number of the stream.
"""

_MAX_SEQUENCES: Final = 10_000
_CHECK: Final = 0.2
_PUT_TIMEOUT: Final = 5.0


def check_start(start: Any) -> Start:
    """
    Return *start*, if it is a place in a stream.

    Raises:
        OptionError: It isn't.
    """
    if start == "new":
        return "new"
    if start == "first":
        return "first"
    if isinstance(start, datetime) and start.tzinfo is not None:
        return start
    if isinstance(start, int) and not isinstance(start, bool) and start > 0:
        return start
    msg = (
        f"start= is 'new', 'first', a datetime with a time zone, or a number of the stream from 1 "
        f"on, not {start!r}."
    )
    raise OptionError(msg, option="start")


def start_policy(start: Start) -> dict[str, Any]:
    """Return *start* as JetStream has it."""
    match start:
        case "first":
            return {"deliver_policy": "all"}
        case datetime():
            return {"deliver_policy": "by_start_time", "opt_start_time": start.isoformat()}
        case int():
            return {"deliver_policy": "by_start_sequence", "opt_start_seq": start}
        case _:
            return dict(NEW)


@attrs.frozen
class ReceiveStats:
    """
    Counts of a receiving.

    Attributes:
        received: Messages that came.
        handled: Events whose handlers have finished.
        duplicates: Messages that were dropped because the event had been handled.
        failed: Attempts in which a handler failed.
        retried: Attempts after the first one.
        skipped: Events that were given up after a failure.
        parked: Of these, events that are among the dead letters now.
        unreadable: Messages that aren't events.
        lost: Events that the forwarding process had to drop, as it says.
        pending: Messages that came and aren't handled yet.
        lag: Messages of the stream that didn't come yet.
        partitions: The partitions that this member owns; empty without a group.
        members: The members of the group that are alive; empty without a group.
    """

    received: int
    handled: int
    duplicates: int
    failed: int
    retried: int
    skipped: int
    parked: int
    unreadable: int
    lost: int
    pending: int
    lag: int
    partitions: tuple[int, ...]
    members: tuple[str, ...]


class _Source:
    """
    A part of the stream that is read, and how far it is handled.

    Attributes:
        partition: Its partition; None without a group.
        top: The number of the last message that was taken.
        pending: The messages that came and aren't handled: number -> the call's token.
        done: Calls that are further than the first of these.
        sequences: The last number of each call that came lately, by origin and call.
        is_lost: Whether nothing of it may be handled any more.
        may_repeat: How many of the next messages another member may have handled.
        is_finished: Set when nothing is pending, once it is being released.
    """

    __slots__ = (
        "checkpoint",
        "done",
        "is_finished",
        "is_lost",
        "is_stopping",
        "may_repeat",
        "partition",
        "pending",
        "reader",
        "sequences",
        "top",
        "was_asked",
    )

    def __init__(self, partition: int | None, checkpoint: Checkpoint | None) -> None:
        self.partition = partition
        self.top = 0 if checkpoint is None else checkpoint.sequence
        self.done: dict[str, int] = {} if checkpoint is None else dict(checkpoint.done)
        self.checkpoint = checkpoint
        self.pending: OrderedDict[int, str] = OrderedDict()
        self.sequences: OrderedDict[tuple[str, str | None], int] = OrderedDict()
        self.reader: StreamReader | None = None
        self.is_lost = False
        self.is_stopping = False
        self.may_repeat = 0
        self.was_asked = False
        self.is_finished = asyncio.Event()

    def note_checkpoint(self) -> Checkpoint | None:
        """Return how far it is handled; None as long as nothing is known of it."""
        low = next(iter(self.pending)) - 1 if self.pending else self.top
        if not low:
            return self.checkpoint
        self.done = {call: last for call, last in self.done.items() if last > low}
        self.checkpoint = Checkpoint(low, dict(self.done))
        return self.checkpoint

    def finish(self, number: int) -> None:
        """Note that a message is done with."""
        call = self.pending.pop(number, None)
        if call is not None:
            self.done[call] = number
        if not self.pending and self.is_stopping:
            self.is_finished.set()


class Receiving:
    """
    Events that are being received; `NatsBridge.receive` makes it.

    It ends with `drain` or with the bridge.
    """

    def __init__(
        self,
        bus: EventBus,
        *,
        connection: Connection,
        subjects: Subjects,
        group: str | None,
        member: str,
        start: Start,
        call: str | None,
        on_failure: Retry,
        concurrency: int,
        buffered: int,
        lease_time: float,
        drain_timeout: float,
        open_dead_letters: Callable[[], Any],
    ) -> None:
        self._bus = bus
        self._connection = connection
        self._subjects = subjects
        self._group_name = group
        self._on_failure = on_failure
        self._buffered = buffered
        self._drain_timeout = drain_timeout
        self._open_dead_letters = open_dead_letters
        self._workers: CallWorkers[tuple[Received, _Source, bool]] = CallWorkers(
            self._handle, concurrency
        )
        self._sources: dict[int | None, _Source] = {}
        self._stopping: set[asyncio.Task[None]] = set()
        self._is_draining = False
        self._has_dead_letters = False
        self._ready = asyncio.Event()
        self._start = start_policy(start)
        self.counts = dict.fromkeys(
            (
                "received",
                "handled",
                "duplicates",
                "failed",
                "retried",
                "skipped",
                "parked",
                "unreadable",
                "lost",
            ),
            0,
        )
        self._group: Group | None = None
        if group is not None:
            self._group = Group(
                connection,
                subjects,
                group,
                member=member,
                lease_time=lease_time,
                start=self._start,
                on_acquired=self._acquired,
                on_lost=self._lost,
                release=self._finish,
                checkpoint=self._checkpoint,
            )
        else:
            subject = subjects.events if call is None else f"{subjects.of_call(call)}.*"
            self._add(None, subject, self._start, None)

    # --- for users ------------------------------------------------------------------------

    @property
    def stats(self) -> ReceiveStats:
        """Counts of this receiving, as they are now."""
        readers = [source.reader for source in self._sources.values() if source.reader is not None]
        return ReceiveStats(
            **self.counts,
            pending=sum(len(source.pending) for source in self._sources.values()),
            lag=sum(reader.lag for reader in readers),
            partitions=() if self._group is None else tuple(self._group.partitions),
            members=() if self._group is None else tuple(self._group.members),
        )

    async def wait_ready(self) -> None:
        """
        Wait until events come: without a group, from then on none is missed.

        In a group: until this member owns a partition.
        """
        await self._ready.wait()

    async def drain(self) -> None:
        """
        Take no further events, finish those that are being handled, and leave the group.

        It takes at most the bridge's ``drain_timeout``. Again is fine. Cancelling it leaves the
        group in the end, too, as its members see that this one is gone.
        """
        if self._is_draining:
            return
        self._is_draining = True
        try:
            async with asyncio.timeout(self._drain_timeout):
                if self._group is not None:
                    await self._group.leave()
                else:
                    await asyncio.gather(*map(self._finish_source, self._sources.values()))
        except TimeoutError:
            logger.warning(
                "handlers of received events didn't finish in time",
                extra={"timeout": self._drain_timeout, "pending": self.stats.pending},
            )
        finally:
            for source in self._sources.values():
                source.is_lost = True
            await self._workers.stop()
            for source in self._sources.values():
                if source.reader is not None:
                    await source.reader.stop()

    # --- running --------------------------------------------------------------------------

    async def run(self) -> None:
        """Receive until it is cancelled or drained."""
        group = None if self._group is None else asyncio.create_task(self._group.run())
        try:
            while not self._is_draining:
                for source in list(self._sources.values()):
                    if source.reader is not None and not source.is_stopping:
                        source.reader.check()
                        if source.reader.is_started:
                            if not source.was_asked and source.may_repeat:
                                source.may_repeat = source.reader.lag
                            source.was_asked = True
                            self._ready.set()
                if group is not None and group.done():
                    await group
                await asyncio.sleep(_CHECK if self._ready.is_set() else _CHECK / 10)
        finally:
            if group is not None:
                group.cancel()
                await asyncio.gather(group, return_exceptions=True)

    def _add(
        self,
        partition: int | None,
        subject: str,
        start: Mapping[str, Any],
        checkpoint: Checkpoint | None,
    ) -> _Source:
        source = _Source(partition, checkpoint)

        async def take(message: Received) -> None:
            self._take(message, source)

        source.reader = StreamReader(
            self._connection,
            self._subjects.stream,
            subject,
            start,
            on_message=take,
            capacity=self._buffered,
            held=lambda: len(source.pending),
        )
        self._sources[partition] = source
        return source

    def _take(self, message: Received, source: _Source) -> None:
        """Take a message from the stream, in its order."""
        counts = self.counts
        counts["received"] += 1
        number = message.stream_sequence
        may_repeat = source.may_repeat > 0
        if may_repeat:
            source.may_repeat -= 1
        if source.is_lost or source.is_stopping:
            return
        source.top = number
        call = token(message.call)
        if number <= source.done.get(call, 0):
            counts["duplicates"] += 1
            return
        if message.sequence:
            key = (message.origin, message.call)
            if source.sequences.get(key, 0) >= message.sequence:
                counts["duplicates"] += 1
                return
            source.sequences[key] = message.sequence
            source.sequences.move_to_end(key)
            if len(source.sequences) > _MAX_SEQUENCES:
                source.sequences.popitem(last=False)
        source.pending[number] = call
        self._workers.put(message.call, (message, source, may_repeat))

    # --- groups ---------------------------------------------------------------------------

    def _acquired(
        self,
        partition: int,
        checkpoint: Checkpoint | None,
        start: Mapping[str, Any],
        is_clean: bool,
    ) -> None:
        if checkpoint is not None:
            start = {
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": checkpoint.sequence + 1,
            }
        source = self._add(partition, self._subjects.of_partition(partition), start, checkpoint)
        source.may_repeat = 0 if is_clean else 1
        assert source.reader is not None
        source.reader.check()

    def _lost(self, partition: int) -> None:
        source = self._sources.pop(partition, None)
        if source is None:
            return
        source.is_lost = True
        source.pending.clear()
        source.is_finished.set()
        if source.reader is not None:
            task = asyncio.create_task(source.reader.stop())
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)

    async def _finish(self, partition: int) -> None:
        source = self._sources.get(partition)
        if source is not None:
            await self._finish_source(source)

    async def _finish_source(self, source: _Source) -> None:
        """Take no further messages, and wait until those that came are handled."""
        source.is_stopping = True
        if source.reader is not None:
            await source.reader.stop()
        if source.pending:
            await source.is_finished.wait()

    def _checkpoint(self, partition: int) -> Checkpoint | None:
        source = self._sources.get(partition)
        return None if source is None else source.note_checkpoint()

    # --- one event ------------------------------------------------------------------------

    def _may_handle(self, source: _Source) -> bool:
        return not source.is_lost and (self._group is None or self._group.is_valid)

    async def _handle(self, item: tuple[Received, _Source, bool]) -> None:
        message, source, may_repeat = item
        if not self._may_handle(source):
            return
        try:
            event = message.decode()
        except UnreadableMessage as exc:
            self.counts["unreadable"] += 1
            self._report(exc, message)
            if self._on_failure.then == "park":
                await self._park(message, exc)
            self._done(message, source)
            return
        if message.lost:
            self.counts["lost"] += message.lost
            msg = f"{message.lost} events of the call were dropped before this one; they are lost."
            self._report(EventsLost(msg, count=message.lost), message)
        if await self._publish(event, message, source, may_repeat):
            self._done(message, source)
            if source.reader is not None and not source.is_stopping:
                await self._ask(source.reader)

    async def _ask(self, reader: StreamReader) -> None:
        try:
            await reader.request()
        except Exception as exc:  # noqa: BLE001  # the client's; the next check asks again
            logger.debug("no more messages were asked for", extra={"error": str(exc)})

    def _done(self, message: Received, source: _Source) -> None:
        self.counts["handled"] += 1
        source.finish(message.stream_sequence)

    async def _publish(
        self, event: Any, message: Received, source: _Source, may_repeat: bool
    ) -> bool:
        """Publish an event until it is done with; False if that is not to be noted."""
        attempt = 1
        while True:
            delivery = Delivery(
                message.origin,
                message.call,
                message.sequence,
                self._subjects.stream,
                message.stream_sequence,
                attempt,
                may_repeat,
                self._group_name,
                message.time_ns,
                message.headers.get(CAUSE, ""),
                message.trace,
            )
            reset = DELIVERY.set((delivery, event))
            try:
                await self._bus.publish_and_wait(event, sender=message.call, raise_errors=True)
            except (BusClosed, BusNotRunning) as exc:
                if not self._is_draining:
                    logger.warning("no events are received any more", extra={"reason": str(exc)})
                    self._is_draining = True
                return False
            except Exception as exc:  # noqa: BLE001  # of handlers, and it was reported
                error = exc
            else:
                return True
            finally:
                DELIVERY.reset(reset)
            self.counts["failed"] += 1
            pause = self._on_failure.delay_after(attempt)
            if pause is None:
                self.counts["skipped"] += 1
                if self._on_failure.then == "park":
                    await self._park(message, error, attempt)
                return True
            await asyncio.sleep(pause)
            if not self._may_handle(source):
                return False
            attempt += 1
            self.counts["retried"] += 1

    async def _park(self, message: Received, error: Exception, attempts: int = 1) -> None:
        """Store a message among the dead letters, until that has succeeded."""
        group = self._group_name or "none"
        cause: BaseException = error
        while isinstance(cause, BaseExceptionGroup) and cause.exceptions:
            cause = cause.exceptions[0]
        headers = {
            **message.headers,
            ID: f"{group}.{message.stream_sequence}",
            "Eventbus-Stream-Sequence": str(message.stream_sequence),
            "Eventbus-Attempts": str(attempts),
            "Eventbus-Reason": header_text(f"{type(cause).__qualname__}: {cause}"[:500]),
        }
        if message.call is not None:
            headers[CALL] = header_text(message.call)
        subject = self._subjects.dead_letter(group, message.subject)
        pause = 0.2
        while True:
            try:
                if not self._has_dead_letters:
                    await self._open_dead_letters()
                    self._has_dead_letters = True
                await self._connection.put(subject, message.payload, headers, timeout=_PUT_TIMEOUT)
            except BridgeError as exc:
                logger.warning("an event can't be parked now", extra={"error": str(exc)})
                await asyncio.sleep(pause)
                pause = min(2 * pause, 5.0)
            else:
                self.counts["parked"] += 1
                return

    def _report(self, exc: Exception, message: Received) -> None:
        context = f"receiving from the stream {self._subjects.stream}"
        report = RealtimeModelExceptionEvent(exc, context, sender=message.call)
        publish_report(self._bus, report, message.call)
