"""
`Registrar`: registering handlers and waiting for events, for `EventBus` and `Scope`.

It checks the handlers, the event classes and the options; the registry of `_core.registry` keeps
the subscriptions. It is public in `eventbus.bus`.
"""

from __future__ import annotations

from types import ModuleType, UnionType
from typing import TYPE_CHECKING, Any, Final, Never, NoReturn, TypeVar, overload

from blinker import ANY

from ._core.options import Options, check_options_for, read_options
from ._core.registry import Registration, Subscription
from ._core.signatures import (
    describe_handler,
    event_classes,
    handler_name,
    refuse_exchanged,
    refuse_method,
)
from ._core.waiting import Stream, expect
from .exceptions import HandlerError
from .handlers import marks_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Unpack

    from ._core.dispatcher import Dispatcher
    from ._core.signatures import Handler
    from ._core.waiting import Parked
    from .handlers import EventType, HandlerOf, HandlerOptions, Subscriber
    from .mailbox import Mailbox

E1 = TypeVar("E1")
E2 = TypeVar("E2")
E3 = TypeVar("E3")

_EXPECT: Final = ("sender", "when", "timeout")
_STREAM: Final = ("sender", "when", "mailbox")


class Registrar:
    """
    Registering handlers and waiting for events, on a bus or on a scope of it.

    `EventBus` and `Scope` derive from it; it is not made by itself. A function that only
    registers handlers can be given either of them.
    """

    __slots__ = ("_dispatcher",)

    _dispatcher: Dispatcher

    def _bind(self, sender: Any) -> Any:
        """Return the sender to subscribe for, where *sender* was asked for."""
        raise NotImplementedError

    def _add(
        self, handler: Handler, classes: tuple[type[Any], ...], options: Options
    ) -> Subscription:
        raise NotImplementedError

    def _attach(
        self,
        handler: Handler,
        event_types: tuple[type[Any], ...],
        options: Options,
        parked: Parked,
    ) -> AbstractContextManager[Subscription]:
        """Return a context manager that subscribes for a task that waits for events."""
        raise NotImplementedError

    @overload
    def on(
        self, event_type: type[E1], /, **options: Unpack[HandlerOptions[E1]]
    ) -> Subscriber[E1]: ...
    @overload
    def on(
        self,
        event_type: type[E1],
        event_type2: type[E2],
        /,
        **options: Unpack[HandlerOptions[E1 | E2]],
    ) -> Subscriber[E1 | E2]: ...
    @overload
    def on(
        self,
        event_type: type[E1],
        event_type2: type[E2],
        event_type3: type[E3],
        /,
        **options: Unpack[HandlerOptions[E1 | E2 | E3]],
    ) -> Subscriber[E1 | E2 | E3]: ...
    @overload
    def on(
        self, union: UnionType, /, *more: EventType, **options: Unpack[HandlerOptions[Any]]
    ) -> Subscriber[Never]: ...
    @overload
    def on(
        self,
        a: EventType,
        b: EventType,
        c: EventType,
        d: EventType,
        /,
        *more: EventType,
        **options: Unpack[HandlerOptions[Any]],
    ) -> Subscriber[Never]: ...
    def on(self, *event_types: Any, **options: Any) -> Any:
        """
        Subscribe the decorated function at once, and return it as it is.

        Args:
            event_types: Classes, or unions of them. The handler gets their instances and those
                of their subclasses, and each event once. ``object`` gets everything, and does
                not count as handling it.
            sender: The session to get the events of; by default all of them, and those without.
            priority: Higher goes first; equal ones go in the order of registration.
            once: Take one event, and end the subscription.
            when: A predicate of the event, called at publish; events it rejects are not delivered.
                They count as handled all the same.
            timeout: Seconds after which an async handler is cancelled; TimeoutError is its
                failure then, and it goes on with the next event.
            weak: Don't keep the object of a bound method alive.
            mailbox: How events wait for an async handler; by default up to 65,536 for each
                sender, and the oldest makes room for more.

        Raises:
            EventTypeError: An event type is not a class.
            HandlerError: The function can't be a handler.
            OptionError: An option has a value that it can't have, or doesn't fit the handler.
            DuplicateSubscriptionError: The function is subscribed to one of the classes, for
                this sender, with other options.
        """
        checked = read_options(options, where="on()")
        classes = event_classes(event_types)

        def subscribe(handler: Any) -> Any:
            refuse_method(handler)
            description = describe_handler(handler)
            check_options_for(description, checked)
            self._add(description, classes, checked)
            return handler

        return subscribe

    # Here *more is for pyright, which can't tell that a handler of A | B | C is one of
    # E1 | E2 | E3; that it is one of E1, and each class an E1, it can.
    @overload
    def subscribe(
        self,
        handler: HandlerOf[E1],
        event_type: type[E1],
        /,
        *more: type[E1],
        **options: Unpack[HandlerOptions[E1]],
    ) -> Subscription: ...
    @overload
    def subscribe(
        self,
        handler: HandlerOf[E1 | E2],
        event_type: type[E1],
        event_type2: type[E2],
        /,
        **options: Unpack[HandlerOptions[E1 | E2]],
    ) -> Subscription: ...
    @overload
    def subscribe(
        self,
        handler: HandlerOf[E1 | E2 | E3],
        event_type: type[E1],
        event_type2: type[E2],
        event_type3: type[E3],
        /,
        **options: Unpack[HandlerOptions[E1 | E2 | E3]],
    ) -> Subscription: ...
    @overload
    def subscribe(
        self,
        handler: Callable[..., object],
        union: UnionType,
        /,
        *more: EventType,
        **options: Unpack[HandlerOptions[Any]],
    ) -> Subscription: ...
    @overload
    def subscribe(
        self,
        handler: Callable[..., object],
        a: EventType,
        b: EventType,
        c: EventType,
        d: EventType,
        /,
        *more: EventType,
        **options: Unpack[HandlerOptions[Any]],
    ) -> Subscription: ...
    def subscribe(
        self, handler: Callable[..., object], *event_types: Any, **options: Any
    ) -> Subscription:
        """
        Subscribe *handler*, and return its subscription, which can be cancelled.

        A handler is subscribed once for each class and sender: subscribing it again returns the
        subscription that there is.

        Args:
            handler: Takes the event, or the event and a `Context`; a function, a coroutine
                function, or any other callable.
            event_types: As in `on`, and so are all the options.

        Raises:
            EventTypeError, HandlerError, OptionError, DuplicateSubscriptionError: As in `on`.
        """
        checked = read_options(options, where=f"subscribe({handler_name(handler)})")
        refuse_exchanged(handler, event_types)
        description = describe_handler(handler)
        classes = event_classes(event_types, "subscribe()")
        check_options_for(description, checked)
        return self._add(description, classes, checked)

    @overload
    async def expect(
        self,
        event_type: type[E1],
        /,
        *,
        sender: Any = ANY,
        when: Callable[[E1], object] | None = None,
        timeout: float | None = None,
    ) -> E1: ...
    @overload
    async def expect(
        self,
        event_type: type[E1],
        event_type2: type[E2],
        /,
        *,
        sender: Any = ANY,
        when: Callable[[E1 | E2], object] | None = None,
        timeout: float | None = None,
    ) -> E1 | E2: ...
    @overload
    async def expect(
        self,
        event_type: type[E1],
        event_type2: type[E2],
        event_type3: type[E3],
        /,
        *,
        sender: Any = ANY,
        when: Callable[[E1 | E2 | E3], object] | None = None,
        timeout: float | None = None,
    ) -> E1 | E2 | E3: ...
    @overload
    async def expect(
        self,
        union: UnionType,
        /,
        *more: EventType,
        sender: Any = ANY,
        when: Callable[[Any], object] | None = None,
        timeout: float | None = None,
    ) -> Any: ...
    @overload
    async def expect(
        self,
        a: EventType,
        b: EventType,
        c: EventType,
        d: EventType,
        /,
        *more: EventType,
        sender: Any = ANY,
        when: Callable[[Any], object] | None = None,
        timeout: float | None = None,
    ) -> Any: ...
    async def expect(self, *event_types: Any, **options: Any) -> Any:
        """
        Wait for an event, and return it: the first that is published from now on.

        Other handlers get the event as well. If it is cancelled, nothing is lost.

        Args:
            event_types: Classes, or unions of them, as in `on`.
            sender: The session to get the event of; by default any.
            when: A predicate of the event; events it rejects do not count.
            timeout: Seconds to wait; None is as long as it takes.

        Raises:
            TimeoutError: There was none in time.
            BusClosed: The bus was closed meanwhile.
            BusNotRunning: The bus doesn't run.
            EventTypeError, OptionError: As in `on`.
            Exception: The predicate raised it.
        """
        checked = read_options(options, where="expect()", known=_EXPECT)
        classes = event_classes(event_types, "expect()")
        sender = self._bind(checked.sender)
        return await expect(
            self._attach, classes, sender=sender, when=checked.when, timeout=checked.timeout
        )

    @overload
    def stream(
        self,
        event_type: type[E1],
        /,
        *,
        sender: Any = ANY,
        when: Callable[[E1], object] | None = None,
        mailbox: Mailbox | None = None,
    ) -> Stream[E1]: ...
    @overload
    def stream(
        self,
        event_type: type[E1],
        event_type2: type[E2],
        /,
        *,
        sender: Any = ANY,
        when: Callable[[E1 | E2], object] | None = None,
        mailbox: Mailbox | None = None,
    ) -> Stream[E1 | E2]: ...
    @overload
    def stream(
        self,
        event_type: type[E1],
        event_type2: type[E2],
        event_type3: type[E3],
        /,
        *,
        sender: Any = ANY,
        when: Callable[[E1 | E2 | E3], object] | None = None,
        mailbox: Mailbox | None = None,
    ) -> Stream[E1 | E2 | E3]: ...
    @overload
    def stream(
        self,
        union: UnionType,
        /,
        *more: EventType,
        sender: Any = ANY,
        when: Callable[[Any], object] | None = None,
        mailbox: Mailbox | None = None,
    ) -> Stream[Any]: ...
    @overload
    def stream(
        self,
        a: EventType,
        b: EventType,
        c: EventType,
        d: EventType,
        /,
        *more: EventType,
        sender: Any = ANY,
        when: Callable[[Any], object] | None = None,
        mailbox: Mailbox | None = None,
    ) -> Stream[Any]: ...
    def stream(self, *event_types: Any, **options: Any) -> Stream[Any]:
        """
        Return the events of some classes as an async iterator, to be entered first.

        ::

            async with bus.stream(RealtimeModelTranscriptDeltaEvent) as deltas:
                async for delta in deltas: ...

        Each stream has a buffer of its own, and sees each event once, from when it is entered.
        It ends when the bus closes.

        Args:
            event_types: Classes, or unions of them, as in `on`.
            sender: The session to get the events of; by default all of them.
            when: A predicate of the event; events it rejects are left out.
            mailbox: The buffer; it must be one that drops. By default up to 65,536 events, and
                the oldest makes room for more.

        Raises:
            BusNotRunning: On entering: the bus doesn't run.
            EventTypeError, OptionError: As in `on`.
        """
        checked = read_options(options, where="stream()", known=_STREAM)
        classes = event_classes(event_types, "stream()")
        return Stream(
            self._attach,
            classes,
            sender=self._bind(checked.sender),
            when=checked.when,
            mailbox=checked.mailbox,
            on_drop=self._dispatcher.dropped,
            on_wait=self._dispatcher.waiters.notice,
        )

    def register(self, listener: object) -> Registration:
        """
        Subscribe everything in *listener* that is marked with `eventbus.on`, or nothing.

        Args:
            listener: A module, an object with marked methods, or a marked function.

        Returns:
            The subscriptions, which can be cancelled together; handlers that were subscribed
            already are part of it.

        Raises:
            HandlerError: Nothing in it is marked, or a marked function can't be a handler.
            OptionError: An option doesn't fit its handler.
            DuplicateSubscriptionError: A handler is subscribed already, with other options.
        """
        if isinstance(listener, type):
            _refuse_listener(listener)
        marked = []
        for target, mark in marks_in(listener):
            description = describe_handler(target)
            check_options_for(description, mark.options)
            marked.append((description, mark))
        if not marked:
            _refuse_listener(listener)
        # A subscription that is there already is returned by _add, and survives a failure.
        find = self._dispatcher.registry.find
        before = {s for description, _ in marked for s in find(description.call)}
        subscriptions: dict[Subscription, None] = {}
        try:
            for description, mark in marked:
                subscriptions[self._add(description, mark.classes, mark.options)] = None
        except BaseException:
            # Looked up: after a KeyboardInterrupt, the last one may not be in the dict yet.
            for description, _ in marked:
                for subscription in find(description.call):
                    if subscription not in before:
                        subscription.cancel()
            raise
        return Registration(subscriptions)


def _refuse_listener(listener: object) -> NoReturn:
    if isinstance(listener, type):
        name = listener.__qualname__
        msg = f"register() takes an object, and {name} is a class; register an instance: {name}()."
    else:
        name = listener.__name__ if isinstance(listener, ModuleType) else handler_name(listener)
        msg = f"{name} has no handlers; mark some with @on(EventClass), or use bus.subscribe."
    raise HandlerError(msg, handler=listener)
