"""
A compiled route: the calls that are made with an event.

Most of them are handlers, as they were registered; the others are closures of the compiler's.
A handler that is cancelled while an event is being dispatched must not start for it any more.
Instead of a test before each call, which every publish would pay for, the list that is being run
is changed by `Calls.drop`. All other lists are simply thrown away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .registry import Subscription


class Calls:
    """
    The calls to make with an event, in this order.

    Attributes:
        calls: The calls; changed while they are being run.
        entries: The calls as compiled, with the subscription behind each, if there is one, and
            True for each that is counted in advance.
        tally: The number to add to `Turn.tally` when they are made.
        needs_loop: True if an async handler is among them.
        is_fast: True if the publish of the bus may run them by itself.
        inner: Calls that one of these is running at the moment, or may run.
        only: The call, if there is but one, and it is counted in advance: such a call is the
            handler itself, which needs neither the sender nor anything else of the dispatch.
        is_unseen: True if no handler, observer or middleware sees the event, and no log either.
        take_frame: Gives a frame to taps, if only they see its raw event; see `observing.Tap`.
    """

    __slots__ = ("calls", "entries", "inner", "is_fast", "is_unseen", "needs_loop", "only",
                 "take_frame", "tally")  # fmt: skip

    def __init__(self) -> None:
        self.calls: list[Callable[[Any], object]] = []
        self.entries: list[tuple[Callable[[Any], object], Subscription | None, bool]] = []
        self.tally = 0
        self.needs_loop = False
        self.is_fast = True
        self.inner: Calls | None = None
        self.only: Callable[[Any], object] | None = None
        self.is_unseen = False
        self.take_frame: Callable[[bytes, int, Any, Any], None] | None = None

    def append(
        self,
        call: Callable[[Any], object],
        owner: Subscription | None = None,
        *,
        counted: bool = False,
    ) -> None:
        """Add one call to be made."""
        self.only = call if counted and not self.calls else None
        self.calls.append(call)
        self.entries.append((call, owner, counted))

    def include(self, inner: Calls, call: Callable[[Any], object]) -> None:
        """Add *call*, which runs *inner*."""
        self.inner = inner
        self.needs_loop |= inner.needs_loop
        self.is_fast &= inner.is_fast
        self.append(call)

    def owner(self, call: Callable[[Any], object]) -> Subscription | None:
        """Return the subscription behind *call*."""
        # By identity: two handlers that are equal may still be two.
        return next(owner for other, owner, _ in self.entries if other is call)

    def replace(self, call: Callable[[Any], object], by: Callable[[Any], object]) -> None:
        """Make *by* from the next event on, where *call* is made now."""
        for index, (other, owner, counted) in enumerate(self.entries):
            if other is call:
                self.entries[index] = (by, owner, counted)
                if self.calls[index] is call:
                    self.calls[index] = by
        if self.only is call:
            self.only = by
        if self.inner is not None:
            self.inner.replace(call, by)

    def drop(self, subscription: Subscription, uncount: Callable[[Any], object]) -> None:
        """Keep *subscription* from being called, now that the calls may be running."""
        for index, (_, owner, counted) in enumerate(self.entries):
            if owner is subscription:
                self.calls[index] = uncount if counted else _nothing
        if self.inner is not None:
            self.inner.drop(subscription, uncount)


def _nothing(_: object) -> None:
    """Stand in for a call that would have counted itself."""
