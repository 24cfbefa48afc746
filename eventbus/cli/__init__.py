"""
The command line: ``eventbus demo``, ``run``, ``sim``, ``proxy``, ``replay`` and many more.

`commands` has one module for each command, with a ``command`` that `lazy` imports when it is
called: each may need extras of its own. `terminal` is their input and output: options, files,
lines of text, exit codes, signals.

* Apps: `apps` finds the user's bus, listener or session.
* Recordings: `replay_run` plays one on a bus.
* Live sessions: `live` runs one, `activity` detects its end, and `sound` opens the files or the
  devices for its audio.

Data goes to stdout, everything else to stderr.
"""

from __future__ import annotations

try:
    import click  # noqa: F401  # every module here needs both
    import rich  # noqa: F401
except ModuleNotFoundError as exc:
    if exc.name not in {"click", "rich"}:  # they are there, something they need isn't
        raise
    msg = (
        f"The command line needs {exc.name}: pip install 'eventbus[cli]', or in a clone of "
        f"eventbus: pip install '.[cli]'."
    )
    raise ModuleNotFoundError(msg, name=exc.name) from exc

__all__: list[str] = []
