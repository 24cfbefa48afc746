"""
Handlers: accepted callables, classes and options; and the marks of ``@on``.
"""

from __future__ import annotations

import functools
import math
import sys
import types
import typing
from unittest.mock import AsyncMock, Mock

import pytest

from eventbus import (
    ANY,
    Context,
    DuplicateSubscriptionError,
    EventBusError,
    EventTypeError,
    HandlerError,
    Mailbox,
    OptionError,
    RegistrationError,
    on,
)
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelEvent,
    RealtimeModelTurnStartedEvent,
)
from tests.support import LoudPing, Ping, Pong, crashes


def handle(event):
    """A sync handler."""


async def handle_async(event):
    """An async handler."""


def is_handled(bus, event) -> bool:
    """Publish *event*, and return whether somebody was registered for it."""
    before = bus.stats.unhandled
    bus.publish(event)
    return bus.stats.unhandled == before


# --- callables of every kind -----------------------------------------------------------------


class Player:
    """Has a handler of every kind that a class can have."""

    def __init__(self):
        self.seen = []

    def play(self, event):
        self.seen.append(event)

    def __call__(self, event):
        self.seen.append(event)

    @classmethod
    def play_for_all(cls, event):
        shared_by_all.append(event)

    @staticmethod
    def play_somewhere(event):
        shared_by_all.append(event)


shared_by_all = []


@pytest.mark.parametrize(
    "make",
    [
        lambda seen: seen.append,
        lambda seen: lambda event: seen.extend([event]),
        lambda seen: lambda *events: seen.extend(events),
        lambda seen: lambda event=None: seen.append(event),
        lambda seen: lambda event, i=3: seen.append(event),
        lambda seen: lambda event, /, *, i=3: seen.append(event),
        lambda seen: lambda event, *args, **kwargs: seen.append(event),
        lambda seen: functools.partial(lambda where, event: where.append(event), seen),
        lambda seen: functools.partial(lambda event, where: where.append(event), where=seen),
        lambda seen: functools.partial(functools.partial(lambda i, j, e: seen.append(e), 1), 2),
        lambda seen: functools.lru_cache(seen.append),
        lambda seen: Mock(side_effect=seen.append),
    ],
)
def test_any_callable_that_takes_the_event_is_a_handler(bus, make):
    """
    Builtins, lambdas, partials, defaults, star-arguments and mocks get the event, and only it.
    """
    seen = []

    bus.subscribe(make(seen), Ping)
    bus.publish(Ping("p1"))

    assert seen == [Ping("p1")]


def test_methods_and_callable_objects_are_handlers(bus):
    """
    A bound method, a class method, a static method and an object with ``__call__`` get the event.
    """
    player = Player()
    shared_by_all.clear()
    for handler in (player, player.play, Player.play_for_all, Player.play_somewhere):
        bus.subscribe(handler, Ping)

    bus.publish(Ping("p1"))

    assert player.seen == [Ping("p1")] * 2
    assert shared_by_all == [Ping("p1")] * 2


@pytest.mark.parametrize(
    "make",
    [
        lambda seen: lambda event, context: seen.append(context),
        lambda seen: lambda event, context, more=None: seen.append(context),
        lambda seen: functools.partial(lambda w, event, context: w.append(context), seen),
    ],
)
def test_second_argument_is_a_context(bus, make):
    """
    A handler with two arguments gets the event's circumstances as the second.
    """
    seen = []
    bus.publish(Ping("p0"))
    bus.subscribe(make(seen), Ping)

    bus.publish(Ping("p1"), sender="call-1")

    assert [type(context) for context in seen] == [Context]
    assert (seen[0].sender, seen[0].sequence, seen[0].bus) == ("call-1", 2, bus)


def test_second_argument_with_a_default_is_none_of_our_business(bus):
    """
    ``lambda event, i=i`` keeps its ``i``.
    """
    seen = []
    bus.subscribe(lambda event, i=3: seen.append(i), Ping)

    bus.publish(Ping())

    assert seen == [3]


def test_handlers_of_one_event_share_its_context(bus):
    """
    Two handlers of an event see the same sequence number and the same time.
    """
    seen = []
    bus.subscribe(lambda event, context: seen.append(context), Ping)
    bus.subscribe(lambda event, context: seen.append(context), Ping)

    bus.publish(Ping())
    bus.publish(Ping())

    assert seen[0] == seen[1]
    assert seen[2] == seen[3]
    assert seen[0].sequence + 1 == seen[2].sequence
    assert seen[0].time_ns <= seen[2].time_ns


class AsyncCallable:
    async def __call__(self, event):
        pass

    async def method(self, event):
        pass


@pytest.mark.parametrize(
    "handler",
    [
        handle_async,
        AsyncCallable(),
        AsyncCallable().method,
        AsyncCallable().__call__,
        functools.partial(handle_async),
        functools.partial(AsyncCallable()),
        functools.partial(functools.partial(AsyncCallable().method)),
        AsyncMock(),
    ],
)
def test_async_callables_of_every_kind_are_async_handlers(bus, handler):
    """
    Every callable that gives a coroutine may have a timeout, which is for async handlers only.
    """
    assert bus.subscribe(handler, Ping, timeout=1).is_active


# --- what can't be a handler -----------------------------------------------------------------


class GeneratorCallable:
    def __call__(self, event):
        yield event


class AsyncGeneratorCallable:
    async def __call__(self, event):
        yield event


def generate(event):
    yield event


async def generate_async(event):
    yield event


def takes_nothing():
    pass


def takes_three(event, context, more):
    pass


def takes_a_keyword(event, *, speaker):
    pass


REFUSED = [
    (None, r"None can't be a handler: it isn't callable"),
    ("play", r"'play' can't be a handler: it isn't callable"),
    (Ping("p1"), r"Ping.* can't be a handler: it isn't callable"),
    (takes_nothing, r"takes_nothing takes no argument; .*def takes_nothing\(event\)"),
    (lambda **facts: None, r"<lambda> takes no argument; .*event"),
    (functools.partial(handle, Ping()), r"handle takes no argument"),
    (takes_three, r"takes_three requires 3 arguments; .*functools\.partial"),
    (takes_a_keyword, r"takes_a_keyword requires the keyword argument 'speaker'.*default"),
    (generate, r"generate is a generator function: .*yield"),
    (generate_async, r"generate_async is a generator function: .*yield"),
    (functools.partial(generate), r"generate is a generator function: .*yield"),
    (GeneratorCallable(), r"GeneratorCallable is a generator function: .*yield"),
    (AsyncGeneratorCallable(), r"AsyncGeneratorCallable is a generator function: .*yield"),
]

each_refused = pytest.mark.parametrize(("handler", "message"), REFUSED)


@each_refused
def test_subscribe_refuses_what_cannot_be_a_handler(bus, handler, message):
    """
    The error names the handler and the remedy, and has the handler; nothing is registered.
    """
    with pytest.raises(HandlerError, match=message) as refusal:
        bus.subscribe(handler, Ping)

    assert refusal.value.handler is handler
    assert not is_handled(bus, Ping())


@each_refused
def test_decorator_refuses_what_cannot_be_a_handler(bus, handler, message):
    """
    ``bus.on`` says the same as ``bus.subscribe``, and registers nothing either.
    """
    with pytest.raises(HandlerError, match=message):
        bus.on(Ping)(handler)

    assert not is_handled(bus, Ping())


@pytest.mark.parametrize(
    ("handler", "message"), [pair for pair in REFUSED if pair[0] is not takes_three]
)
def test_marker_refuses_what_cannot_be_a_handler(handler, message):
    """
    ``@on`` says so where the handler is written, not where it is registered.

    A function of three arguments may be a method, which takes a Context.
    """
    with pytest.raises(HandlerError, match=message):
        on(Ping)(handler)


def test_marker_refuses_four_arguments():
    """
    Not even a method takes more than itself, an event and a Context.
    """
    with pytest.raises(HandlerError, match=r"takes_four requires 4 arguments"):

        @on(Ping)
        def takes_four(self, event, context, more):
            pass


@pytest.mark.parametrize("error", [HandlerError, EventTypeError])
def test_wrong_handlers_and_event_types_are_type_errors(error):
    """
    Code that expects a TypeError for a wrong argument gets one.
    """
    assert issubclass(error, TypeError)
    assert issubclass(error, RegistrationError)
    assert issubclass(OptionError, ValueError)


# --- event types -----------------------------------------------------------------------------


def test_handler_of_several_classes_gets_them_all(bus):
    """
    ``on(A, B)`` is a handler of both.
    """
    seen = []
    bus.subscribe(seen.append, Ping, Pong)

    bus.publish(Ping())
    bus.publish(Pong())

    assert seen == [Ping(), Pong()]


@pytest.mark.parametrize(
    "event_types",
    [
        (Ping | Pong,),
        (typing.Union[Ping, Pong],),  # noqa: UP007  # older code writes it this way
        (Ping | Pong, Pong),
        (Ping, typing.Union[LoudPing, Ping | Pong]),  # noqa: UP007
    ],
)
def test_union_stands_for_its_members(bus, event_types):
    """
    Unions of either spelling are taken apart, and each class counts once.
    """
    seen = []
    bus.subscribe(seen.append, *event_types)

    bus.publish(Ping())
    bus.publish(Pong())

    assert seen == [Ping(), Pong()]


def test_vocabulary_as_a_whole_is_an_event_type(bus):
    """
    ``on(RealtimeModelEvent)`` gets every event of the vocabulary, and nothing else.
    """
    seen = []
    subscription = bus.subscribe(seen.append, RealtimeModelEvent)

    bus.publish(RealtimeModelEndOfStreamEvent())
    bus.publish(RealtimeModelTurnStartedEvent("resp_1"))

    assert seen == [RealtimeModelEndOfStreamEvent(), RealtimeModelTurnStartedEvent("resp_1")]
    assert set(subscription.event_types) == set(typing.get_args(RealtimeModelEvent))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the type statement is of Python 3.12")
def test_type_alias_statement_stands_for_its_value(bus):
    """
    ``type Both = Ping | Pong`` is taken apart like the union itself, also inside another one.
    """
    alias = typing.TypeAliasType("Both", Ping | Pong)
    nested = typing.TypeAliasType("Nested", alias | RealtimeModelAudioEvent)

    assert bus.subscribe(handle, alias).event_types == (Ping, Pong)
    assert bus.subscribe(lambda event: None, nested).event_types == (
        Ping,
        Pong,
        RealtimeModelAudioEvent,
    )


class Box(typing.Generic[typing.TypeVar("T")]):
    pass


NO_EVENT_TYPES = [
    ("Ping", r"'Ping' is not an event class; write the class itself, not its name"),
    (Ping("p1"), r"Ping.* is not an event class; name its class"),
    (None, r"None is not an event class"),
    (5, r"5 is not an event class"),
    (handle, r"handle.* is not an event class; write @on\(EventClass\)"),
    (list[Ping], r"list\[.*Ping\] is not an event class"),
    (Box[int], r"Box\[int\] is not an event class"),
    (typing.Literal["audio"], r"Literal\['audio'\] is not an event class"),
    (typing.Union["Ping", Pong], r"ForwardRef\('Ping'\) is not an event class"),
    ((Ping, Pong), r"\(.*Ping.*Pong.*\) is not an event class"),
    (typing.Any, r"typing\.Any is not an event class; a handler of object gets every event"),
    (dict, r"bare dict is published as a RealtimeModelRawServerEvent.*subscribe to that"),
    (str, r"bare str is published as a RealtimeModelRawServerEvent"),
    (bytes, r"bare bytes is published as a RealtimeModelRawServerEvent"),
]

each_wrong_type = pytest.mark.parametrize(("event_type", "message"), NO_EVENT_TYPES)


@each_wrong_type
def test_subscribe_refuses_what_is_no_class(bus, event_type, message):
    """
    The error names the problem and the remedy; the other given classes aren't registered either.
    """
    with pytest.raises(EventTypeError, match=message):
        bus.subscribe(handle, Ping, event_type)

    assert not is_handled(bus, Ping())


@each_wrong_type
@pytest.mark.parametrize("decorator", ["bus.on", "on"])
def test_decorators_refuse_what_is_no_class(bus, decorator, event_type, message):
    """
    Both decorators refuse before they see a handler.
    """
    decorate = bus.on if decorator == "bus.on" else on

    with pytest.raises(EventTypeError, match=message):
        decorate(event_type)


def test_no_event_type_at_all_is_refused(bus):
    """
    Neither ``on()`` nor ``subscribe(handler)`` means everything, and each is told by its name.
    """
    for attempt, name in [
        (on, "on"),
        (bus.on, "on"),
        (lambda: bus.subscribe(handle), "subscribe"),
        (bus.stream, "stream"),
    ]:
        with pytest.raises(EventTypeError, match=rf"^{name}\(\) takes at least one event class"):
            attempt()


def test_subscribe_with_class_and_handler_exchanged_is_refused(bus):
    """
    Handler and class in each other's places are told as that, and not as a class with the wrong
    parameters.
    """
    with pytest.raises(EventTypeError, match=r"handle is not an event class; the handler comes"):
        bus.subscribe(Ping, handle)


def test_decorator_without_brackets_is_refused(bus):
    """
    ``@bus.on`` above a handler says that the class is missing.
    """
    with pytest.raises(EventTypeError, match=r"write @on\(EventClass\), with the class"):

        @bus.on
        def play(event):
            pass


# --- options ---------------------------------------------------------------------------------

BAD_OPTIONS = [
    ("priority", "high", r"priority= is a number"),
    ("priority", None, r"priority= is a number"),
    ("priority", True, r"priority= is a number"),
    ("when", "always", r"when= is a function of the event"),
    ("when", handle_async, r"when=.*handle_async is async"),
    ("when", AsyncCallable(), r"when=.*AsyncCallable is async"),
    ("timeout", 0, r"timeout= is a number of seconds above 0"),
    ("timeout", -1, r"timeout= is a number of seconds above 0"),
    ("timeout", math.inf, r"timeout= is a number of seconds above 0"),
    ("timeout", math.nan, r"timeout= is a number of seconds above 0"),
    ("timeout", "10", r"timeout= is a number of seconds above 0"),
    ("timeout", True, r"timeout= is a number of seconds above 0"),
    ("mailbox", 10, r"mailbox= is a Mailbox, like Mailbox\(capacity=100\)"),
    ("mailbox", Mailbox, r"mailbox= is a Mailbox"),
]

each_bad_option = pytest.mark.parametrize(("option", "value", "message"), BAD_OPTIONS)


@each_bad_option
def test_subscribe_refuses_a_value_that_an_option_cannot_have(bus, option, value, message):
    """
    The error names the option and its allowed values; nothing is registered.
    """
    with pytest.raises(OptionError, match=message) as refusal:
        bus.subscribe(handle_async, Ping, **{option: value})

    assert refusal.value.option == option
    assert not is_handled(bus, Ping())


@each_bad_option
@pytest.mark.parametrize("decorator", ["bus.on", "on"])
def test_decorators_refuse_a_value_that_an_option_cannot_have(
    bus, decorator, option, value, message
):
    """
    Both decorators refuse before they see a handler.
    """
    decorate = bus.on if decorator == "bus.on" else on

    with pytest.raises(OptionError, match=message):
        decorate(Ping, **{option: value})


def test_mailbox_without_room_is_refused():
    """
    A mailbox that holds nothing is refused where it is made.
    """
    with pytest.raises(OptionError, match=r"capacity of a Mailbox is a whole number from 1 on"):
        Mailbox(capacity=0)


@pytest.mark.parametrize(("option", "value"), [("timeout", 10), ("mailbox", Mailbox(capacity=5))])
def test_options_of_async_handlers_are_refused_for_sync_ones(bus, option, value):
    """
    Every way to register names the sync handler, the option and the remedies, and registers
    nothing.
    """
    message = rf"handle is a sync handler, .*{option}=.*async def.*leave out"
    options = {option: value}
    attempts = [
        lambda: bus.subscribe(handle, Ping, **options),
        lambda: bus.on(Ping, **options)(handle),
        lambda: on(Ping, **options)(handle),
    ]

    for attempt in attempts:
        with pytest.raises(OptionError, match=message) as refusal:
            attempt()
        assert refusal.value.handler is handle

    assert not is_handled(bus, Ping())


@pytest.mark.parametrize(
    "handler",
    [
        handle,
        lambda event: None,
        functools.partial(handle),
        functools.partial(Player().play),
        Player(),
        Player.play_somewhere,
        [].append,
    ],
)
def test_weak_is_refused_for_all_but_bound_methods(bus, handler):
    """
    An object without another reference would be gone at once; the error says so.
    """
    for attempt in (
        lambda: bus.subscribe(handler, Ping, weak=True),
        lambda: bus.on(Ping, weak=True)(handler),
    ):
        with pytest.raises(
            OptionError, match=r"not a bound method, and weak=True is for those"
        ) as e:
            attempt()
        assert e.value.option == "weak"

    assert not is_handled(bus, Ping())


def test_weak_is_refused_for_a_marked_function():
    """
    ``@on(..., weak=True)`` above a lambda or a local function is refused at once.
    """
    with pytest.raises(OptionError, match=r"weak=True is for those only"):

        @on(Ping, weak=True)
        def play(event):
            pass


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("prioritty", "did you mean priority="),
        ("time_out", "did you mean timeout="),
        ("senders", "did you mean sender="),
        ("volume", "there are sender, priority, once, when, timeout, weak, mailbox"),
    ],
)
def test_unknown_option_is_refused_with_a_hint(bus, option, hint):
    """
    A misspelt option is never ignored: the error names it, and the one that was meant, or all.
    """
    options = {option: 3}
    attempts = [
        lambda: bus.subscribe(handle, Ping, **options),
        lambda: bus.on(Ping, **options),
        lambda: on(Ping, **options),
    ]

    for attempt in attempts:
        with pytest.raises(TypeError, match=rf"has no option '{option}'; {hint}"):
            attempt()

    assert not is_handled(bus, Ping())


def test_unknown_option_names_the_handler(bus):
    """
    If the handler is known, an unknown option's error names it.
    """
    with pytest.raises(TypeError, match=r"subscribe\(.*test_handlers\.handle\) has no option"):
        bus.subscribe(handle, Ping, prioritty=3)


def test_options_default_as_written(bus):
    """
    Without options, a handler sees every sender's events, each time, strongly held.
    """
    options = bus.subscribe(handle, Ping).options

    assert (options.sender, options.priority, options.once) == (ANY, 0, False)
    assert (options.when, options.timeout, options.weak, options.mailbox) == (
        None,
        None,
        False,
        None,
    )


# --- what the decorators give back -----------------------------------------------------------


def test_decorators_return_the_very_callable(bus):
    """
    The decorated function comes back itself, neither wrapped nor copied.
    """

    async def play(event):
        pass

    for handler in (lambda event: None, play, Player(), functools.partial(handle)):
        assert bus.on(Ping)(handler) is handler
        assert on(Ping)(handler) is handler


def test_bus_on_subscribes_at_once(bus):
    """
    ``@bus.on`` needs no ``register``.
    """
    seen = []

    @bus.on(Ping)
    def play(event):
        seen.append(event)

    bus.publish(Ping("p1"))

    assert seen == [Ping("p1")]


def test_module_level_on_only_marks(bus):
    """
    A marked function gets no event until it is registered, and can be called as ever.
    """
    seen = []

    @on(Ping)
    def play(event):
        seen.append(event)

    bus.publish(Ping("p1"))
    play("by hand")
    assert seen == ["by hand"]

    bus.register(play)
    bus.publish(Ping("p2"))
    assert seen == ["by hand", Ping("p2")]


def test_builtin_cannot_be_marked():
    """
    An object without room for a mark is refused, with the way that works.
    """
    with pytest.raises(HandlerError, match=r"can't be marked; use bus\.on or bus\.subscribe"):
        on(Ping)(print)


# --- register --------------------------------------------------------------------------------


class Listener:
    """Notes the events of its handlers."""

    def __init__(self):
        self.seen = []

    @on(Ping)
    def ping(self, event):
        self.seen.append(("ping", event))

    @on(Ping, priority=1)
    @on(Pong)
    def both(self, event):
        self.seen.append(("both", event))

    @on(Pong)
    def with_context(self, event, context):
        self.seen.append(("with_context", context.sender))

    def unmarked(self, event):
        self.seen.append(("unmarked", event))


def test_register_subscribes_all_marked_methods_of_an_object(bus):
    """
    Each mark is a subscription of the bound method, with its own options; the rest is left alone.
    """
    listener = Listener()

    registration = bus.register(listener)
    bus.publish(Ping("p1"), sender="call-1")
    bus.publish(Pong("p2"), sender="call-1")

    assert listener.seen == [
        ("both", Ping("p1")),
        ("ping", Ping("p1")),
        ("both", Pong("p2")),
        ("with_context", "call-1"),
    ]
    assert len(registration.subscriptions) == 4


def test_registration_undoes_it(bus):
    """
    After ``cancel``, or at the end of a ``with`` block, nothing of the listener is subscribed.
    """
    listener = Listener()

    registration = bus.register(listener)
    registration.cancel()
    registration.cancel()
    with bus.register(listener):
        pass
    bus.publish(Ping())

    assert listener.seen == []
    assert not is_handled(bus, Pong())


def test_each_object_of_a_class_is_a_listener_of_its_own(bus):
    """
    Registering two objects subscribes both, and cancelling one leaves the other.
    """
    one, other = Listener(), Listener()
    registration = bus.register(one)
    bus.register(other)

    registration.cancel()
    bus.publish(Ping("p1"))

    assert one.seen == []
    assert other.seen == [("both", Ping("p1")), ("ping", Ping("p1"))]


def test_registering_twice_subscribes_once(bus):
    """
    The second registration has the subscriptions of the first.
    """
    listener = Listener()

    assert bus.register(listener).subscriptions == bus.register(listener).subscriptions
    bus.publish(Ping("p1"))

    assert listener.seen == [("both", Ping("p1")), ("ping", Ping("p1"))]


class StaticListener:
    seen: typing.ClassVar[list] = []

    @on(Ping)
    @staticmethod
    def outer_static(event):
        StaticListener.seen.append("outer_static")

    @staticmethod
    @on(Ping)
    def inner_static(event):
        StaticListener.seen.append("inner_static")

    @on(Ping)
    @classmethod
    def outer_class(cls, event):
        cls.seen.append("outer_class")

    @classmethod
    @on(Ping)
    def inner_class(cls, event):
        cls.seen.append("inner_class")


def test_static_and_class_methods_can_be_marked_on_either_side(bus):
    """
    ``@on`` may stand above or below ``@staticmethod`` and ``@classmethod``.
    """
    StaticListener.seen.clear()
    bus.register(StaticListener())

    bus.publish(Ping())

    assert sorted(StaticListener.seen) == [
        "inner_class",
        "inner_static",
        "outer_class",
        "outer_static",
    ]


def test_marks_above_and_below_staticmethod_add_up(bus):
    """
    A mark on the function isn't lost when its static method is marked, too.
    """
    seen = []

    class Both:
        @on(Pong)
        @staticmethod
        @on(Ping)
        def play(event):
            seen.append(event)

    bus.register(Both())
    bus.publish(Ping())
    bus.publish(Pong())

    assert seen == [Ping(), Pong()]


class Quieter(Listener):
    """Overrides one marked method with a mark, another without."""

    @on(Ping)
    def ping(self, event):
        self.seen.append(("quieter ping", event))

    def both(self, event):
        self.seen.append(("never", event))


def test_inherited_marks_are_registered(bus):
    """
    A handler marked in a base class is subscribed, unless the class redefines it: then the new
    method's mark decides, and one without a mark is no handler.
    """
    listener = Quieter()
    bus.register(listener)

    bus.publish(Ping("p1"))
    bus.publish(Pong("p2"))

    assert listener.seen == [("quieter ping", Ping("p1")), ("with_context", None)]


def test_marks_of_slotted_listeners_are_found(bus):
    """
    A listener needs no ``__dict__``.
    """
    seen = []

    class Slotted:
        __slots__ = ()

        @on(Ping)
        def play(self, event):
            seen.append(event)

    bus.register(Slotted())
    bus.publish(Ping())

    assert seen == [Ping()]


def test_marked_function_in_an_attribute_of_the_object_is_registered(bus):
    """
    A handler may be put into a listener when it is made.
    """
    seen = []
    listener = types.SimpleNamespace(play=on(Ping)(functools.partial(seen.append)))

    bus.register(listener)
    bus.publish(Ping())

    assert seen == [Ping()]


def test_registering_touches_no_property(bus):
    """
    Looking for marks evaluates nothing of the listener.
    """

    class Delicate:
        @property
        def connection(self):
            raise AssertionError("somebody looked")

        @on(Ping)
        def play(self, event):
            pass

    bus.register(Delicate())

    assert is_handled(bus, Ping())


def test_register_takes_a_bound_method(bus):
    """
    One marked method of an object can be registered alone.
    """
    listener = Listener()
    bus.register(listener.ping)

    bus.publish(Ping("p1"))

    assert listener.seen == [("ping", Ping("p1"))]


class Untouchable:
    """Like a proxy to something that isn't there at the moment."""

    def __getattr__(self, name):
        raise RuntimeError("working outside of its context")


def test_register_subscribes_what_is_marked_in_a_module(bus):
    """
    Each marked function with a name in a module is subscribed once, beside any other names.
    """
    seen = []
    module = types.ModuleType("app")
    module.play = on(Ping)(functools.partial(seen.append))
    module.play_too = module.play
    module.helper = handle
    module.proxy = Untouchable()
    module.Listener = Listener

    registration = bus.register(module)
    bus.publish(Ping("p1"))

    assert seen == [Ping("p1")]
    assert len(registration.subscriptions) == 1


@pytest.mark.parametrize(
    ("listener", "message"),
    [
        (types.ModuleType("app"), r"app has no handlers; mark some with @on\(EventClass\)"),
        (object(), r"object has no handlers"),
        (handle, r"handle has no handlers; .*bus\.subscribe"),
        (Listener, r"Listener is a class; register an instance: Listener\(\)"),
        (StaticListener, r"StaticListener is a class; register an instance"),
        (None, r"NoneType has no handlers"),
    ],
)
def test_register_refuses_what_has_no_marks(bus, listener, message):
    """
    An object with nothing to register is an error that names the remedy; so is a class.
    """
    with pytest.raises(HandlerError, match=message):
        bus.register(listener)

    assert not is_handled(bus, Ping())


def broken_listeners():
    class TooManyArguments(Listener):
        @staticmethod
        @on(Ping)
        def wrong(event, context, more):
            pass

    class WeakFunction(Listener):
        @staticmethod
        @on(Ping, weak=True)
        def wrong(event):
            pass

    class TwiceDifferently(Listener):
        @on(Ping)
        @on(Ping, priority=5)
        def wrong(self, event):
            pass

    return [
        (TooManyArguments, HandlerError),
        (WeakFunction, OptionError),
        (TwiceDifferently, DuplicateSubscriptionError),
    ]


@pytest.mark.parametrize(("broken", "error"), broken_listeners())
def test_register_is_all_or_nothing(bus, broken, error):
    """
    If one handler of a listener is refused, none is subscribed.
    """
    listener = broken()

    with pytest.raises(error, match="wrong"):
        bus.register(listener)

    assert not is_handled(bus, Ping())
    assert not is_handled(bus, Pong())
    assert listener.seen == []


def test_failed_registration_leaves_what_was_there(bus):
    """
    Subscriptions from before a registration that fails stay subscribed.
    """
    listener = Listener()
    before = bus.subscribe(listener.ping, Ping)
    conflict = bus.subscribe(listener.with_context, Pong, priority=9)

    with pytest.raises(DuplicateSubscriptionError, match="with_context"):
        bus.register(listener)

    assert before.is_active
    assert conflict.is_active
    bus.publish(Ping("p1"))
    assert listener.seen == [("ping", Ping("p1"))]


def test_scope_registers_for_its_sender(bus):
    """
    Handlers that a scope registers see that session's events only, and are gone at its exit.
    """
    listener = Listener()

    with bus.scope("call-1") as call:
        call.register(listener)
        call.publish(Ping("mine"))
        bus.publish(Ping("another's"), sender="call-2")
        bus.publish(Ping("nobody's"))
    bus.publish(Ping("late"), sender="call-1")

    assert listener.seen == [("both", Ping("mine")), ("ping", Ping("mine"))]


def test_scope_refuses_another_sender(bus):
    """
    A handler in a scope can't be for another session; its own may be named.
    """
    with bus.scope("call-1") as call:
        with pytest.raises(OptionError, match=r"A scope subscribes for its own sender, 'call-1'"):
            call.subscribe(handle, Ping, sender="call-2")
        call.subscribe(handle, Ping, sender=str(b"call-1", "ascii"))  # equal, not identical


def test_scope_must_be_entered(bus):
    """
    A handler that no exit would end is refused.
    """
    call = bus.scope("call-1")

    with pytest.raises(EventBusError, match=r"not entered; write: with bus\.scope\('call-1'\)"):
        call.subscribe(handle, Ping)


def test_crash_of_a_handler_is_reported_with_its_name(bus):
    """
    The name of a handler of any kind in messages is its module and qualified name.
    """
    seen = crashes(bus)
    bus.subscribe(functools.partial(Player.play, None), Ping)

    bus.publish(Ping())

    assert seen[0].context == f"{__name__}.Player.play failed on Ping"


def test_method_that_is_not_bound_yet_is_refused(bus):
    """
    `EventBus.on` in a class body would give the handler its event as ``self``.
    """
    with pytest.raises(HandlerError, match="register") as caught:

        class Listener:
            @bus.on(Ping)
            def take(self, event): ...

    assert "Listener.take" in str(caught.value)
