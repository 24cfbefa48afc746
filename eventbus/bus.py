"""
`EventBus` and `Scope`: registering handlers, publishing, starting and closing.

The way of an event: `EventBus.publish` finds the calls of its route by its class (compiled by
`_core.compiler`, as `_core.routing` decides) and makes them, each isolated. A sync handler is such
a call; that of an async one puts the event into a mailbox, which `_core.delivery` serves. An
event that isn't known yet, or comes from inside a handler or another thread, goes by
`_core.dispatcher`.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
from threading import get_ident
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import attrs
from blinker import ANY

from ._core.dispatcher import BusStats, Dispatcher
from ._core.lifecycle import Lifecycle
from ._core.registry import Registration, Subscription, sender_key
from ._core.turn import dispatches
from ._core.waiting import Stream
from ._registrar import Registrar
from .events import RealtimeModelExceptionEvent
from .exceptions import (
    BusClosed,
    BusNotRunning,
    EventBusError,
    OptionError,
    PluginError,
)
from .plugins import find_plugins, load_plugin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Self

    from ._core.options import Options
    from ._core.signatures import Handler
    from ._core.waiting import Parked
    from .middleware import Middleware, Observer

__all__ = [
    "BusStats",
    "EventBus",
    "Inspection",
    "Registrar",
    "Registration",
    "Scope",
    "Stream",
    "Subscription",
]

logger = logging.getLogger(__name__)


class Inspection(Protocol):
    """
    A page that shows a bus, while this is entered; `EventBus.inspect` returns one.

    Attributes:
        url: The address to open, with its token; empty before it is entered.
    """

    url: str

    def listen(self, model: Any, sender: Any = None) -> None:
        """Show the caller's side as well: the messages that are sent through *model*."""
        ...

    def sent(self, message: Mapping[str, Any] | str | bytes, sender: Any = None) -> None:
        """Show a message to the service, of which no model tells."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> bool | None: ...


class EventBus(Registrar):
    """
    A typed event bus.

    Sync handlers are called by `publish`. Async ones need the bus to run, which it does inside
    ``async with bus:``, on asyncio or trio; at its end everything that is queued is handled. It
    can be entered again later, also in another event loop.

    Args:
        middleware: Functions that each published event passes, in this order, before its
            handlers; see `eventbus.middleware`.
        observers: Observers of handler calls; see `eventbus.middleware.Observer`.
        strict: Raise the exceptions of handlers: `publish` does for sync ones, leaving
            ``async with`` for async ones, of which it keeps the first 32. For tests.

    Raises:
        HandlerError: A function can't be middleware, or an object can't be an observer.
    """

    __slots__ = ("__weakref__", "_dispatch", "_fast", "_fast_of", "_inspection", "_lifecycle",
                 "_routes", "_turn")  # fmt: skip

    def __init__(
        self,
        *,
        middleware: Iterable[Middleware] = (),
        observers: Iterable[Observer] = (),
        strict: bool = False,
    ) -> None:
        self._dispatcher = Dispatcher(
            self, middleware=middleware, observers=observers, strict=strict
        )
        # The parts that publish looks at.
        self._turn = self._dispatcher.turn
        self._routes = self._dispatcher.routes
        self._fast = self._routes.fast
        self._fast_of = self._routes.fast_of
        self._dispatch = self._dispatcher.dispatch
        self._lifecycle = Lifecycle(self._dispatcher)
        self._inspection = contextlib.ExitStack()

    # --- publishing ---------------------------------------------------------------------

    # Give sender by its name; it isn't keyword-only just because CPython calls a function that
    # has keyword-only defaults the slow way, which is a tenth of the time that this takes.
    # Scope.publish is the same once more, for a sender that is known: to call this one from there
    # would take as long as a handler.
    @dispatches
    def publish(self, event: Any, sender: Any = None) -> None:  # noqa: C901, PLR0912  # in one frame
        """
        Publish *event*: sync handlers have run when it returns, async ones have it queued.

        Called from inside a handler it returns at once, and the event is dispatched after the
        present one. Called from another thread than that of the running bus it returns at once,
        too, and the event is handed over, in order.

        Args:
            event: An object of any class. A bare dict, str or bytes is published as a
                `RealtimeModelRawServerEvent` of it.
            sender: The session that the event belongs to. Senders are told apart by identity,
                strings and integers by value.

        Raises:
            BusNotRunning: It would reach an async handler, and the bus doesn't run; no handler
                has run.
            MailboxFull: A mailbox with `Overflow.RAISE` had no room; the other handlers have
                got the event.
            BusClosed: The bus is closed, or the event loop that it ran in.
            EventTypeError: *event* is a class.
            Exception: A handler raised it, with ``EventBus(strict=True)`` only.
        """
        turn = self._turn
        if sender is None:
            fast = self._fast
        else:
            key = sender if type(sender) is str else sender_key(sender)
            fast = self._fast_of.get(key, self._fast)
        try:
            calls = fast[type(event)]
        except KeyError:
            calls = None
        if (
            calls is None
            or (turn.thread is not None and turn.thread != get_ident())
            or turn.current is not None
        ):
            self._dispatcher.publish(event, sender)
            return
        try:
            turn.current = calls
            turn.tally += calls.tally
            call = calls.only
            if call is not None:  # an iterator for one call takes longer than the call
                try:
                    call(event)
                except BaseException as exc:
                    if not self._dispatcher.isolate(calls, call, event, sender, exc):
                        raise
            else:
                if sender is not None:
                    self._dispatch.sender = sender
                    self._dispatch.key = key  # pyright: ignore[reportPossiblyUnboundVariable]  # set above
                for call in calls.calls:
                    try:
                        call(event)
                    except BaseException as exc:
                        if not self._dispatcher.isolate(calls, call, event, sender, exc):
                            raise
                if sender is not None:
                    self._dispatch.sender = self._dispatch.key = None
            turn.current = None
        except BaseException:
            self._dispatch.clear()
            turn.give_up()
            raise
        if turn.is_waited_for:
            turn.work_off()

    async def publish_async(self, event: Any, *, sender: Any = None) -> None:
        """
        Publish *event*, and wait until no full mailbox with `Overflow.BLOCK` got it.

        It returns before async handlers have run. If it is cancelled, the event has been
        published all the same. A handler does not wait for room in its own mailbox, nor in that
        of a handler that waits for it.

        Args:
            event: As in `publish`.
            sender: As in `publish`.

        Raises:
            BusNotRunning, MailboxFull, BusClosed, EventTypeError: As in `publish`.
        """
        dispatcher = self._dispatcher
        tracker = dispatcher.publish_tracked(event, sender, waits_for_handlers=False)
        with dispatcher.deliveries.waiting_for(tracker):
            await tracker.wait_room()
        if tracker.was_aborted:
            msg = f"The bus was closed before there was room for {type(event).__qualname__}."
            raise BusClosed(msg)

    async def publish_and_wait(
        self, event: Any, *, sender: Any = None, raise_errors: bool = False
    ) -> None:
        """
        Publish *event*, and return when every handler of it has finished.

        If it is cancelled, the handlers go on. Awaited in a handler that gets the event itself,
        the handler runs for it beside the call that waits.

        Args:
            event: As in `publish`.
            sender: As in `publish`.
            raise_errors: Raise the exceptions of the handlers, once all have finished.

        Raises:
            BaseExceptionGroup: The exceptions of the handlers, if *raise_errors*; an
                ExceptionGroup, unless one of them is not an Exception.
            BusClosed: The bus is closed, or was before all handlers had finished.
            BusNotRunning, MailboxFull, EventTypeError: As in `publish`.
        """
        dispatcher, name = self._dispatcher, type(event).__qualname__
        tracker = dispatcher.publish_tracked(event, sender, waits_for_handlers=True)
        await dispatcher.waiters.wait_for(tracker)
        if tracker.was_aborted:
            msg = f"The bus was closed before all handlers of {name} had finished."
            raise BusClosed(msg)
        # Taken out: an error's traceback leads back to the tracker, and that would be a cycle.
        errors, tracker.errors = tracker.errors, []
        if raise_errors and errors:
            msg = f"handlers of {name} failed"
            raise BaseExceptionGroup(msg, errors)

    # --- looking ------------------------------------------------------------------------

    @property
    def stats(self) -> BusStats:
        """The counts of the bus so far; a snapshot."""
        return self._dispatcher.stats()

    @property
    def is_running(self) -> bool:
        """True if async handlers can get events."""
        return self._dispatcher.runner is not None

    def has_handlers(self, event_type: type[Any], *, sender: Any = None) -> bool:
        """
        Return True if an event of *event_type* would reach a handler as it is.

        That is one of the class or of a base of it, ``object`` included; a fallback does not
        count, nor does an observer. A publisher of events that only repeat another one asks it,
        to publish them only where a handler gets them. It takes no longer than a look-up, until a
        subscription changes.

        Args:
            event_type: The class of the event.
            sender: The session that the event would belong to, as in `publish`.
        """
        return self._routes.has_handlers(event_type, sender)

    @property
    def routing_state(self) -> object:
        """
        An object that stands for all that decides which handlers and observers see an event.

        It is another one as soon as that has changed. While it is the same, so are the answers of
        `has_handlers` and `may_publish_after`: a publisher of many events a second can keep them.
        """
        return self._routes.state

    def may_publish_after(self, unseen: type[Any], sender: Any = None) -> bool:
        """
        Return True if `publish_after` may leave out an event of the class *unseen*.

        It may return False all the same, in a handler for example. A publisher asks this if it
        must decide before it has the other event.

        Args:
            unseen: As in `publish_after`, which is given the frame.
            sender: As in `publish`.
        """
        calls = self._routes.find_fast(unseen, sender)
        return calls is not None and (calls.is_unseen or calls.take_frame is not None)

    # As with publish, sender isn't keyword-only, which costs.
    def count_unseen(self, event_type: type[Any], sender: Any = None) -> bool:
        """
        Count an event of *event_type* as published if nothing would see it, else return False.

        An event is seen by handlers, fallbacks, middleware and event observers. For publishers
        of events that are expensive to make: if it returns False, make the event and publish
        it. It may return False for an event that would not be seen: in a handler, for example.

        Args:
            event_type: The class of the event.
            sender: The session that the event would belong to, as in `publish`.
        """
        turn, fast = self._turn, self._fast
        if sender is not None:
            fast = self._fast_of.get(sender if type(sender) is str else sender_key(sender), fast)
        calls = fast.get(event_type) or self._routes.find_fast(event_type, sender)
        if (
            calls is None
            or not calls.is_unseen
            or turn.current is not None
            or (turn.thread is not None and turn.thread != get_ident())
        ):
            return False
        turn.tally += calls.tally
        turn.unhandled += 1
        return True

    @dispatches
    def publish_after(  # noqa: C901, PLR0912  # in one frame, as publish
        self,
        unseen: type[Any],
        event: Any,
        sender: Any = None,
        frame: bytes | None = None,
        mark: int = 0,
    ) -> bool:
        """
        Publish *event* after an event of the class *unseen*, if nothing would see that one.

        It is `count_unseen` and `publish` in one step. If it returns False, it has done nothing:
        call these two, or make the other event and publish both. A recorder doesn't need to see a
        frame's raw event, if it gets the frame.

        Args:
            unseen: The class of an event that is expensive to make, and comes first.
            event: As in `publish`.
            sender: As in `publish`.
            frame: The frame of which *event* is all that it means, and a JSON object.
            mark: The mark that a decoder would give to the raw event; see
                `eventbus.wire.origin_of`.

        Raises:
            Exception: As in `publish`.
        """
        turn = self._turn
        if sender is None:
            fast = self._fast
        else:
            key = sender if type(sender) is str else sender_key(sender)
            fast = self._fast_of.get(key, self._fast)
        try:
            first, calls = fast[unseen], fast[type(event)]
        except KeyError:
            return False
        take_frame = None
        if not first.is_unseen:
            take_frame = first.take_frame
            if take_frame is None or frame is None:
                return False
        if (turn.thread is not None and turn.thread != get_ident()) or turn.current is not None:
            return False
        try:
            turn.current = calls
            turn.tally += first.tally + calls.tally
            turn.unhandled += 1
            if take_frame is not None and frame is not None:
                take_frame(frame, mark, sender, event)
            call = calls.only
            if call is not None:
                try:
                    call(event)
                except BaseException as exc:
                    if not self._dispatcher.isolate(calls, call, event, sender, exc):
                        raise
            else:
                if sender is not None:
                    self._dispatch.sender = sender
                    self._dispatch.key = key  # pyright: ignore[reportPossiblyUnboundVariable]  # set above
                for call in calls.calls:
                    try:
                        call(event)
                    except BaseException as exc:
                        if not self._dispatcher.isolate(calls, call, event, sender, exc):
                            raise
                if sender is not None:
                    self._dispatch.sender = self._dispatch.key = None
            turn.current = None
        except BaseException:
            self._dispatch.clear()
            turn.give_up()
            raise
        if turn.is_waited_for:
            turn.work_off()
        return True

    @contextlib.contextmanager
    def observe(self, observer: Observer) -> Iterator[None]:
        """
        Let *observer* see each handler call, while this is entered.

        It is for code that hasn't made the bus; ``EventBus(observers=[...])`` is for the code that
        has. A handler that is working through its mailbox is seen from when it has run dry.

        Args:
            observer: Comes after the observers that there are; see
                `eventbus.middleware.EventObserver` for more that it can see.

        Raises:
            HandlerError: It lacks a method of an observer.
        """
        self._dispatcher.add_observer(observer)
        try:
            yield
        finally:
            self._dispatcher.remove_observer(observer)

    def inspect(
        self, *, host: str = "127.0.0.1", port: int = 7420, token: str | None = None
    ) -> Inspection:
        """
        Show this bus in a browser, while the result is entered.

        ::

            with bus.inspect() as inspection:
                print(inspection.url)

        With the environment variable ``EVENTBUS_INSPECT`` set to a port, a bus that runs is shown
        by itself, and the address is written to stderr. Both need the extra ``inspect``.

        Args:
            host, port, token: As in `eventbus.inspector.Inspector`.

        Raises:
            InspectorError: On entering: the port is in use, or *host* is open to other machines
                and there is no *token*.
        """
        # By its name: the inspector knows the bus, and the bus knows no inspector.
        module = importlib.import_module("eventbus.inspector")
        inspection: Inspection = module.Inspector(self, host=host, port=port, token=token)
        return inspection

    # --- registering --------------------------------------------------------------------

    def unsubscribe(self, handler: Callable[..., object]) -> None:
        """
        End every subscription of *handler*, as `Subscription.cancel` does.

        Does nothing if there is none.
        """
        for subscription in self._dispatcher.registry.find(handler):
            subscription.cancel()

    def load_plugins(
        self, names: Iterable[str] | None = None, exclude: Iterable[str] = ()
    ) -> dict[str, Registration]:
        """
        Register the installed plugins; see `eventbus.plugins`.

        One that can't be loaded becomes a `RealtimeModelExceptionEvent`, and the others load.

        Args:
            names: The names of plugins; by default all of them, in the order of their names.
            exclude: The names of plugins to leave out.

        Returns:
            The registration of each plugin, by name.

        Raises:
            PluginNotFoundError: No package has a plugin of a name in *names*; nothing was loaded.
        """
        registrations: dict[str, Registration] = {}
        for entry_point in find_plugins(names, exclude):
            try:
                registrations[entry_point.name] = self.register(load_plugin(entry_point))
            except Exception as exc:  # noqa: BLE001  # other people's code, and it is reported
                msg = f"The plugin {entry_point.name!r} ({entry_point.value}) could not be loaded."
                error = PluginError(msg, plugin=entry_point.name)
                error.__cause__ = exc
                context = f"loading the plugin {entry_point.name}"
                event = RealtimeModelExceptionEvent(error, context)
                try:
                    self.publish(event)
                except BusNotRunning as reason:  # an async handler would be told, if it could
                    self._dispatcher.report_lost(event, reason)
        return registrations

    def scope(self, sender: Any) -> Scope:
        """
        Return a scope that binds *sender*, as a context manager.

        Args:
            sender: The session: any object but None. Senders are told apart by identity,
                strings and integers by value.
        """
        return Scope(self, sender)

    # --- starting and closing -----------------------------------------------------------

    async def __aenter__(self) -> Self:
        """
        Run in the present event loop.

        Raises:
            EventBusError: It runs already.
        """
        await self._lifecycle.start()
        if "EVENTBUS_INSPECT" in os.environ:
            self._inspect_as_asked(os.environ["EVENTBUS_INSPECT"])
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
        inspection, self._inspection = self._inspection, contextlib.ExitStack()
        return await self._lifecycle.leave(exc, on_closed=inspection.close)

    def _inspect_as_asked(self, port: str) -> None:
        """Show the bus at the port that the environment names; a failure is only logged."""
        if not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= 65_535):
            logger.error(
                "EVENTBUS_INSPECT is %r, so the bus can't be inspected; give a port, such as 7420, "
                "or 0 for any that is free",
                port,
            )
            return
        try:
            inspection = self.inspect(port=int(port))
            self._inspection.enter_context(inspection)
        except Exception:
            logger.exception("EVENTBUS_INSPECT is set, and the bus can't be inspected")
        else:
            print(f"eventbus inspector: {inspection.url}", file=sys.stderr)  # noqa: T201  # asked for

    async def aclose(self, *, drain: bool = True, timeout: float | None = None) -> None:
        """
        Close the bus; after it, `publish` raises `BusClosed`.

        With *drain*, events that are queued are handled first, and those that handlers publish
        meanwhile; the publish of any other code is refused at once. Without it, or when the time
        is up, handlers are cancelled, and the queued events are dropped. In the end iterators
        stop, and tasks that wait get `BusClosed`.

        It may be called from several tasks, and again later. Called in a handler, it returns at
        once, and the bus closes when it can. If it is cancelled, the bus is closed without
        draining.

        Args:
            drain: True to handle the queued events.
            timeout:
                Seconds to drain in, or without *drain*, to cancel in; None is as long as it takes
                to drain, and two seconds to cancel. Handlers that ignore their cancellation for
                so long are left behind; after a drain that ran out of time, for two seconds.

        Raises:
            EventBusError: The bus runs in another thread's event loop.
        """
        await self._lifecycle.close(drain=drain, timeout=timeout)

    # --- private ------------------------------------------------------------------------

    def __repr__(self) -> str:
        dispatcher = self._dispatcher
        if dispatcher.is_closed:
            state = "closed"
        elif dispatcher.is_closing:
            state = "closing"
        else:
            state = "idle" if dispatcher.runner is None else "running"
        return f"<EventBus, {state}>"

    def __reduce__(self) -> NoReturn:
        msg = "An EventBus can't be pickled or copied; events can."
        raise TypeError(msg)

    def _bind(self, sender: Any) -> Any:
        return sender

    def _add(
        self, handler: Handler, classes: tuple[type[Any], ...], options: Options
    ) -> Subscription:
        return self._dispatcher.registry.add(handler, classes, options)

    def _attach(
        self,
        handler: Handler,
        event_types: tuple[type[Any], ...],
        options: Options,
        parked: Parked,
    ) -> AbstractContextManager[Subscription]:
        if self._dispatcher.is_closed:
            self._dispatcher.check_open()
        return self._dispatcher.waiters.attached(handler, event_types, options, parked)


class Scope(Registrar):
    """
    A bus, seen by one session: everything in it is bound to one sender.

    At its exit its subscriptions are cancelled, and the events that are queued for them count as
    cancelled in `EventBus.stats`; its streams end, and tasks that wait in `expect` get
    `BusClosed`. Handlers of the bus itself still get the events that the session has published.

    Code that takes a bus and a sender can be given a scope instead: it publishes to `bus` as
    ``sender``.

    Attributes:
        bus: The bus.
        sender: The session.
    """

    __slots__ = ("_dispatch", "_fast", "_fast_of", "_is_entered", "_key", "_parked",
                 "_subscriptions", "_turn", "bus", "sender")  # fmt: skip

    def __init__(self, bus: EventBus, sender: Any) -> None:
        if sender is None or sender is ANY:
            msg = "scope() takes a sender: any object that stands for a session, but not None."
            raise TypeError(msg)
        self.bus = bus
        self.sender = sender
        self._dispatcher = bus._dispatcher  # noqa: SLF001  # this, and the rest, is one bus
        self._turn = self._dispatcher.turn
        self._fast = self._dispatcher.routes.fast
        self._fast_of = self._dispatcher.routes.fast_of
        self._dispatch = self._dispatcher.dispatch
        self._key = sender_key(sender)
        self._is_entered = False
        self._subscriptions: set[Subscription] | None = None
        self._parked: set[Parked] | None = None

    # --- publishing ---------------------------------------------------------------------

    @dispatches
    def publish(self, event: Any, sender: Any = None) -> None:  # noqa: C901  # as in EventBus
        """
        Publish *event* as the session's; see `EventBus.publish`.

        Args:
            event: As in `EventBus.publish`.
            sender: The sender of the scope, or None, which stands for it.

        Raises:
            OptionError: *sender* is another one.
        """
        turn = self._turn
        fast = self._fast_of.get(self._key, self._fast)
        try:
            calls = fast[type(event)]
        except KeyError:
            calls = None
        if (
            calls is None
            or sender is not None
            or (turn.thread is not None and turn.thread != get_ident())
            or turn.current is not None
        ):
            self._dispatcher.publish(event, self._own(sender))
            return
        try:
            turn.current = calls
            turn.tally += calls.tally
            call = calls.only
            if call is not None:
                try:
                    call(event)
                except BaseException as exc:
                    if not self._dispatcher.isolate(calls, call, event, self.sender, exc):
                        raise
            else:
                self._dispatch.sender, self._dispatch.key = self.sender, self._key
                for call in calls.calls:
                    try:
                        call(event)
                    except BaseException as exc:
                        if not self._dispatcher.isolate(calls, call, event, self.sender, exc):
                            raise
                self._dispatch.sender = self._dispatch.key = None
            turn.current = None
        except BaseException:
            self._dispatch.clear()
            turn.give_up()
            raise
        if turn.is_waited_for:
            turn.work_off()

    async def publish_async(self, event: Any, *, sender: Any = None) -> None:
        """Publish *event* as the session's; see `EventBus.publish_async`."""
        await self.bus.publish_async(event, sender=self._own(sender))

    async def publish_and_wait(
        self, event: Any, *, sender: Any = None, raise_errors: bool = False
    ) -> None:
        """Publish *event* as the session's; see `EventBus.publish_and_wait`."""
        await self.bus.publish_and_wait(event, sender=self._own(sender), raise_errors=raise_errors)

    def has_handlers(self, event_type: type[Any], *, sender: Any = None) -> bool:
        """Return True if an event of the session would reach a handler as it is."""
        return self._dispatcher.routes.has_handlers(event_type, self._own(sender))

    def count_unseen(self, event_type: type[Any], sender: Any = None) -> bool:
        """Count an event of the session that nothing would see; see `EventBus.count_unseen`."""
        return self.bus.count_unseen(event_type, self._own(sender))

    def publish_after(
        self,
        unseen: type[Any],
        event: Any,
        sender: Any = None,
        frame: bytes | None = None,
        mark: int = 0,
    ) -> bool:
        """Publish *event* as the session's after one of *unseen*; see `EventBus.publish_after`."""
        own = self.sender if sender is None else self._own(sender)
        return self.bus.publish_after(unseen, event, own, frame, mark)

    # --- entering -----------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._is_entered:
            msg = "The scope is entered already; ask the bus for another one."
            raise EventBusError(msg)
        self._is_entered = True
        self._subscriptions = set()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._is_entered = False
        # Taken out one by one: after a KeyboardInterrupt, the rest can still be ended.
        while self._subscriptions:
            subscription = next(iter(self._subscriptions))
            subscription.cancel()
            self._subscriptions.discard(subscription)
        self._subscriptions = None
        for parked in tuple(self._parked or ()):
            parked.abort()

    def __repr__(self) -> str:
        return f"<Scope of {self.sender!r}>"

    # --- private ------------------------------------------------------------------------

    def _own(self, sender: Any) -> Any:
        if sender is not None and sender_key(sender) != self._key:
            msg = f"A scope publishes as its own sender, {self.sender!r}; leave out sender=."
            raise OptionError(msg, option="sender")
        return self.sender

    def _bind(self, sender: Any) -> Any:
        is_given = sender is not ANY and sender is not None
        if is_given and sender_key(sender) != self._key:
            msg = f"A scope subscribes for its own sender, {self.sender!r}; leave out sender=."
            raise OptionError(msg, option="sender")
        return self.sender

    def _add(
        self, handler: Handler, classes: tuple[type[Any], ...], options: Options
    ) -> Subscription:
        subscriptions = self._subscriptions
        if subscriptions is None or not self._is_entered:
            msg = f"The scope is not entered; write: with bus.scope({self.sender!r}) as call."
            raise EventBusError(msg)
        options = attrs.evolve(options, sender=self._bind(options.sender))
        registry = self._dispatcher.registry
        before = registry.find(handler.call)
        try:
            return registry.add(handler, classes, options)
        finally:  # looked up: after a KeyboardInterrupt too, the scope ends what it has begun
            subscriptions.update(s for s in registry.find(handler.call) if s not in before)

    @contextlib.contextmanager
    def _attach(
        self,
        handler: Handler,
        event_types: tuple[type[Any], ...],
        options: Options,
        parked: Parked,
    ) -> Iterator[Subscription]:
        if self._parked is None:
            self._parked = set()
        self._parked.add(parked)
        try:
            with self.bus._attach(handler, event_types, options, parked) as subscription:  # noqa: SLF001
                yield subscription
        finally:
            self._parked.discard(parked)


def bus_and_sender(given: Any, use: str, sender: Any = None) -> tuple[EventBus, Any]:
    """
    Return the bus and the sender that an argument *bus* stands for.

    Args:
        given: The argument.
        use: The beginning of a sentence that the bus ends: the caller, and its use of the bus.
        sender: The argument *sender*, where there is one.

    Raises:
        TypeError: *given* is neither a bus nor a scope, or a scope has another sender.
    """
    if isinstance(given, Scope):
        if sender is not None and sender != given.sender:
            msg = "A scope has its sender already; give the bus itself, or no sender."
            raise TypeError(msg)
        return given.bus, given.sender
    if not isinstance(given, EventBus):
        msg = f"{use} an EventBus or a Scope; bus= is {given!r}."
        raise TypeError(msg)
    return given, sender


def check_bus(given: Any, use: str) -> EventBus:
    """
    Return an argument *bus* that can't be a scope; *use* as for `bus_and_sender`.

    Raises:
        TypeError: It is not a bus.
    """
    if isinstance(given, EventBus):
        return given
    hint = "; give its bus: scope.bus" if isinstance(given, Scope) else ""
    msg = f"{use} an EventBus; bus= is {given!r}{hint}."
    raise TypeError(msg)
