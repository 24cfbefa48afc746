"""
The application that ``--app MODULE:NAME`` names.

It is a bus, a listener, or a factory: a function that returns a `RealtimeSession`. A live session
also uses the tools at the top of the module, if it makes the session itself.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import os
import sys
import types
from collections.abc import Callable, Sequence
from types import ModuleType

import attrs
import click

from ..bus import EventBus
from ..exceptions import RegistrationError
from ..handlers import marks_in
from ..realtime.session import RealtimeSession
from ..realtime.tools import Tool
from ..telemetry._places import short_path, where_raised


@attrs.frozen
class LiveApp:
    """
    An application for a live session.

    Attributes:
        bus: Its bus.
        tools: Its tools, if it has no session of its own.
        session: Its session, not entered yet.
    """

    bus: EventBus
    tools: Sequence[Tool] = ()
    session: RealtimeSession | None = None


def load_app(spec: str) -> EventBus:
    """
    Return the bus that *spec* names, or a new one with the listener that it names.

    The current directory is importable, as it is for ``python -m``.

    Args:
        spec: ``MODULE:NAME``, the name of an `EventBus`, of an object or a class with handlers
            that are marked with `eventbus.on`, of a marked function, or of a function that
            returns a `RealtimeSession`. ``MODULE`` alone is a module with such handlers.

    Raises:
        click.BadParameter: There is no such thing, or it is something else.
    """
    _, app = _find(spec)
    session = _session_of(app, spec)
    return _bus_of(app, spec) if session is None else session.bus


def load_live_app(spec: str) -> LiveApp:
    """
    Return the application that *spec* names, with its session or its tools.

    Args:
        spec: As for `load_app`; a module may also have only tools.

    Raises:
        click.BadParameter: As for `load_app`.
    """
    module, app = _find(spec)
    session = _session_of(app, spec)
    if session is not None:
        return LiveApp(session.bus, session=session)
    tools = [value for value in vars(module).values() if isinstance(value, Tool)]
    if app is module and tools and not any(True for _ in marks_in(module)):
        return LiveApp(EventBus(), tools)
    return LiveApp(_bus_of(app, spec), tools)


def _session_of(app: object, spec: str) -> RealtimeSession | None:
    """Return the session that *app* is or makes; None if it is something else."""
    if isinstance(app, RealtimeSession):
        return app
    if not isinstance(app, types.FunctionType | types.MethodType | functools.partial):
        return None
    if any(True for _ in marks_in(app)):  # a handler
        return None
    if not _takes_nothing(app):
        msg = (
            f"{spec} is a function without the mark @on, so it must return a RealtimeSession, and "
            f"is called without arguments. Is it a handler of a bus? Then name the bus."
        )
        raise click.BadParameter(msg)
    try:
        made: object = app()
    except Exception as exc:
        place = where_raised(exc)
        msg = f"{spec}() failed: {type(exc).__name__}: {exc} ({place})"
        raise click.BadParameter(msg) from exc
    if inspect.iscoroutine(made):
        made.close()
        msg = f"{spec} is async; write def instead, since the session is entered later anyway."
        raise click.BadParameter(msg)
    if not isinstance(made, RealtimeSession):
        msg = (
            f"{spec} is a function without the mark @on, so it must return a RealtimeSession; it "
            f"returned {type(made).__qualname__}."
        )
        raise click.BadParameter(msg)
    return made


def _takes_nothing(function: Callable[..., object]) -> bool:
    try:
        inspect.signature(function).bind()
    except TypeError:
        return False
    return True


def _find(spec: str) -> tuple[ModuleType, object]:
    """Return the module that *spec* names, and the object in it, which may be the same."""
    module_name, _, path = spec.partition(":")
    if module_name.endswith(".py"):
        meant = module_name.removesuffix(".py").removeprefix("./").replace("/", ".")
        msg = f"{spec!r} names a file; write the module, {meant}{':' + path if path else ''}."
        raise click.BadParameter(msg)
    if not module_name or module_name.startswith(".") or spec.endswith(":"):
        msg = f"{spec!r} is not the name of an app; write MODULE:NAME, like my_agent:bus."
        raise click.BadParameter(msg)
    module = _import(module_name)
    try:
        app = functools.reduce(getattr, path.split("."), module) if path else module
    except AttributeError as exc:
        near = difflib.get_close_matches(path, vars(module), n=1)
        hint = f" Did you mean {module_name}:{near[0]}?" if near else " Is it made in a function?"
        msg = f"{module_name} has no {path}.{hint}"
        raise click.BadParameter(msg) from exc
    return module, app


def load_app_option(spec: str) -> EventBus:
    """Do the same as `load_app`; errors name the option ``--app``."""
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
            msg = f"There is no module {exc.name}, neither in this folder nor installed."
        else:
            msg = f"{name} needs the module {exc.name}, which isn't installed."
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
    """Return the names of the buses in *app*, if it is a module."""
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
