"""
``@on``, which marks functions and methods as handlers, and the types of `on`.

`on` only marks; `eventbus.EventBus.register` subscribes the marked functions of a module, or the
marked methods of an object.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator
from types import UnionType
from typing import (
    Any,
    Never,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    Unpack,
    overload,
)

import attrs
from blinker import ANY

from ._core.options import HandlerOptions, Options, check_options_for, read_options
from ._core.signatures import (
    MARKS_ATTRIBUTE,
    Handler,
    event_classes,
    handler_name,
    is_async,
    refuse_generators,
    required_arguments,
)
from .context import Context
from .exceptions import HandlerError

__all__ = [
    "ANY",
    "Context",
    "EventType",
    "HandlerOf",
    "HandlerOptions",
    "Marker",
    "Subscriber",
    "handler_name",
    "on",
]

E1 = TypeVar("E1")
E2 = TypeVar("E2")
E3 = TypeVar("E3")
EventT_contra = TypeVar("EventT_contra", contravariant=True)
EventT_co = TypeVar("EventT_co", covariant=True)
ResultT_co = TypeVar("ResultT_co", covariant=True)
P = ParamSpec("P")


# --- types: event types and options -----------------------------------------------------
#
# Overloads tell one, two and three classes. Of four and more, and of a union object, the checkers
# can't tell the classes: a handler of anything will do, as for Never, and what is waited for is
# Any. Never also because mypy takes the expression A | B for "UnionType or type[A]" and joins
# what both give: Subscriber[Never] | Subscriber[A] is Subscriber[A], which a handler of A | B
# fits. These overloads must not match what the others refuse, or it would pass after all.

EventType: TypeAlias = type[Any] | UnionType
"""An event class, or a union of some."""

HandlerOf: TypeAlias = Callable[[E1], object] | Callable[[E1, Context], object]
"""A handler of a class: a callable of the event, or of the event and a `Context`."""


# --- types: decorated functions --------------------------------------------------------------
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
    """The decorator that `EventBus.on` returns: it gives the handler back as it was."""

    @overload
    def __call__(
        self, handler: _TakesEvent[EventT_co, P, ResultT_co], /
    ) -> Callable[P, ResultT_co]: ...
    @overload
    def __call__(
        self, handler: _TakesEventAndContext[EventT_co, P, ResultT_co], /
    ) -> Callable[P, ResultT_co]: ...


class Marker(Protocol[EventT_co]):
    """The decorator that `on` returns: it gives the function or method back as it was."""

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


# --- the marker ------------------------------------------------------------------------------


@attrs.frozen
class Mark:
    """One ``@on(...)`` of a function, until `EventBus.register` subscribes it."""

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
def on(*event_types: Any, **options: Any) -> Any:
    """
    Mark a function or a method as a handler; `EventBus.register` subscribes it.

    Takes the arguments of `EventBus.on`. The decorated function itself comes back, unchanged but
    for the mark. Marks of several decorators add up.

    Raises:
        EventTypeError: An event type is not a class.
        OptionError: An option has a value that it can't have, or doesn't fit the handler.
        HandlerError: The callable can't be a handler.
    """
    checked = read_options(options, where="on()")
    classes = event_classes(event_types)

    def mark(handler: Any) -> Any:
        _check_markable(handler, checked)
        marks = (*getattr(handler, MARKS_ATTRIBUTE, ()), Mark(classes, checked))
        try:
            setattr(handler, MARKS_ATTRIBUTE, marks)
        except AttributeError:
            msg = f"{handler_name(handler)} can't be marked; use bus.on or bus.subscribe for it."
            raise HandlerError(msg, handler=handler) from None
        return handler

    return mark


def _check_markable(handler: Any, options: Options) -> None:
    """Check a function that may be a method: one that is not bound has one argument more."""
    function = handler.__func__ if isinstance(handler, (staticmethod, classmethod)) else handler
    name = handler_name(function)
    if not callable(function):
        msg = f"{handler!r} can't be a handler: it isn't callable."
        raise HandlerError(msg, handler=handler)
    refuse_generators(function, name)
    required = required_arguments(function, name)
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

    Of a module, the objects that its names refer to; of an object, the methods of its class,
    bound; of a marked function, that function.
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
