"""
Groups: the partitions of a stream divided among members, one owner for each.

Rules
-----

* A member has a record that it renews all the time. It is alive for the others as long as they see
  the record change at least once in the lease time, each by a clock of its own.
* A partition has a record: the lease. It names its owner, and the checkpoint: how far the group has
  handled the partition. Each change of it is conditional on its revision, so it has one owner at a
  time: a takeover changes the record, and the former owner can write no checkpoint any more.
* A member goes by the time at which it *sent* its last successful renewal. Once nine tenths of the
  lease time have passed since, it handles nothing more, whatever it is told later: it drops its
  partitions, and takes them again if the records are still its own. The others wait for the whole
  time from when they saw the renewal, so they never begin before that.
* A member that was cut off itself takes the others to be alive, until they had the time to renew.
* Each member computes the same fair shares from the members that are alive. One that has more than
  its share finishes the running handlers of the surplus, and releases it; one that has less takes
  free partitions, and those of dead members.

The server's clock and its expiry of keys play no part: a server that was away for a minute changes
no owner.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec

from ...exceptions import BridgeError
from ._client import JetStreamError, reason
from ._reading import StreamReader, resolved
from ._stream import get_last
from ._subjects import token

if TYPE_CHECKING:
    from ._client import Connection
    from ._messages import Received
    from ._subjects import Subjects

logger = logging.getLogger(__name__)

_WRONG_REVISION: Final = frozenset({10071, 10164})
_EXPECTED: Final = "Nats-Expected-Last-Subject-Sequence"
_FORGET_AFTER: Final = 60.0

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode


@attrs.frozen
class Checkpoint:
    """
    The progress of a group in a partition.

    Attributes:
        sequence: All messages up to this number of the stream are done with.
        done: Calls that are further: token -> the number of their last message that is done with.
    """

    sequence: int
    done: Mapping[str, int] = attrs.field(factory=dict)


@attrs.define
class _Lease:
    """A partition's record, as it was seen last."""

    revision: int
    owner: str
    checkpoint: Checkpoint | None
    is_unsure: bool = False


@attrs.define
class _Member:
    """A member's record."""

    revision: int
    seen_at: float


class Group:
    """
    One member's part of a group.

    Args:
        connection: The connection.
        subjects: The stream's subjects.
        name: The group's name.
        member: This member's id, which no other one has.
        lease_time: Seconds after which a member that doesn't renew is taken to be dead.
        start: The policy of where a group begins that is new.
        on_acquired: Called with a partition, its checkpoint (None is *start*), the *start* of the
            group, and whether its last owner has released it.
        on_lost: Called with a partition that this member has lost.
        release: Finishes a partition; awaited before it is given up.
        checkpoint: Returns a partition's checkpoint, as it is now.
    """

    def __init__(
        self,
        connection: Connection,
        subjects: Subjects,
        name: str,
        *,
        member: str,
        lease_time: float,
        start: Mapping[str, Any],
        on_acquired: Callable[[int, Checkpoint | None, Mapping[str, Any], bool], None],
        on_lost: Callable[[int], None],
        release: Callable[[int], Awaitable[None]],
        checkpoint: Callable[[int], Checkpoint | None],
    ) -> None:
        self._connection = connection
        self._subjects = subjects
        self._stream = f"KV_{subjects.bucket}"
        self._key = ("groups", token(name))
        self.member = member
        self._lease_time = lease_time
        self._start = start
        self._on_acquired = on_acquired
        self._on_lost = on_lost
        self._release = release
        self._checkpoint = checkpoint
        self._writing: dict[int, asyncio.Lock] = {}
        self._leases: dict[int, _Lease] = {}
        self._members: dict[str, _Member] = {}
        self._owned: dict[int, Checkpoint | None] = {}
        self._kept: dict[int, tuple[int, Checkpoint | None]] = {}
        self._releasing: set[int] = set()
        self._deadline = 0.0
        self._is_leaving = False
        self._news = asyncio.Event()
        self._left = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._reader = StreamReader(
            connection,
            self._stream,
            subjects.key(*self._key, ">"),
            {"deliver_policy": "last_per_subject"},
            on_message=self._seen,
        )

    @property
    def is_valid(self) -> bool:
        """True while this member's leases hold."""
        return time.monotonic() < self._deadline

    @property
    def partitions(self) -> list[int]:
        """The partitions that this member owns."""
        return sorted(self._owned)

    @property
    def members(self) -> list[str]:
        """The members that are alive, as this one sees it."""
        return self._alive(time.monotonic())

    def owns(self, partition: int) -> bool:
        """Return whether this member owns a partition."""
        return partition in self._owned

    # --- the loop -------------------------------------------------------------------------

    async def run(self) -> None:
        """Take part in the group until it is cancelled or `leave` has run."""
        start = await self._agree_on_start()
        period = self._lease_time / 4
        # By itself: whatever else takes its time, the leases are renewed.
        renewing = asyncio.create_task(self._keep_renewing())
        try:
            while not self._is_leaving:
                await self._tick(start)
                self._news.clear()
                try:
                    await asyncio.wait_for(self._news.wait(), period)
                except TimeoutError:
                    continue
                # Several records may change at once.
                await asyncio.sleep(min(0.02, period / 4))
            await self._left.wait()
        finally:
            renewing.cancel()
            await self._reader.stop()

    async def _keep_renewing(self) -> None:
        while True:
            if self._deadline and not self.is_valid:
                self._lose_all()
            if self._connection.is_up:
                try:
                    await self._renew()
                except BridgeError as exc:
                    logger.debug("a lease can't be renewed now", extra={"error": reason(exc)})
            await asyncio.sleep(self._lease_time / 4)

    async def _tick(self, start: Mapping[str, Any]) -> None:
        self._reader.check()
        try:
            if self.is_valid:
                await self._write_checkpoints()
            if self.is_valid and self._is_informed and not self._is_leaving:
                await self._balance(start)
        except BridgeError as exc:
            logger.debug("a group can't be reached now", extra={"error": reason(exc)})

    @property
    def _is_informed(self) -> bool:
        return self._reader.is_started and self._reader.lag == 0

    async def _agree_on_start(self) -> Mapping[str, Any]:
        """Return the policy of where the group begins: that of its first member."""
        subject = self._subjects.key(*self._key, "start")
        while True:
            try:
                found = await get_last(self._connection, self._stream, subject)
                if found is not None:
                    agreed: Mapping[str, Any] = msgspec.json.decode(found[1])
                    return agreed
                start = await resolved(self._connection, self._subjects.stream, self._start)
                await self._connection.put(subject, msgspec.json.encode(start), {_EXPECTED: "0"})
            except JetStreamError as exc:
                if exc.err_code not in _WRONG_REVISION:
                    await asyncio.sleep(0.5)
            except BridgeError:
                await asyncio.sleep(0.5)

    async def _renew(self) -> None:
        """Renew this member's record, and with it the leases."""
        now = time.monotonic()
        subject = self._subjects.key(*self._key, "members", self.member)
        await self._connection.put(subject, b"alive", timeout=self._lease_time / 2)
        if not self.is_valid:
            # Nothing was handled since, and skipped messages have to come again. The others get
            # the time to renew, too: it may have been the server that was away.
            self._lose_all()
            for member in self._members.values():
                member.seen_at = time.monotonic()
            self._news.set()
        self._deadline = now + self._lease_time * 0.9

    def _lose_all(self) -> None:
        for partition in list(self._owned):
            lease = self._leases.get(partition)
            if lease is not None and lease.owner == self.member:
                self._kept[partition] = lease.revision, self._checkpoint(partition)
            self._lose(partition)

    def _lose(self, partition: int) -> None:
        del self._owned[partition]
        self._releasing.discard(partition)
        self._on_lost(partition)

    # --- checkpoints ----------------------------------------------------------------------

    async def _write_checkpoints(self) -> None:
        changed = [
            (partition, checkpoint)
            for partition, written in self._owned.items()
            if partition not in self._releasing
            and (checkpoint := self._checkpoint(partition)) != written
        ]
        await asyncio.gather(
            *(self._write(partition, self.member, checkpoint) for partition, checkpoint in changed)
        )

    async def _write(self, partition: int, owner: str, checkpoint: Checkpoint | None) -> bool:
        """Change a partition's record; False if this member lost it, or can't tell."""
        # One at a time: two with the same revision would take each other for another member's.
        async with self._writing.setdefault(partition, asyncio.Lock()):
            return await self._write_alone(partition, owner, checkpoint)

    async def _write_alone(self, partition: int, owner: str, checkpoint: Checkpoint | None) -> bool:
        lease = self._leases.get(partition) or _Lease(0, "", None)
        subject = self._subjects.key(*self._key, "leases", str(partition))
        try:
            if lease.is_unsure and not await self._look(partition, subject):
                return False
            lease = self._leases.get(partition) or lease
            revision = await self._connection.put(
                subject,
                _encode(
                    {
                        "owner": owner,
                        "sequence": None if checkpoint is None else checkpoint.sequence,
                        "done": {} if checkpoint is None else dict(checkpoint.done),
                        "id": secrets.token_hex(4),
                    }
                ),
                {_EXPECTED: str(lease.revision)},
                timeout=self._lease_time / 2,
            )
        except JetStreamError as exc:
            if exc.err_code in _WRONG_REVISION and partition in self._owned:
                self._lose(partition)
            return False
        except BridgeError:  # it may have been stored, and then its revision isn't known
            lease.is_unsure = True
            return False
        known = self._leases.get(partition)
        if known is None or known.revision <= revision:
            self._leases[partition] = _Lease(revision, owner, checkpoint)
        if partition in self._owned:
            self._owned[partition] = checkpoint
        return True

    async def _look(self, partition: int, subject: str) -> bool:
        """Read a partition's record; False if it isn't this member's any more."""
        found = await get_last(self._connection, self._stream, subject)
        if found is None:
            return False
        self._note_lease(partition, *found)
        return not (partition in self._owned and self._leases[partition].owner != self.member)

    # --- other members --------------------------------------------------------------------

    async def _seen(self, record: Received) -> None:
        kind, name = record.subject.split(".")[-2:]
        is_deleted = "KV-Operation" in record.headers or not record.payload
        if kind == "members":
            if is_deleted:
                if self._members.pop(name, None) is not None:
                    self._news.set()
                return
            if name not in self._members and name != self.member:
                self._news.set()
            self._members[name] = _Member(record.stream_sequence, time.monotonic())
        elif kind == "leases" and name.isdigit():
            self._note_lease(int(name), record.stream_sequence, record.payload)
            lease = self._leases[int(name)]
            if int(name) in self._owned:
                if lease.owner != self.member:
                    self._lose(int(name))
            elif not lease.owner:
                self._news.set()

    def _note_lease(self, partition: int, revision: int, payload: bytes) -> None:
        known = self._leases.get(partition)
        if known is not None and known.revision >= revision and not known.is_unsure:
            return
        try:
            record = _decode(payload)
            sequence, done = record["sequence"], record["done"]
            checkpoint = None if sequence is None else Checkpoint(int(sequence), dict(done))
            owner = str(record["owner"])
        except (ValueError, KeyError, TypeError):
            logger.warning("a lease can't be read", extra={"partition": partition})
            owner, checkpoint = "", None
        self._leases[partition] = _Lease(revision, owner, checkpoint)

    def _alive(self, now: float) -> list[str]:
        fresh = {
            name
            for name, member in self._members.items()
            if now - member.seen_at < self._lease_time
        }
        return sorted(fresh | ({self.member} if not self._is_leaving else set()))

    # --- balance --------------------------------------------------------------------------

    async def _balance(self, start: Mapping[str, Any]) -> None:
        now = time.monotonic()
        alive = self._alive(now)
        count, more = divmod(self._subjects.partitions, len(alive))
        share = count + (alive.index(self.member) < more)
        held = [p for p in self._owned if p not in self._releasing]
        for partition in sorted(held)[share:]:
            self._begin_release(partition)
        missing = share - len(held)
        if missing > 0:
            free = [
                partition
                for partition in range(self._subjects.partitions)
                if partition not in self._owned and self._is_free(partition, alive)
            ]
            # Each member begins at another place, so that they don't all try the same ones.
            place = alive.index(self.member) * self._subjects.partitions // len(alive)
            free.sort(key=lambda partition: (partition - place) % self._subjects.partitions)
            await asyncio.gather(*(self._take(partition, start) for partition in free[:missing]))
        await self._forget_dead(now, alive)

    def _is_free(self, partition: int, alive: list[str]) -> bool:
        lease = self._leases.get(partition)
        return lease is None or lease.owner == self.member or lease.owner not in alive

    async def _take(self, partition: int, start: Mapping[str, Any]) -> None:
        lease = self._leases.get(partition)
        checkpoint = None if lease is None else lease.checkpoint
        is_clean = lease is None or not lease.owner
        kept = self._kept.pop(partition, None)
        if kept is not None and lease is not None and kept[0] == lease.revision:
            checkpoint = kept[1]  # nobody has had it since
        if await self._write(partition, self.member, checkpoint) and self.is_valid:
            self._owned[partition] = checkpoint
            self._on_acquired(partition, checkpoint, start, is_clean)

    def _begin_release(self, partition: int) -> None:
        self._releasing.add(partition)
        task = asyncio.create_task(self._give_up(partition))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _give_up(self, partition: int) -> None:
        await self._release(partition)
        if partition not in self._owned:  # lost meanwhile
            return
        checkpoint = self._checkpoint(partition)
        for _ in range(3):
            if await self._write(partition, "", checkpoint) or partition not in self._owned:
                break
        if partition in self._owned:
            self._lose(partition)

    async def _forget_dead(self, now: float, alive: list[str]) -> None:
        """Remove the records of members that died long ago."""
        if alive[0] != self.member:
            return
        for name, member in list(self._members.items()):
            if now - member.seen_at > max(_FORGET_AFTER, 10 * self._lease_time):
                del self._members[name]
                await self._delete(member.revision)

    async def _delete(self, revision: int) -> None:
        try:
            await self._connection.api(f"STREAM.MSG.DELETE.{self._stream}", {"seq": revision})
        except JetStreamError as exc:
            logger.debug("a record can't be deleted", extra={"error": reason(exc)})

    # --- the end --------------------------------------------------------------------------

    async def leave(self) -> None:
        """
        Release all partitions, once each is finished, and leave the group.

        The others take them at once. Renewals go on until then.
        """
        self._is_leaving = True
        for partition in list(self._owned):
            if partition not in self._releasing:
                self._begin_release(partition)
        while self._tasks:
            await asyncio.gather(*self._tasks)
        self._left.set()
        try:
            subject = self._subjects.key(*self._key, "members", self.member)
            revision = await self._connection.put(
                subject, b"", {"KV-Operation": "DEL"}, timeout=self._lease_time / 2
            )
            await self._delete(revision)
        except BridgeError as exc:
            logger.debug("a group can't be told of a departure", extra={"error": reason(exc)})
