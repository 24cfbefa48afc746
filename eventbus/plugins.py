"""
Listeners that other distributions bring along, found through entry points.

A distribution offers one in its metadata, in the group ``eventbus.plugins``::

    [options.entry_points]
    eventbus.plugins =
        captions = shop_captions:Captions

The entry point is an object with marked methods, a class of such objects (made without
arguments), a module with marked functions, or a marked function. Nothing is loaded before
`eventbus.EventBus.load_plugins` is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .exceptions import PluginNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "find_plugins", "load_plugin"]

GROUP: Final = "eventbus.plugins"


def find_plugins(names: Iterable[str] | None, exclude: Iterable[str]) -> list[EntryPoint]:
    """
    Return the entry points to load, by name.

    Args:
        names: The names of plugins; None is all of them.
        exclude: The names of plugins to leave out.

    Raises:
        PluginNotFoundError: No package has a plugin of one of the names.
    """
    # Not above: it would be a fifth of the time to import eventbus, for programs with plugins only.
    from importlib.metadata import entry_points  # noqa: PLC0415

    found = {entry_point.name: entry_point for entry_point in entry_points(group=GROUP)}
    wanted = sorted(found) if names is None else list(dict.fromkeys(_checked(names, "names")))
    for name in wanted:
        if name not in found:
            known = ", ".join(sorted(found)) or "none"
            msg = f"No installed package has an eventbus plugin {name!r}; there are: {known}."
            raise PluginNotFoundError(msg, plugin=name)
    unwanted = set(_checked(exclude, "exclude"))
    return [found[name] for name in wanted if name not in unwanted]


def load_plugin(entry_point: EntryPoint) -> Any:
    """Import and return the listener of *entry_point*; any exception can be raised."""
    plugin = entry_point.load()
    return plugin() if isinstance(plugin, type) else plugin


def _checked(names: Iterable[str], argument: str) -> Iterable[str]:
    if isinstance(names, str):
        msg = f"{argument}= takes several names; for one, write {argument}=[{names!r}]."
        raise TypeError(msg)
    return names
