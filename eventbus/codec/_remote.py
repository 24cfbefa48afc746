"""
Objects that stay in their process and travel as text: exceptions, handlers, senders.

Nothing in here raises for any argument: a report of a crash must not fail
because of the object that crashed.
"""

from __future__ import annotations

import functools
import sys
import traceback
from typing import Any, NoReturn

import attrs

from ..exceptions import RemoteException


@attrs.frozen
class RemoteObject:
    """
    The name of a handler or sender of another process, which couldn't travel.

    Attributes:
        name: The qualified name of a function or class; the ``repr()`` of
            anything else.
    """

    name: str

    def __call__(self, *_args: object, **_kwargs: object) -> NoReturn:
        """Raise `TypeError`: it has a handler's place, and none of its code."""
        msg = f"{self.name} is in another process: only its name is here, it can't be called."
        raise TypeError(msg)


def class_name(cls: type[Any]) -> str:
    """Return the qualified name of *cls*, without a module if it is a builtin."""
    is_builtin = cls.__module__ == "builtins"
    return cls.__qualname__ if is_builtin else f"{cls.__module__}.{cls.__qualname__}"


def object_name(value: Any) -> str:
    """Return the qualified name of a function or class, the ``repr()`` of anything else."""
    while isinstance(value, functools.partial):
        value = value.func
    try:
        if isinstance(getattr(value, "__qualname__", None), str):
            return f"{value.__module__}.{value.__qualname__}"
        return repr(value)
    except Exception:  # noqa: BLE001 - other people's __repr__
        return object.__repr__(value)


def as_remote_exception(exception: BaseException) -> RemoteException:
    """Return *exception* as it looks from another process."""
    if isinstance(exception, RemoteException):
        return exception
    name = class_name(type(exception))
    try:
        message = str(exception)
    except Exception:  # noqa: BLE001 - other people's __str__
        message = f"<{name} whose str() failed>"
    return RemoteException(name, message, _traceback_text(exception))


def _traceback_text(exception: BaseException) -> str:
    """Return the formatted traceback; empty if there is none to show."""
    try:
        report = traceback.TracebackException(
            type(exception),
            exception,
            exception.__traceback__,
            # No limits: the cause may be at the end of a group.
            max_group_width=sys.maxsize,
            max_group_depth=sys.maxsize,
        )
        lines = list(report.format())
    except Exception:  # noqa: BLE001 - other people's exceptions, with attributes of any kind
        return ""
    return "".join(lines) if len(lines) > 1 else ""  # one line is type and message again
