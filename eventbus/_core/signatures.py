"""
The parameters of a callable that is to be a handler, and the event classes that it is given.

A handler is any callable that takes the event, or the event and a `Context`, in positional
parameters without defaults; ``async def`` makes it an async handler. Every mistake in it, or in
its event types, is found here, before anything is registered.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from types import FunctionType, MethodType, UnionType
from typing import Any, Final

import attrs

from ..exceptions import EventTypeError, HandlerError

# A bare payload is published as a RealtimeModelRawServerEvent, so no handler could ever see it.
PAYLOAD_TYPES: Final = frozenset({dict, str, bytes})

MARKS_ATTRIBUTE: Final = "__eventbus_marks__"
"""The attribute of a function in which `eventbus.on` notes its arguments."""

_UNUSUAL: Final = inspect.CO_VARARGS | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def event_classes(event_types: tuple[object, ...], where: str = "on()") -> tuple[type[Any], ...]:
    """
    Return the classes in *event_types*, unions taken apart, each one once, in order.

    Args:
        event_types: Classes and unions.
        where: The function that was given them, for messages.

    Raises:
        EventTypeError: One is not a class, or none was given.
    """
    classes = dict.fromkeys(_flatten(event_types))
    if not classes:
        msg = f"{where} takes at least one event class, like RealtimeModelAudioEvent."
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
            msg = f"{event_type!r} is not an event class; {hint}."
            raise EventTypeError(msg, event_type=event_type)
        elif event_type is Any:  # a class since Python 3.11, and nobody's base
            msg = "typing.Any is not an event class; a handler of object gets every event."
            raise EventTypeError(msg, event_type=event_type)
        elif event_type in PAYLOAD_TYPES:
            msg = (
                f"A bare {event_type.__name__} is published as a RealtimeModelRawServerEvent, so a "
                f"handler of {event_type.__name__} would never run; subscribe to that class."
            )
            raise EventTypeError(msg, event_type=event_type)
        else:
            yield event_type


def refuse_exchanged(handler: object, event_types: tuple[object, ...]) -> None:
    """
    Refuse a class as *handler*, and a function as its event class.

    Raises:
        EventTypeError: They are in each other's places.
    """
    function = next(filter(inspect.isroutine, event_types), None)
    if isinstance(handler, type) and function is not None:
        msg = (
            f"{handler_name(function)} is not an event class; the handler comes first: "
            f"subscribe(handler, EventClass)."
        )
        raise EventTypeError(msg, event_type=function)


@attrs.frozen
class Handler:
    """
    A callable and its parameters.

    Attributes:
        call: The callable, as it was given.
        name: Its name in messages, like ``app.play``.
        is_async: True if calling it gives a coroutine.
        wants_context: True if it takes a `Context` after the event.
    """

    call: Callable[..., Any]
    name: str
    is_async: bool
    wants_context: bool


def handler_name(handler: object) -> str:
    """Return the name of *handler* in messages: its module and qualified name."""
    handler = _unwrap(handler)
    name = getattr(handler, "__qualname__", None) or type(handler).__qualname__
    module = getattr(handler, "__module__", None) or type(handler).__module__
    return f"{module}.{name}"


def describe_handler(handler: object) -> Handler:
    """
    Return the description of *handler*.

    Raises:
        HandlerError: It can't be a handler.
    """
    name = handler_name(handler)
    plain = _describe_plain(handler, name)
    if plain is not None:
        return plain
    if not callable(handler):
        msg = f"{handler!r} can't be a handler: it isn't callable."
        raise HandlerError(msg, handler=handler)
    refuse_generators(handler, name)
    required = required_arguments(handler, name)
    if required > 2:
        msg = (
            f"{name} requires {required} arguments; a handler takes the event, or the event and a "
            f"Context. Give the others defaults, or bind them with functools.partial."
        )
        raise HandlerError(msg, handler=handler)
    return Handler(handler, name, is_async(handler), wants_context=required == 2)


def _describe_plain(handler: Any, name: str) -> Handler | None:
    """
    Return the description of a plain function or method, or None if it needs a closer look.

    Its code object says all that there is to know, in a tenth of the time of `inspect.signature`.
    """
    is_method = type(handler) is MethodType
    function = handler.__func__ if is_method else handler
    if type(function) is not FunctionType or function.__dict__.keys() - {MARKS_ATTRIBUTE}:
        return None
    code = function.__code__
    accepted = code.co_argcount - is_method
    required = accepted - len(function.__defaults__ or ())
    if accepted < 1 or required > 2 or code.co_kwonlyargcount or code.co_flags & _UNUSUAL:
        return None
    is_coroutine = bool(code.co_flags & inspect.CO_COROUTINE)
    return Handler(handler, name, is_coroutine, wants_context=required == 2)


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
                f"{handler_name(handler)} is a method of a class, not of an instance; mark it with "
                f"eventbus.on, and give an instance to bus.register."
            )
            raise HandlerError(msg, handler=handler)


def is_async(handler: object) -> bool:
    """Return True if calling *handler* gives a coroutine, as of an object with async __call__."""
    return any(map(inspect.iscoroutinefunction, _callables_of(handler)))


def _unwrap(handler: object) -> object:
    """Return the function inside of any functools.partial."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    return handler


def _callables_of(handler: object) -> Iterator[object]:
    """Yield *handler*, and the ``__call__`` of an object that has one."""
    handler = _unwrap(handler)
    yield handler
    if not inspect.isroutine(handler):
        yield getattr(type(handler), "__call__", None)  # noqa: B004  # the method, to look at it


def refuse_generators(handler: object, name: str) -> None:
    for is_generator in (inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        if any(map(is_generator, _callables_of(handler))):
            msg = f"{name} is a generator function: calling it runs nothing. Take out the yield."
            raise HandlerError(msg, handler=handler)


def required_arguments(handler: Callable[..., Any], name: str) -> int:
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
