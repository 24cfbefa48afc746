"""
The protocols of decoders and of the bus that they publish on, and the registry of decoders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ..events import RealtimeModelEvent, RealtimeModelRawServerEvent


class Bus(Protocol):
    """
    The part of a bus that `Decoder.publish_to` needs; `eventbus.EventBus` and its scopes have it.

    ``publish(event)`` and ``has_handlers(event_type)`` take a ``sender=`` too, if one is given
    to `Decoder.publish_to`. A bus may also have ``count_unseen`` and ``publish_after``, like
    `eventbus.EventBus`; then they are called instead of ``has_handlers``, decide whether a frame
    needs a raw event, and count those that aren't needed.
    """

    @property
    def publish(self) -> Callable[..., object]: ...

    @property
    def has_handlers(self) -> Callable[..., bool]: ...


class Decoder(Protocol):
    """
    Makes events of the frames of one session.

    Attributes:
        name: The protocol, like ``openai-realtime``; a journal's header has it.
        version: Raised when the same frames give other events than before.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int: ...

    @property
    def options(self) -> Mapping[str, Any]:
        """The keyword arguments that make a decoder like this one, as plain JSON data."""
        ...

    def decode(self, frame: bytes | str | Mapping[str, Any]) -> Sequence[RealtimeModelEvent]:
        """
        Return the events that *frame* means.

        The first one is always the `RealtimeModelRawServerEvent` of the frame. Nothing that a
        frame can contain makes it raise: a frame that can't be read gives a
        `RealtimeModelExceptionEvent`, and the next frame is decoded as usual.
        """
        ...

    def publish_to(
        self, bus: Bus, frame: bytes | str | Mapping[str, Any], sender: Any = None
    ) -> None:
        """
        Decode *frame* and publish its events, in order.

        A raw event that nothing on the bus would see is not made; it counts as published.

        Args:
            bus: A bus, or a scope of one, which has its sender already.
            frame: As in `decode`.
            sender: The session that the events belong to.

        Raises:
            Exception: The first one that publishing one of the events raised; the others have
                been published all the same.
        """
        ...


def has_raw_handlers(bus: Bus, sender: Any) -> bool:
    """Return whether a raw event would reach a handler of *bus*."""
    if sender is None:
        return bus.has_handlers(RealtimeModelRawServerEvent)
    return bus.has_handlers(RealtimeModelRawServerEvent, sender=sender)


def publish_events(bus: Any, events: Sequence[RealtimeModelEvent], sender: Any) -> None:
    """Publish all of *events*, then raise the first exception that one of them raised."""
    first: Exception | None = None
    for event in events:
        try:
            if sender is None:
                bus.publish(event)
            else:
                bus.publish(event, sender=sender)
        except Exception as exc:  # noqa: BLE001  # a full mailbox, a handler of a strict bus
            first = first or exc
    if first is not None:
        raise first


# --- the registry ----------------------------------------------------------------------------

_FACTORIES: dict[str, Callable[..., Decoder]] = {}


def register_decoder(factory: Callable[..., Decoder], *, name: str | None = None) -> None:
    """
    Let readers of journals find a decoder by its name.

    Args:
        factory: The decoder's class, or a function that takes its options and returns one.
        name: The decoder's name, by default ``factory.name``.

    Raises:
        ValueError: Another decoder has that name.
    """
    name = name or str(getattr(factory, "name", ""))
    if not name:
        msg = f"{factory!r} has no name for journals; give it a class attribute name, or name=."
        raise ValueError(msg)
    if _FACTORIES.setdefault(name, factory) is not factory:
        msg = f"{_FACTORIES[name]!r} is registered as {name!r} already; choose another name."
        raise ValueError(msg)


def find_decoder(name: str) -> Callable[..., Decoder] | None:
    """
    Return the registered maker of decoders with that *name*; None if there is none.

    It takes a decoder's options as keyword arguments. Compare the decoder's ``version`` with
    the recorded one: another version may make other events of the same frames.
    """
    return _FACTORIES.get(name)
