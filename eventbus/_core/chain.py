"""
Middleware, folded into one call.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from ..context import Context
from ..exceptions import HandlerError, is_exit
from ..middleware import CallNext, Middleware
from .signatures import handler_name, is_async


def chain(
    middleware: Iterable[Middleware],
    last: CallNext,
    *,
    on_failure: Callable[[Any, Any, BaseException], None],
    begin_context: Callable[[Any], None],
    make_context: Callable[[], Context],
) -> CallNext | None:
    """
    Fold *middleware* into one call; None if there is none.

    After a function that fails, the event goes on as it came.

    Args:
        middleware: The functions, the first one first.
        last: Gets the events that the last function passes on.
        on_failure: Called with a middleware, its event, and the exception.
        begin_context: Called with each event, first of all.
        make_context: Returns the event's Context.

    Raises:
        HandlerError: One of them can't be middleware.
    """
    functions = tuple(middleware)
    if not functions:
        return None
    first = last
    for function in reversed(functions):
        first = _link(function, first, on_failure, make_context)

    def begin(event: Any) -> None:
        begin_context(event)
        first(event)

    return begin


def _link(
    function: Any,
    call_next: CallNext,
    on_failure: Callable[[Any, Any, BaseException], None],
    make_context: Callable[[], Context],
) -> CallNext:
    wants_context = takes_context(function)

    def call(event: Any) -> None:
        was_passed_on = False

        def pass_on(event: Any) -> None:
            nonlocal was_passed_on
            was_passed_on = True
            call_next(event)

        try:
            if wants_context:
                function(event, pass_on, make_context())
            else:
                function(event, pass_on)
        except BaseException as exc:
            if is_exit(exc):
                raise
            on_failure(function, event, exc)
            if not was_passed_on:
                call_next(event)

    return call


def takes_context(middleware: Any) -> bool:
    """
    Return True if *middleware* takes a `Context` as a third argument.

    Raises:
        HandlerError: It can't be middleware.
    """
    name = handler_name(middleware)
    if not callable(middleware) or isinstance(middleware, type) or is_async(middleware):
        msg = (
            f"{name} can't be middleware, which is a sync function or an object that is called "
            f"like one: def middleware(event, call_next)."
        )
        raise HandlerError(msg, handler=middleware)
    try:
        signature = inspect.signature(middleware)
    except ValueError:  # some builtins have none
        return False
    for arguments in ((None, None), (None, None, None)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return len(arguments) == 3
    msg = f"{name} can't be middleware: it must take (event, call_next), not {signature}."
    raise HandlerError(msg, handler=middleware)
