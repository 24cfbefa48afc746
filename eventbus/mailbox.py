"""
The mailbox in front of an async handler: how many events may wait, and the policy for more.
"""

from __future__ import annotations

import enum
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args

import attrs

from .exceptions import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Mailbox", "Overflow"]


class Overflow(enum.Enum):
    """The policy of a full mailbox."""

    DROP_OLDEST = "drop_oldest"
    """The event that has waited longest makes room for it."""

    DROP_NEWEST = "drop_newest"
    """The event itself is dropped."""

    LATEST = "latest"
    """All waiting events make room for it: the handler goes on with the latest."""

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
    The queue settings of an async handler.

    Attributes:
        capacity: How many events may wait, for each sender; the one that is being handled
            does not count.
        overflow: The policy for an event that finds no room.
        purged_by: Event classes that empty the queue of their sender when one is published,
            before any handler of it runs.

    Raises:
        OptionError: One of the values is not allowed.
    """

    capacity: int = attrs.field(default=65_536, validator=_capacity)
    overflow: Overflow = attrs.field(default=Overflow.DROP_OLDEST, validator=_overflow)
    purged_by: tuple[type[Any], ...] = attrs.field(default=(), converter=_event_types)
