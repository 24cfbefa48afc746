"""
Finds the application that ``--app MODULE:NAME`` names, and makes a bus of it.

A live session can use more of it: the tools that are beside what is named.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType

import click

from ..bus import EventBus
from ..exceptions import RegistrationError
from ..handlers import marks_in
from ..realtime.tools import Tool
from ..telemetry._places import short_path, where_raised

__all__ = ["load_app", "load_app_option", "load_live_app"]


def load_app(spec: str) -> EventBus:
    """
    Return the bus that *spec* names, or a new one with the listener that it names.

    The current directory is importable, as it is for ``python -m``.

    Args:
        spec: ``MODULE:NAME``; what is named is an `EventBus`, an object or a class with handlers
            that are marked with `eventbus.on`, or a marked function. Without ``:NAME`` it is
            the module itself.

    Raises:
        click.BadParameter: There is no such thing, or it is neither a bus nor a listener.
    """
    _, app = _find(spec)
    return _bus_of(app, spec)


def load_live_app(spec: str) -> tuple[EventBus, Sequence[Tool]]:
    """
    Return the same, and the tools that the model may call: those at the top of the module.

    Args:
        spec: As for `load_app`; a module may also have tools alone.

    Raises:
        click.BadParameter: As for `load_app`.
    """
    module, app = _find(spec)
    tools = [value for value in vars(module).values() if isinstance(value, Tool)]
    if app is module and tools and not any(True for _ in marks_in(module)):
        return EventBus(), tools
    return _bus_of(app, spec), tools


def _find(spec: str) -> tuple[ModuleType, object]:
    """Return the module that *spec* names, and what it names in it, which may be the same."""
    module_name, _, path = spec.partition(":")
    if not module_name or module_name.startswith(".") or spec.endswith(":"):
        msg = f"{spec!r} names no app; write MODULE:NAME, like my_agent:bus."
        raise click.BadParameter(msg)
    module = _import(module_name)
    try:
        app = functools.reduce(getattr, path.split("."), module) if path else module
    except AttributeError as exc:
        msg = f"{module_name} has no {path}; is it made in a function, or called otherwise?"
        raise click.BadParameter(msg) from exc
    return module, app


def load_app_option(spec: str) -> EventBus:
    """Return what `load_app` does; what is wrong is said of the option ``--app``."""
    try:
        return load_app(spec)
    except click.BadParameter as exc:
        exc.param_hint = "'--app'"
        raise


def _import(name: str) -> ModuleType:
    directory = os.getcwd()  # noqa: PTH109  # sys.path has strings
    if directory not in sys.path:
        sys.path.insert(0, directory)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is not None and (name == exc.name or name.startswith(f"{exc.name}.")):
            msg = f"There is no module {exc.name}, neither here nor among what is installed."
        else:
            msg = f"{name} needs the module {exc.name}, and there is none."
        raise click.BadParameter(msg) from exc
    except Exception as exc:
        place, problem = where_raised(exc), str(exc)
        if isinstance(exc, SyntaxError) and exc.filename is not None:
            place, problem = f"{short_path(exc.filename)}:{exc.lineno}", exc.msg
        msg = f"{name} can't be imported: {type(exc).__name__}: {problem} ({place})"
        raise click.BadParameter(msg) from exc


def _bus_of(app: object, spec: str) -> EventBus:
    if isinstance(app, EventBus):
        return app
    bus = EventBus()
    try:
        bus.register(_instance(app, spec) if isinstance(app, type) else app)
    except RegistrationError as exc:
        buses = " or ".join(f"{spec}:{name}" for name in _buses_in(app))
        hint = f" It has a bus; did you mean {buses}?" if buses else ""
        msg = f"{spec} is neither a bus nor a listener. {exc}{hint}"
        raise click.BadParameter(msg) from exc
    return bus


def _buses_in(app: object) -> list[str]:
    """Return the names that *app* has for buses, if it is a module."""
    if not isinstance(app, ModuleType):
        return []
    return [name for name, value in vars(app).items() if isinstance(value, EventBus)]


def _instance(cls: type[object], spec: str) -> object:
    try:
        return cls()
    except Exception as exc:
        msg = (
            f"{spec} is a class, and {cls.__name__}() failed: {type(exc).__name__}: {exc}; "
            f"make an instance in the module and name that."
        )
        raise click.BadParameter(msg) from exc
