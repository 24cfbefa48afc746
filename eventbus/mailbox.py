"""
The bounded queue in front of one async handler.

A `Mailbox` is the setting that users give; a `MailboxQueue` is the queue itself, one for
each handler and sender, made when an event arrives and gone when it has run dry:

* `MailboxQueue.put` decides what happens to an event that finds no room, and returns what was
  dropped for it. It never waits.
* One burst of drops, from the first one until the queue has run dry, is one report.
* ``BLOCK`` is a promise of the publisher's, not of the queue: `EventBus.publish_async` waits
  after it has put, and a publish that can't wait goes over the capacity rather than lose
  the event.
"""

from __future__ import annotations

import enum
from collections import deque
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, get_args

import anyio
import attrs

from .exceptions import OptionError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

__all__ = ["Mailbox", "Overflow"]


class Overflow(enum.Enum):
    """What happens to an event that finds a mailbox full."""

    DROP_OLDEST = "drop_oldest"
    """The event that has waited longest makes room for it."""

    DROP_NEWEST = "drop_newest"
    """The event itself is dropped."""

    LATEST = "latest"
    """All that waits makes room for it: the handler goes on with the latest."""

    RAISE = "raise"
    """The event is dropped for this handler, and the publisher gets `MailboxFull`."""

    BLOCK = "block"
    """
    Nothing is dropped, and `EventBus.publish_async` waits until there is room.

    `EventBus.publish` can't wait: it goes over the capacity.
    """


def _capacity(_: object, __: object, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        msg = f"The capacity of a Mailbox is a whole number from 1 on, not {value!r}."
        raise OptionError(msg, option="capacity")


def _overflow(_: object, __: object, value: object) -> None:
    if not isinstance(value, Overflow):
        msg = f"The overflow of a Mailbox is a member of Overflow, not {value!r}."
        raise OptionError(msg, option="overflow")


def _event_types(
    value: type[Any] | UnionType | Iterable[type[Any]],
) -> tuple[type[Any], ...]:
    if isinstance(value, UnionType):
        value = get_args(value)
    try:
        classes = (value,) if isinstance(value, type) else tuple(value)
    except TypeError:
        msg = f"Mailbox(purged_by=...) takes event classes, not {value!r}."
        raise OptionError(msg, option="purged_by") from None
    for cls in classes:
        if not isinstance(cls, type):
            msg = f"Mailbox(purged_by=...) takes event classes, not {cls!r}."
            raise OptionError(msg, option="purged_by")
    return classes


@attrs.frozen
class Mailbox:
    """
    How events wait for an async handler.

    Attributes:
        capacity: How many events may wait, for each sender; the one that is being handled
            does not count.
        overflow: What happens to an event that finds no room.
        purged_by: Event classes that empty the queue of their sender when one is published,
            before any handler of it runs.

    Raises:
        OptionError: One of them has a value that it can't have.
    """

    capacity: int = attrs.field(default=65_536, validator=_capacity)
    overflow: Overflow = attrs.field(default=Overflow.DROP_OLDEST, validator=_overflow)
    purged_by: tuple[type[Any], ...] = attrs.field(default=(), converter=_event_types)


DEFAULT_MAILBOX: Final = Mailbox()


class MailboxQueue:
    """
    The events that wait for one handler, of one sender.

    What is queued is opaque to it: whoever puts also takes.

    Attributes:
        settings: The handler's `Mailbox`.
        owner: Whose queue it is.
        subscription: The subscription whose handler gets what is in it.
        sender: The sender whose events are in it.
        key: What tells that sender from others.
        items: What waits, the oldest first; whoever works through it pops from the left.
        awaited: What the handler waits for before it goes on with it.
        is_running: Whether an event from it is being handled.
        tracker: Who waits for that event.
        serial: Which of the bus's handler calls that is.
        scope: What cancels it when its time is up, if it has a timeout.
        in_burst: Whether something was dropped since the queue last ran dry.
        room: Set when there is room again, if somebody waits for that.
    """

    __slots__ = (
        "awaited",
        "in_burst",
        "is_running",
        "items",
        "key",
        "owner",
        "room",
        "scope",
        "sender",
        "serial",
        "settings",
        "subscription",
        "tracker",
    )

    def __init__(
        self, settings: Mailbox, owner: Any, subscription: Any, sender: Any, key: Hashable
    ) -> None:
        self.settings = settings
        self.owner = owner
        self.subscription = subscription
        self.sender = sender
        self.key = key
        self.items: deque[Any] = deque()
        self.is_running = False
        self.tracker: Any = None
        self.in_burst = False
        self.serial = 0
        self.awaited: tuple[Any, ...] = ()
        self.room: anyio.Event | None = None
        self.scope: anyio.CancelScope | None = None

    @property
    def is_over_capacity(self) -> bool:
        """Whether a publisher that can wait should, until something was taken."""
        return len(self.items) > self.settings.capacity

    def put(self, item: Any) -> list[Any]:
        """Let *item* in, or not, and return what was dropped: others, or *item* itself."""
        items = self.items
        if len(items) < self.settings.capacity:
            items.append(item)
            return []
        match self.settings.overflow:
            case Overflow.DROP_OLDEST:
                dropped = [items.popleft()]
            case Overflow.LATEST:
                dropped = self.clear()
            case Overflow.BLOCK:
                dropped = []
            case Overflow.DROP_NEWEST | Overflow.RAISE:
                return [item]
        items.append(item)
        return dropped

    def clear(self) -> list[Any]:
        """Take everything out at once, and return it."""
        taken = list(self.items)
        self.items.clear()
        self.make_room()
        return taken

    def make_room(self) -> None:
        """Wake whoever waits for room, if there is some."""
        if self.room is not None and not self.is_over_capacity:
            self.room.set()
            self.room = None

    async def wait_room(self) -> None:
        """Wait until it holds no more than it should, if only for a moment."""
        if self.is_over_capacity:
            if self.room is None:
                self.room = anyio.Event()
            await self.room.wait()
