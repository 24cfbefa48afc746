"""
The options of ``on``: one list of them, and the check of each where it is given.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Generic, TypedDict, TypeVar

import attrs
from blinker import ANY

from ..exceptions import OptionError
from ..mailbox import Mailbox
from .signatures import Handler, handler_name, is_async

E = TypeVar("E")


class HandlerOptions(TypedDict, Generic[E], total=False):
    """The options of `on`, for type checkers; `eventbus.EventBus.on` describes them."""

    sender: Any
    priority: int
    once: bool
    when: Callable[[E], object] | None
    timeout: float | None
    weak: bool
    mailbox: Mailbox | None


@attrs.frozen
class Options:
    """The options of `on`, with their defaults."""

    # Options are compared where the senders are known to be the same, and not every == of theirs
    # gives a bool.
    sender: Any = attrs.field(default=ANY, eq=False)
    priority: int = 0
    once: bool = False
    when: Callable[[Any], object] | None = None
    timeout: float | None = None
    weak: bool = False
    mailbox: Mailbox | None = None


_DEFAULTS: Final = Options()

OPTIONS: Final = frozenset(field.name for field in attrs.fields(Options))


def read_options(
    given: Mapping[str, Any], *, where: str, known: Collection[str] = OPTIONS
) -> Options:
    """
    Return the options that were *given* by name.

    Args:
        given: The options.
        where: The function that they were given to, for the error.
        known: The options that this function has.

    Raises:
        TypeError: There is no such option.
        OptionError: An option has a value that it can't have.
    """
    if not given:
        return _DEFAULTS
    for option in given:
        if option not in known:
            close = difflib.get_close_matches(option, known, n=1)
            names = ", ".join(name for name in attrs.fields_dict(Options) if name in known)
            hint = f"did you mean {close[0]}=?" if close else f"there are {names}."
            msg = f"{where} has no option {option!r}; {hint}"
            raise TypeError(msg)
    return check_options(Options(**given))


def check_options(options: Options) -> Options:
    """
    Return *options*, if each has a value that it can have.

    Raises:
        OptionError: One has not.
    """
    for name in ("once", "weak"):
        value = getattr(options, name)
        if not isinstance(value, bool):
            msg = f"{name}= is True or False, not {value!r}."
            raise OptionError(msg, option=name)
    if isinstance(options.priority, bool) or not isinstance(options.priority, (int, float)):
        msg = f"priority= is a number, higher goes first; not {options.priority!r}."
        raise OptionError(msg, option="priority")
    if options.when is not None and not callable(options.when):
        msg = f"when= is a function of the event, not {options.when!r}."
        raise OptionError(msg, option="when")
    if options.when is not None and is_async(options.when):
        name = handler_name(options.when)
        msg = f"when={name} is async, and a predicate can't wait: it decides at publish."
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
        OptionError: One does not.
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
            f"{handler.name} is not a bound method, and weak=True is for those only: nothing else "
            f"holds a lambda or a local function, so it would be gone at once. Leave out weak=."
        )
        raise OptionError(msg, option="weak", handler=handler.call)
