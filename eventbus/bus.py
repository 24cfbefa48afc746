"""
`EventBus`, the facade: what handlers are registered with, and events published on.

Little is decided here. Who gets an event is `routing`'s business, calling them `dispatch`'s,
and what a handler may look like `handlers`'.
"""

from __future__ import annotations

import contextlib
from types import ModuleType, UnionType
from typing import TYPE_CHECKING, Any, Never, NoReturn, TypeVar, overload

import attrs
from blinker import ANY

from ._core.dispatcher import Dispatcher, raise_together
from ._core.registry import Registration, Subscription, sender_key
from ._core.waiting import Stream, expect
from .events import RealtimeModelExceptionEvent
from .exceptions import BusNotRunning, EventBusError, HandlerError, OptionError, PluginError
from .handlers import (
    Options,
    check_options,
    check_options_for,
    describe_handler,
    event_classes,
    handler_name,
    marks_in,
    refuse_method,
    refuse_unknown,
)
from .plugins import find_plugins, load_plugin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Self, Unpack

    from ._core.waiting import Parked
    from ._core.workers import Runner
    from .handlers import EventType, Handler, HandlerOf, HandlerOptions, Subscriber
    from .mailbox import Mailbox
    from .middleware import Middleware, Observer

__all__ = ["EventBus", "Scope"]

E1 = TypeVar("E1")
E2 = TypeVar("E2")
E3 = TypeVar("E3")


class _Subscribing:
    """What registering handlers and waiting for events look like, on a bus and on a scope of it."""

    __slots__ = ()

    @property
    def _bus(self) -> EventBus:
        raise NotImplementedError

    def _bind(self, sender: Any) -> Any:
        """Return the sender to subscribe for, where *sender* was asked for."""
        raise NotImplementedError

    def _subscribe(
        self, handler: Handler, classes: tuple[type[Any], ...], options: Options
    ) -> Subscription:
        raise NotImplementedError

    def _attach_here(
        self,
        handler: Handler,
        event_types: tuple[type[Any], ...],
        options: Options,
        parked: Parked,
    ) -> AbstractContextManager[Subscription]:
        """Return what subscribes for a task that waits for events, while it is entered."""
        return self._bus._attach(handler, event_types, options, parked)  # noqa: SLF001  # in the bus

    def _subscriptions_of(self, handler: Handler) -> list[Subscription]:
        return self._bus._registry.find(handler.call)  # noqa: SLF001  # in the bus

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
    def on(
        self,
        *event_types: Any,
        sender: Any = ANY,
        priority: int = 0,
        once: bool = False,
        when: Callable[[Any], object] | None = None,
        timeout: float | None = None,
        weak: bool = False,
        mailbox: Mailbox | None = None,
        **unknown: object,
    ) -> Any:
        """
        Subscribe the decorated function at once, and return it as it is.

        Args:
            event_types: Classes, or unions of them. The handler gets their instances and those
                of their subclasses, and each event once. ``object`` gets everything, and does
                not count as handling it.
            sender: The session whose events it gets; by default those of all, and those without.
            priority: Higher goes first; equal ones go in the order of registration.
            once: Take one event, and end the subscription.
            when: A predicate of the event; what it says no to, the handler doesn't get. Asked at
                publish. The event counts as handled all the same.
            timeout: Seconds, after which an async handler is cancelled; TimeoutError is its
                failure then, and it goes on with the next event.
            weak: Don't keep the object of a bound method alive.
            mailbox: How events wait for an async handler; by default up to 65,536 for each
                sender, and the oldest makes room for more.

        Raises:
            EventTypeError: What was given is no class.
            HandlerError: The function can't be a handler.
            OptionError: An option has a value that it can't have, or doesn't fit the handler.
            DuplicateSubscriptionError: The function is subscribed to one of the classes, for
                this sender, with other options.
        """
        refuse_unknown(unknown, where="on()")
        classes = event_classes(event_types)
        options = check_options(Options(sender, priority, once, when, timeout, weak, mailbox))

        def subscribe(handler: Any) -> Any:
            refuse_method(handler)
            description = describe_handler(handler)
            check_options_for(description, options)
            self._subscribe(description, classes, options)
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
        self,
        handler: Callable[..., object],
        *event_types: Any,
        sender: Any = ANY,
        priority: int = 0,
        once: bool = False,
        when: Callable[[Any], object] | None = None,
        timeout: float | None = None,
        weak: bool = False,
        mailbox: Mailbox | None = None,
        **unknown: object,
    ) -> Subscription:
        """
        Subscribe *handler*, and return what ends it.

        A handler is subscribed once for each class and sender: subscribing it again returns the
        subscription that there is.

        Args:
            handler: Takes the event, or the event and a `Context`; a function, a coroutine
                function, or any other callable.
            event_types: As in `on`, and so are all the options.

        Raises:
            EventTypeError, HandlerError, OptionError, DuplicateSubscriptionError: As in `on`.
        """
        refuse_unknown(unknown, where=f"subscribe({handler_name(handler)})")
        description = describe_handler(handler)
        classes = event_classes(event_types)
        options = check_options(Options(sender, priority, once, when, timeout, weak, mailbox))
        check_options_for(description, options)
        return self._subscribe(description, classes, options)

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
    async def expect(
        self,
        *event_types: Any,
        sender: Any = ANY,
        when: Callable[[Any], object] | None = None,
        timeout: float | None = None,
        **unknown: object,
    ) -> Any:
        """
        Wait for an event, and return it: the first that is published from now on.

        Cancelling it takes nothing from anybody: other handlers get the event as well.

        Args:
            event_types: Classes, or unions of them, as in `on`.
            sender: The session whose events count; by default all of them.
            when: A predicate of the event; only what it says yes to counts.
            timeout: Seconds to wait; None is as long as it takes.

        Raises:
            TimeoutError: There was none in time.
            BusClosed: The bus was closed meanwhile.
            BusNotRunning: The bus doesn't run.
            EventTypeError, OptionError: As in `on`.
            Exception: What *when* raised.
        """
        refuse_unknown(unknown, where="expect()", known=("sender", "when", "timeout"))
        classes = event_classes(event_types)
        options = check_options(Options(self._bind(sender), when=when, timeout=timeout))
        return await expect(
            self._attach_here, classes, sender=options.sender, when=when, timeout=timeout
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
    def stream(
        self,
        *event_types: Any,
        sender: Any = ANY,
        when: Callable[[Any], object] | None = None,
        mailbox: Mailbox | None = None,
        **unknown: object,
    ) -> Stream[Any]:
        """
        Return the events of some classes as an async iterator, to be entered first.

        ::

            async with bus.stream(RealtimeModelTranscriptDeltaEvent) as deltas:
                async for delta in deltas: ...

        Each stream has a buffer of its own, and sees each event once, from when it is entered.
        It ends when the bus closes.

        Args:
            event_types: Classes, or unions of them, as in `on`.
            sender: The session whose events it gets; by default all of them.
            when: A predicate of the event; what it says no to is left out.
            mailbox: The buffer; it must be one that drops. By default up to 65,536 events, and
                the oldest makes room for more.

        Raises:
            BusNotRunning: On entering: the bus doesn't run.
            EventTypeError, OptionError: As in `on`.
        """
        refuse_unknown(unknown, where="stream()", known=("sender", "when", "mailbox"))
        classes = event_classes(event_types)
        options = check_options(Options(self._bind(sender), when=when, mailbox=mailbox))
        bus = self._bus
        return Stream(
            self._attach_here,
            classes,
            sender=options.sender,
            when=when,
            mailbox=mailbox,
            on_drop=bus._dropped,  # noqa: SLF001  # in the bus
            on_wait=bus._note_waiting,  # noqa: SLF001  # in the bus
        )

    def register(self, listener: object) -> Registration:
        """
        Subscribe everything in *listener* that is marked with `eventbus.on`, or nothing.

        Args:
            listener: A module, an object whose class has marked methods, or a marked function.

        Returns:
            What undoes it; handlers that were subscribed already are part of it.

        Raises:
            HandlerError: Nothing in it is marked, or something that is can't be a handler.
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
        # What is there already comes back from _subscribe; a failure is no reason to cancel it.
        before = {s for description, _ in marked for s in self._subscriptions_of(description)}
        subscriptions: dict[Subscription, None] = {}
        try:
            for description, mark in marked:
                subscriptions[self._subscribe(description, mark.classes, mark.options)] = None
        except BaseException:
            for subscription in subscriptions.keys() - before:
                subscription.cancel()
            raise
        return Registration(subscriptions)


class EventBus(_Subscribing, Dispatcher):
    """
    A typed event bus.

    Sync handlers are called by `publish`. Async ones need the bus to run, which it does inside
    ``async with bus:``, on asyncio or trio; at its end everything that is queued is handled. It
    can be entered again later, also in another event loop.

    Args:
        middleware: Functions that each published event passes, in this order, before its
            handlers; see `eventbus.middleware`.
        observers: What sees each handler call; see `eventbus.middleware.Observer`.
        strict: Raise what handlers raise: `publish` does for sync ones, leaving ``async with``
            for async ones. For tests.

    Raises:
        HandlerError: Something can't be middleware.
    """

    __slots__ = ("_entered",)

    def __init__(
        self,
        *,
        middleware: Iterable[Middleware] = (),
        observers: Iterable[Observer] = (),
        strict: bool = False,
    ) -> None:
        super().__init__(middleware=middleware, observers=observers, strict=strict)
        self._entered: Runner | None = None

    @property
    def is_running(self) -> bool:
        """Whether async handlers can get events."""
        return self._runner is not None

    def unsubscribe(self, handler: Callable[..., object]) -> None:
        """
        End every subscription of *handler*, as `Subscription.cancel` does.

        Does nothing if there is none.
        """
        for subscription in self._registry.find(handler):
            subscription.cancel()

    def load_plugins(
        self, names: Iterable[str] | None = None, exclude: Iterable[str] = ()
    ) -> dict[str, Registration]:
        """
        Register the plugins that are installed; see `eventbus.plugins`.

        One that can't be loaded becomes a `RealtimeModelExceptionEvent`, and the others load.

        Args:
            names: Which; by default all of them, in the order of their names.
            exclude: Which not.

        Returns:
            What undoes it, by name.

        Raises:
            PluginNotFoundError: A name in *names* is nobody's; nothing was loaded.
        """
        registrations = {}
        for entry_point in find_plugins(names, exclude):
            try:
                registrations[entry_point.name] = self.register(load_plugin(entry_point))
            except Exception as exc:  # noqa: BLE001  # somebody else's code, and it is reported
                msg = f"The plugin {entry_point.name!r} ({entry_point.value}) could not be loaded."
                error = PluginError(msg, plugin=entry_point.name)
                error.__cause__ = exc
                context = f"loading the plugin {entry_point.name}"
                event = RealtimeModelExceptionEvent(error, context)
                try:
                    self.publish(event)
                except BusNotRunning as reason:  # an async handler would be told, if it could
                    self._report_lost(event, reason)
        return registrations

    def scope(self, sender: Any) -> Scope:
        """
        Return a scope that binds *sender*, as a context manager.

        Args:
            sender: The session: any object but None. Senders are told apart by identity,
                strings and integers by value.
        """
        return Scope(self, sender)

    async def __aenter__(self) -> Self:
        """
        Run in the present event loop.

        Raises:
            EventBusError: It runs already.
        """
        self._entered = await self._start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """
        Close the bus, after everything that is queued was handled.

        A cancellation, a KeyboardInterrupt or a SystemExit of the body close it at once.
        """
        runner, self._entered = self._entered, None
        assert runner is not None
        error = exc
        try:
            await self.aclose(drain=exc is None or isinstance(exc, Exception))
        except BaseException as closing:  # noqa: BLE001  # raised below, if it is not our own
            error = closing
        is_ours = runner.leave_host(error)
        raised, self._raised_async = self._raised_async, []
        if runner.fatal is not None:
            raise runner.fatal
        if error is not exc and error is not None and not is_ours:
            raise error
        if error is None or is_ours:
            raise_together("handlers failed", raised)
        return is_ours

    def __repr__(self) -> str:
        return f"<EventBus, {self._state.value}>"

    def __reduce__(self) -> NoReturn:
        msg = "An EventBus can't be pickled or copied; events can."
        raise TypeError(msg)

    @property
    def _bus(self) -> EventBus:
        return self

    def _bind(self, sender: Any) -> Any:
        return sender

    def _subscribe(
        self, handler: Handler, classes: tuple[type[Any], ...], options: Options
    ) -> Subscription:
        return self._registry.add(handler, classes, options)


class Scope(_Subscribing):
    """
    A bus, seen by one session: everything in it is bound to one sender.

    At its exit its subscriptions are cancelled, and what is queued for them is gone; its streams
    end, and who waits in `expect` gets `BusClosed`. Handlers of the bus itself still get what the
    session has published.

    Attributes:
        bus: The bus.
        sender: The session.
    """

    __slots__ = ("_parked", "_subscriptions", "bus", "sender")

    def __init__(self, bus: EventBus, sender: Any) -> None:
        if sender is None or sender is ANY:
            msg = "scope() takes a sender: any object that stands for a session, but not None."
            raise TypeError(msg)
        self.bus = bus
        self.sender = sender
        self._subscriptions: set[Subscription] | None = None
        self._parked: set[Parked] = set()

    def publish(self, event: Any) -> None:
        """Publish *event* as the session's; see `EventBus.publish`."""
        self.bus.publish(event, sender=self.sender)

    def count_unseen(self, event_type: type[Any]) -> bool:
        """Count an event that nothing would see; see `EventBus.count_unseen`."""
        return self.bus.count_unseen(event_type, self.sender)

    def has_handlers(self, event_type: type[Any]) -> bool:
        """Return whether the session's event would reach a handler; see `EventBus.has_handlers`."""
        return self.bus.has_handlers(event_type, sender=self.sender)

    async def publish_async(self, event: Any) -> None:
        """Publish *event* as the session's; see `EventBus.publish_async`."""
        await self.bus.publish_async(event, sender=self.sender)

    async def publish_and_wait(self, event: Any, *, raise_errors: bool = False) -> None:
        """Publish *event* as the session's; see `EventBus.publish_and_wait`."""
        await self.bus.publish_and_wait(event, sender=self.sender, raise_errors=raise_errors)

    def __enter__(self) -> Self:
        if self._subscriptions is not None:
            msg = "The scope is entered already; ask the bus for another one."
            raise EventBusError(msg)
        self._subscriptions = set()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        subscriptions, self._subscriptions = self._subscriptions, None
        for subscription in subscriptions or ():
            subscription.cancel()
        for parked in tuple(self._parked):
            parked.abort()

    def __repr__(self) -> str:
        return f"<Scope of {self.sender!r}>"

    def _subscribe(
        self, handler: Handler, classes: tuple[type[Any], ...], options: Options
    ) -> Subscription:
        if self._subscriptions is None:
            msg = f"The scope is not entered; write: with bus.scope({self.sender!r}) as call."
            raise EventBusError(msg)
        options = attrs.evolve(options, sender=self._bind(options.sender))
        before = self._subscriptions_of(handler)
        subscription = self.bus._subscribe(handler, classes, options)  # noqa: SLF001  # in the bus
        if subscription not in before:  # what was there before the scope outlives it
            self._subscriptions.add(subscription)
        return subscription

    @contextlib.contextmanager
    def _attach_here(
        self,
        handler: Handler,
        event_types: tuple[type[Any], ...],
        options: Options,
        parked: Parked,
    ) -> Iterator[Subscription]:
        self._parked.add(parked)
        try:
            with super()._attach_here(handler, event_types, options, parked) as subscription:
                yield subscription
        finally:
            self._parked.discard(parked)

    @property
    def _bus(self) -> EventBus:
        return self.bus

    def _bind(self, sender: Any) -> Any:
        is_given = sender is not ANY and sender is not None
        if is_given and sender_key(sender) != sender_key(self.sender):
            msg = f"A scope subscribes for its own sender, {self.sender!r}; leave out sender=."
            raise OptionError(msg, option="sender")
        return self.sender


def _refuse_listener(listener: object) -> NoReturn:
    if isinstance(listener, type):
        name = listener.__qualname__
        msg = f"register() takes an object, and {name} is a class; register an instance: {name}()."
    else:
        name = listener.__name__ if isinstance(listener, ModuleType) else handler_name(listener)
        msg = f"{name} has no handlers; mark some with @on(EventClass), or use bus.subscribe."
    raise HandlerError(msg, handler=listener)
