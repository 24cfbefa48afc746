"""
The queue behind a `Mailbox`: the events of one sender that wait for one async handler.

It is made when an event arrives, and gone when it has run dry.

* `MailboxQueue.put` applies the policy to an event that finds no room, and returns the events
  that were dropped for it. It never waits.
* One burst of drops, from the first one until the queue has run dry, is one report.
* ``BLOCK`` is a promise of the publisher's, not of the queue: `EventBus.publish_async` waits
  after it has put, and a publish that can't wait goes over the capacity rather than lose
  the event.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

import anyio

from ..mailbox import Mailbox, Overflow

if TYPE_CHECKING:
    from collections.abc import Hashable

DEFAULT_MAILBOX: Final = Mailbox()
"""The mailbox of a handler that was subscribed without one."""


class MailboxQueue:
    """
    The events that wait for one handler, of one sender.

    The queue does not look into its items: the code that puts them also takes them.

    Attributes:
        settings: The handler's `Mailbox`.
        owner: The object that works through the queue.
        subscription: The subscription of the handler.
        sender: The sender of the events.
        key: The key of that sender; see `registry.sender_key`.
        items: The waiting items, the oldest first; to be taken from the left.
        awaited: The trackers of events that the handler waits for.
        is_running: True while an event from it is being handled.
        tracker: The tracker of that event, if somebody waits for it.
        serial: The number of that call among the bus's handler calls.
        scope: The scope that cancels that call, if it has a timeout.
        in_burst: True if an event was dropped since the queue last ran dry.
        room: Set when there is room again, if a publisher waits for that.
        was_closed: True if the bus was closed without draining it.
    """

    __slots__ = ("awaited", "in_burst", "is_running", "items", "key", "owner", "room", "scope",
                 "sender", "serial", "settings", "subscription", "tracker",
                 "was_closed")  # fmt: skip

    def __init__(
        self, settings: Mailbox, owner: Any, subscription: Any, sender: Any, key: Hashable
    ) -> None:
        self.settings = settings
        self.owner = owner
        self.subscription = subscription
        self.sender = sender
        self.key = key
        self.items: deque[Any] = deque()
        self.is_running = self.in_burst = self.was_closed = False
        self.tracker: Any = None
        self.serial = 0
        self.awaited: tuple[Any, ...] = ()
        self.room: anyio.Event | None = None
        self.scope: anyio.CancelScope | None = None

    @property
    def is_over_capacity(self) -> bool:
        """True if a publisher that can wait should, until an item was taken."""
        return len(self.items) > self.settings.capacity

    def put(self, item: Any) -> list[Any]:
        """Let *item* in, or not, and return the dropped items: others, or *item* itself."""
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
        """Take out all items, and return them."""
        # One by one: a signal handler that publishes meanwhile adds to the end, and that stays.
        taken = [self.items.popleft() for _ in range(len(self.items))]
        self.make_room()
        return taken

    def make_room(self) -> None:
        """Wake the publishers that wait for room, if there is some."""
        if self.room is not None and not self.is_over_capacity:
            self.room.set()
            self.room = None

    async def wait_room(self) -> None:
        """Wait until it holds no more than its capacity, if only for a moment."""
        if self.is_over_capacity:
            if self.room is None:
                self.room = anyio.Event()
            await self.room.wait()
