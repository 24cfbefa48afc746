"""
A compiled route: the calls that are to be made with an event.

Most of them are handlers, as they were registered; the others are closures of the dispatcher's.
A handler that is cancelled while an event is being dispatched must not start for it any more.
To ask before each call would be paid for by everybody; instead the list that is being run is
changed under the loop's feet, by `Calls.strike`. All other lists are simply thrown away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .registry import Subscription

__all__ = ["Calls"]


class Calls:
    """
    What is called with an event, in this order.

    Attributes:
        calls: What is called with the event; changed while it is being run.
        originals: The calls as compiled, to tell whose call has failed.
        owners: The subscription behind each call, if there is one.
        tally: What a publish adds to the tally.
        needs_loop: Whether an async handler is among them.
        is_fast: Whether `Dispatcher.publish` may run it by itself.
        inner: Calls that one of these is running at the moment, or may run.
        only: The one call that there is, if there is but one.
    """

    __slots__ = ("calls", "inner", "is_fast", "needs_loop", "only", "originals", "owners", "tally")

    def __init__(self, tally: int = 0) -> None:
        self.calls: list[Callable[[Any], object]] = []
        self.originals: list[Callable[[Any], object]] = []
        self.owners: list[Subscription | None] = []
        self.tally = tally
        self.needs_loop = False
        self.is_fast = True
        self.inner: Calls | None = None
        self.only: Callable[[Any], object] | None = None

    def append(self, call: Callable[[Any], object], owner: Subscription | None = None) -> None:
        """Add one call to be made."""
        self.only = None if self.calls else call
        self.calls.append(call)
        self.originals.append(call)
        self.owners.append(owner)

    def include(self, inner: Calls, call: Callable[[Any], object]) -> None:
        """Add *call*, which runs *inner*."""
        self.inner = inner
        self.needs_loop |= inner.needs_loop
        self.is_fast &= inner.is_fast
        self.append(call)

    def owner(self, call: Callable[[Any], object]) -> Subscription | None:
        """Return the subscription behind *call*."""
        # By identity: two handlers that are equal may still be two.
        return next(o for c, o in zip(self.originals, self.owners, strict=True) if c is call)

    def strike(self, subscription: Subscription, uncount: Callable[[Any], object]) -> None:
        """Keep *subscription* from being called, now that the calls may be running."""
        for index, owner in enumerate(self.owners):
            if owner is subscription:
                is_counted = self.calls[index] is subscription.target
                self.calls[index] = uncount if is_counted else _nothing
        if self.inner is not None:
            self.inner.strike(subscription, uncount)


def _nothing(_: object) -> None:
    """Stand in for a call that would have counted itself."""
