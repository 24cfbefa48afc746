"""
``@on``, the marker; and what makes a callable a handler.

A handler is any callable that takes the event, or the event and a `Context`, in positional
parameters without defaults. ``async def`` makes it an async handler. Everything that can be
wrong with it, with its event types or with its options is found here, before anything is
registered.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Iterator
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    Never,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

import attrs
from blinker import ANY

from .exceptions import EventTypeError, HandlerError, OptionError
from .mailbox import Mailbox

if TYPE_CHECKING:
    from .bus import EventBus

__all__ = ["ANY", "Context", "Handler", "Options", "on"]

MARKS_ATTRIBUTE: Final = "__eventbus_marks__"

# A bare payload is published as a RealtimeModelRawServerEvent, so no handler could ever see it.
PAYLOAD_TYPES: Final = frozenset({dict, str, bytes})

E1 = TypeVar("E1")
E2 = TypeVar("E2")
E3 = TypeVar("E3")
EventT_contra = TypeVar("EventT_contra", contravariant=True)
EventT_co = TypeVar("EventT_co", covariant=True)
ResultT_co = TypeVar("ResultT_co", covariant=True)
P = ParamSpec("P")


@attrs.frozen
class Context:
    """
    The circumstances of one published event.

    Attributes:
        sender: The session that the event belongs to; None if it was published without one.
        sequence: How many events the bus had published, this one included.
        time_ns: When it was published, in nanoseconds since the epoch (`time.time_ns`).
        bus: The bus.
    """

    sender: Any
    sequence: int
    time_ns: int
    bus: EventBus = attrs.field(repr=False)


# --- types: what `on` takes ------------------------------------------------------------------
#
# Overloads tell one, two and three classes. Of four and more, and of a union object, the checkers
# can't tell the classes: a handler of anything will do, as for Never, and what is waited for is
# Any. Never also because mypy takes the expression A | B for "UnionType or type[A]" and joins
# what both give: Subscriber[Never] | Subscriber[A] is Subscriber[A], which a handler of A | B
# fits. These overloads must not match what the others refuse, or it would pass after all.

EventType: TypeAlias = type[Any] | UnionType


class HandlerOptions(TypedDict, Generic[E1], total=False):
    """What `on` takes besides event types, for type checkers; see `EventBus.on`."""

    sender: Any
    priority: int
    once: bool
    when: Callable[[E1], object] | None
    timeout: float | None
    weak: bool
    mailbox: Mailbox | None


HandlerOf: TypeAlias = Callable[[E1], object] | Callable[[E1, Context], object]


# --- types: what `on` decorates --------------------------------------------------------------
#
# A decorator has to promise two things of its argument F: F accepts the event, and F comes back
# as it was. A type variable can't be bounded by another one, so neither a bound nor a plain
# Callable says both. A protocol with an overloaded __call__ does: a function matches it only if
# it matches each overload; the first checks, the second captures the signature, names included.
# (pyright would have the event covariant, argument or not: it looks at the last overload only.
# And neither checker looks into a lambda for such a protocol; `EventBus.subscribe` is for those.)


class _TakesEvent(Protocol[EventT_contra, P, ResultT_co]):  # pyright: ignore[reportInvalidTypeVarUse]
    @overload
    def __call__(self, event: EventT_contra, /) -> object: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> ResultT_co: ...


class _TakesEventAndContext(Protocol[EventT_contra, P, ResultT_co]):  # pyright: ignore[reportInvalidTypeVarUse]
    @overload
    def __call__(self, event: EventT_contra, context: Context, /) -> object: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> ResultT_co: ...


class _MethodTakesEvent(Protocol[EventT_contra, P, ResultT_co]):  # pyright: ignore[reportInvalidTypeVarUse]
    @overload
    def __call__(self, instance: Any, event: EventT_contra, /) -> object: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> ResultT_co: ...


class _MethodTakesEventAndContext(Protocol[EventT_contra, P, ResultT_co]):  # pyright: ignore[reportInvalidTypeVarUse]
    @overload
    def __call__(self, instance: Any, event: EventT_contra, context: Context, /) -> object: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> ResultT_co: ...


class Subscriber(Protocol[EventT_co]):
    """What `EventBus.on` returns: takes a handler, and gives it back as it was."""

    @overload
    def __call__(
        self, handler: _TakesEvent[EventT_co, P, ResultT_co], /
    ) -> Callable[P, ResultT_co]: ...
    @overload
    def __call__(
        self, handler: _TakesEventAndContext[EventT_co, P, ResultT_co], /
    ) -> Callable[P, ResultT_co]: ...


class Marker(Protocol[EventT_co]):
    """What `on` returns: takes a function or a method, and gives it back as it was."""

    @overload
    def __call__(
        self, handler: _TakesEvent[EventT_co, P, ResultT_co], /
    ) -> Callable[P, ResultT_co]: ...
    @overload
    def __call__(
        self, handler: _TakesEventAndContext[EventT_co, P, ResultT_co], /
    ) -> Callable[P, ResultT_co]: ...
    @overload
    def __call__(
        self, handler: _MethodTakesEvent[EventT_co, P, ResultT_co], /
    ) -> Callable[P, ResultT_co]: ...
    @overload
    def __call__(
        self, handler: _MethodTakesEventAndContext[EventT_co, P, ResultT_co], /
    ) -> Callable[P, ResultT_co]: ...


# --- event types -----------------------------------------------------------------------------


def event_classes(event_types: tuple[object, ...]) -> tuple[type[Any], ...]:
    """
    Return the classes that *event_types* name, unions taken apart, each one once, in order.

    Raises:
        EventTypeError: One is no class, or none was given.
    """
    classes = dict.fromkeys(_flatten(event_types))
    if not classes:
        msg = "on() takes at least one event class, like on(RealtimeModelAudioEvent)."
        raise EventTypeError(msg)
    return tuple(classes)


def _flatten(event_types: tuple[object, ...]) -> Iterator[type[Any]]:
    for event_type in event_types:
        if isinstance(event_type, UnionType) or typing.get_origin(event_type) is typing.Union:
            yield from _flatten(typing.get_args(event_type))
        elif type(event_type).__name__ == "TypeAliasType":  # "type X = A | B", Python 3.12
            yield from _flatten((event_type.__value__,))  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # not in 3.11
        elif not isinstance(event_type, type) or isinstance(event_type, types.GenericAlias):
            hint = "name its class"
            if inspect.isroutine(event_type):
                hint = "write @on(EventClass), with the class in brackets, above the handler"
            elif isinstance(event_type, str):
                hint = "write the class itself, not its name"
            msg = f"{event_type!r} is no event class; {hint}."
            raise EventTypeError(msg, event_type=event_type)
        elif event_type is Any:  # a class since Python 3.11, and nobody's base
            msg = "typing.Any is no event class; a handler of object gets every event."
            raise EventTypeError(msg, event_type=event_type)
        elif event_type in PAYLOAD_TYPES:
            msg = (
                f"A bare {event_type.__name__} is published as a RealtimeModelRawServerEvent, so a "
                f"handler of {event_type.__name__} would never run; subscribe to that class."
            )
            raise EventTypeError(msg, event_type=event_type)
        else:
            yield event_type


# --- handlers --------------------------------------------------------------------------------


@attrs.frozen
class Handler:
    """
    A callable and what it wants.

    Attributes:
        call: The callable, as it was given.
        name: What messages call it, like ``app.play``.
        is_async: Whether calling it gives a coroutine.
        wants_context: Whether it takes a `Context` after the event.
    """

    call: Callable[..., Any]
    name: str
    is_async: bool
    wants_context: bool


def handler_name(handler: object) -> str:
    """Return what messages call *handler*: its module and qualified name."""
    handler = _unwrap(handler)
    name = getattr(handler, "__qualname__", None) or type(handler).__qualname__
    module = getattr(handler, "__module__", None) or type(handler).__module__
    return f"{module}.{name}"


def describe_handler(handler: object) -> Handler:
    """
    Return what *handler* wants.

    Raises:
        HandlerError: It can't be a handler.
    """
    name = handler_name(handler)
    if not callable(handler):
        msg = f"{handler!r} can't be a handler: it isn't callable."
        raise HandlerError(msg, handler=handler)
    _refuse_generators(handler, name)
    required = _required_arguments(handler, name)
    if required > 2:
        msg = (
            f"{name} requires {required} arguments; a handler takes the event, or the event and a "
            f"Context. Give the others defaults, or bind them with functools.partial."
        )
        raise HandlerError(msg, handler=handler)
    return Handler(handler, name, is_async(handler), wants_context=required == 2)


def refuse_method(handler: object) -> None:
    """
    Refuse a function that is being defined in a class: it would get the event as its ``self``.

    Raises:
        HandlerError: It is one.
    """
    body = getattr(handler, "__qualname__", "").rpartition(".")[0]
    if inspect.isfunction(handler) and body and not body.endswith("<locals>"):
        first = next(iter(inspect.signature(handler).parameters), None)
        if first in {"self", "cls"}:
            msg = (
                f"{handler_name(handler)} is a method, which nothing is bound to yet; mark it with "
                f"eventbus.on, and give an instance to bus.register."
            )
            raise HandlerError(msg, handler=handler)


def is_async(handler: object) -> bool:
    """Whether calling *handler* gives a coroutine; also true of objects with an async __call__."""
    return any(map(inspect.iscoroutinefunction, _what_runs(handler)))


def _unwrap(handler: object) -> object:
    """Return what a functools.partial calls in the end."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    return handler


def _what_runs(handler: object) -> Iterator[object]:
    """Yield *handler*, and the method that calling it runs, if it is an object of its own."""
    handler = _unwrap(handler)
    yield handler
    if not inspect.isroutine(handler):
        yield getattr(type(handler), "__call__", None)  # noqa: B004  # the method, to look at it


def _refuse_generators(handler: object, name: str) -> None:
    for is_generator in (inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        if any(map(is_generator, _what_runs(handler))):
            msg = f"{name} is a generator function: calling it runs nothing. Take out the yield."
            raise HandlerError(msg, handler=handler)


def _required_arguments(handler: Callable[..., Any], name: str) -> int:
    """
    Return how many positional arguments *handler* requires, at least 1.

    One that has a default, like ``i`` in ``lambda event, i=i: ...``, is the caller's own business.
    """
    try:
        parameters = inspect.signature(handler).parameters.values()
    except ValueError:  # some builtins have no signature
        return 1
    required = accepted = 0
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            accepted += 1
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            accepted += 1
            required += parameter.default is parameter.empty
        elif parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            msg = (
                f"{name} requires the keyword argument {parameter.name!r}, which no event gives; "
                f"give it a default, or bind it with functools.partial."
            )
            raise HandlerError(msg, handler=handler)
    if accepted == 0:
        last = name.rpartition(".")[2]
        example = "lambda event: ..." if last == "<lambda>" else f"def {last}(event)"
        msg = f"{name} takes no argument; a handler takes the event: {example}."
        raise HandlerError(msg, handler=handler)
    return max(required, 1)


# --- options ---------------------------------------------------------------------------------


@attrs.frozen
class Options:
    """What `on` takes besides event types; see `EventBus.on`."""

    # Whoever compares options knows that the senders are the same, and not every == gives a bool.
    sender: Any = attrs.field(default=ANY, eq=False)
    priority: int = 0
    once: bool = False
    when: Callable[[Any], object] | None = None
    timeout: float | None = None
    weak: bool = False
    mailbox: Mailbox | None = None


def check_options(options: Options) -> Options:
    """
    Return *options*, if each is something that it can be.

    Raises:
        OptionError: One isn't.
    """
    if isinstance(options.priority, bool) or not isinstance(options.priority, (int, float)):
        msg = f"priority= is a number, higher goes first; not {options.priority!r}."
        raise OptionError(msg, option="priority")
    if options.when is not None and not callable(options.when):
        msg = f"when= is a function of the event, not {options.when!r}."
        raise OptionError(msg, option="when")
    if options.when is not None and is_async(options.when):
        msg = f"when={handler_name(options.when)} is async; it decides at publish, so can't wait."
        raise OptionError(msg, option="when")
    timeout = options.timeout
    if timeout is not None and (
        isinstance(timeout, bool)
        or not isinstance(timeout, (int, float))
        or not (0 < timeout < math.inf)
    ):
        msg = f"timeout= is a number of seconds above 0, or None; not {timeout!r}."
        raise OptionError(msg, option="timeout")
    if options.mailbox is not None and not isinstance(options.mailbox, Mailbox):
        msg = f"mailbox= is a Mailbox, like Mailbox(capacity=100); not {options.mailbox!r}."
        raise OptionError(msg, option="mailbox")
    return attrs.evolve(options, sender=ANY) if options.sender is None else options


def check_options_for(handler: Handler, options: Options) -> None:
    """
    Check that *options* fit *handler*.

    Raises:
        OptionError: One doesn't.
    """
    if not handler.is_async:
        for option in ("timeout", "mailbox"):
            if getattr(options, option) is not None:
                msg = (
                    f"{handler.name} is a sync handler, and {option}= is for async ones: a sync "
                    f"handler runs inside publish. Make it 'async def', or leave out {option}=."
                )
                raise OptionError(msg, option=option, handler=handler.call)
    if options.weak and not inspect.ismethod(handler.call):
        msg = (
            f"{handler.name} is no bound method, and weak=True is for those only: nothing else "
            f"holds a lambda or a local function, so it would be gone at once. Leave out weak=."
        )
        raise OptionError(msg, option="weak", handler=handler.call)


def refuse_unknown(unknown: dict[str, object], *, where: str, known: tuple[str, ...] = ()) -> None:
    """
    Refuse options that there are none of.

    Args:
        unknown: What was given besides, by name.
        where: What it was given to.
        known: The options that there are; by default those of `on`.

    Raises:
        TypeError: There is at least one.
    """
    known = known or tuple(field.name for field in attrs.fields(Options))
    for option in unknown:
        close = difflib.get_close_matches(option, known, n=1)
        hint = f"did you mean {close[0]}=?" if close else f"there are {', '.join(known)}."
        msg = f"{where} has no option {option!r}; {hint}"
        raise TypeError(msg)


# --- the marker ------------------------------------------------------------------------------


@attrs.frozen
class Mark:
    """What one ``@on(...)`` asks for, until `EventBus.register` acts on it."""

    classes: tuple[type[Any], ...]
    options: Options


@overload
def on(event_type: type[E1], /, **options: Unpack[HandlerOptions[E1]]) -> Marker[E1]: ...
@overload
def on(
    event_type: type[E1], event_type2: type[E2], /, **options: Unpack[HandlerOptions[E1 | E2]]
) -> Marker[E1 | E2]: ...
@overload
def on(
    event_type: type[E1],
    event_type2: type[E2],
    event_type3: type[E3],
    /,
    **options: Unpack[HandlerOptions[E1 | E2 | E3]],
) -> Marker[E1 | E2 | E3]: ...
@overload
def on(
    union: UnionType, /, *more: EventType, **options: Unpack[HandlerOptions[Any]]
) -> Marker[Never]: ...
@overload
def on(
    a: EventType,
    b: EventType,
    c: EventType,
    d: EventType,
    /,
    *more: EventType,
    **options: Unpack[HandlerOptions[Any]],
) -> Marker[Never]: ...
def on(
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
    Mark a function or a method as a handler; `EventBus.register` subscribes what is marked.

    Takes what `EventBus.on` takes. The decorated function itself comes back, unchanged but for
    the mark. Marks of several decorators add up.

    Raises:
        EventTypeError: What was given is no class.
        OptionError: An option has a value that it can't have, or doesn't fit the handler.
        HandlerError: The callable can't be a handler.
    """
    refuse_unknown(unknown, where="on()")
    classes = event_classes(event_types)
    options = check_options(Options(sender, priority, once, when, timeout, weak, mailbox))

    def mark(handler: Any) -> Any:
        _check_markable(handler, options)
        marks = (*getattr(handler, MARKS_ATTRIBUTE, ()), Mark(classes, options))
        try:
            setattr(handler, MARKS_ATTRIBUTE, marks)
        except AttributeError:
            msg = f"{handler_name(handler)} can't be marked; use bus.on or bus.subscribe for it."
            raise HandlerError(msg, handler=handler) from None
        return handler

    return mark


def _check_markable(handler: Any, options: Options) -> None:
    """Check what can be known of a method before it is bound: it has one argument more."""
    function = handler.__func__ if isinstance(handler, (staticmethod, classmethod)) else handler
    name = handler_name(function)
    if not callable(function):
        msg = f"{handler!r} can't be a handler: it isn't callable."
        raise HandlerError(msg, handler=handler)
    _refuse_generators(function, name)
    required = _required_arguments(function, name)
    if required > 3:
        msg = f"{name} requires {required} arguments; a handler takes the event and a Context."
        raise HandlerError(msg, handler=handler)
    # A function in a class body is bound when its object is registered, and weak= fits it then.
    body = getattr(function, "__qualname__", "").rpartition(".")[0]
    if body and not body.endswith("<locals>"):
        options = attrs.evolve(options, weak=False)
    check_options_for(Handler(function, name, is_async(function), wants_context=False), options)


def marks_in(listener: object) -> Iterator[tuple[Any, Mark]]:
    """
    Yield each marked callable in *listener*, with each of its marks.

    Of a module, what its names refer to; of an object, the methods of its class, bound; of a
    marked function, that function.
    """
    own = getattr(listener, MARKS_ATTRIBUTE, None)
    if own is not None and not isinstance(listener, types.ModuleType) and callable(listener):
        yield from ((listener, mark) for mark in own)
        return
    if isinstance(listener, types.ModuleType):
        members = [(name, value, value) for name, value in vars(listener).items()]
    else:
        raw: dict[str, Any] = {}
        for cls in reversed(type(listener).__mro__):
            raw.update(vars(cls))
        raw.update(getattr(listener, "__dict__", {}))
        members = [(name, value, None) for name, value in raw.items()]
    for name, value, bound in members:
        marks = _marks_of(value)
        if marks:
            target = bound if bound is not None else getattr(listener, name)
            yield from ((target, mark) for mark in marks)


def _marks_of(value: Any) -> tuple[Mark, ...]:
    # The class first: a module may hold a proxy that allows no look at its attributes.
    if isinstance(value, (staticmethod, classmethod)):
        return _marks_of(value.__func__) + _own_marks(value)
    return _own_marks(value)


def _own_marks(value: Any) -> tuple[Mark, ...]:
    try:
        marks = vars(value).get(MARKS_ATTRIBUTE, ())
    except Exception:  # noqa: BLE001  # other people's __dict__; without one there is no mark
        return ()
    return typing.cast("tuple[Mark, ...]", marks)
