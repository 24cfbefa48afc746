"""
A page to look at calls with: speech, turns, tools, errors and handlers on one time axis.

::

    with Inspector(bus) as inspector:
        print(inspector.url)

It shows the calls of a running bus, and recorded ones. `write_html` makes one file of a recorded
call, to be opened without a server, and needs no extra; `Inspector` needs the extra ``inspect``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._page import write_html

if TYPE_CHECKING:
    from ._inspector import Inspector

__all__ = ["Inspector", "write_html"]


def __getattr__(name: str) -> Any:
    # Lazy, because the module behind this name needs a web server.
    if name == "Inspector":
        from ._inspector import Inspector  # noqa: PLC0415

        return Inspector
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
