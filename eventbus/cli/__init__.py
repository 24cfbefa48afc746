"""
The command line: ``eventbus replay``, ``eventbus demo``, ``eventbus events``.

One module per command, each with a ``command``; what they share is in the modules beside them:
`options` reads arguments, `frames` files; `pacing` says when a frame is due, `apps` finds the
user's handlers, `player` runs a file over a bus, `recorder` watches what happens there, `places`
says where, `bad_lines` what could not be read, and `summary`, `show` and `console` are for whoever
looks at it. `exits` has the exit codes.

Data goes to stdout, everything else to stderr.
"""

from __future__ import annotations

try:
    import click  # noqa: F401  # every module here needs both
    import rich  # noqa: F401
except ModuleNotFoundError as exc:
    if exc.name not in {"click", "rich"}:  # they are there, something they need isn't
        raise
    msg = f"The command line needs {exc.name}: pip install 'eventbus[cli]'."
    raise ModuleNotFoundError(msg, name=exc.name) from exc

__all__: list[str] = []
