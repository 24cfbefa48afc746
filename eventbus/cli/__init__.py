"""
The command line: ``eventbus demo``, ``run``, ``sim``, ``proxy``, ``replay`` and many more.

One module per command, each with a ``command``, which `lazy` imports when it is called: each may
need extras of its own. What they share is in the modules beside them.

* Everybody's: `options` reads arguments, `outputs` makes room for files, `apps` finds the user's
  handlers and tools, `recorder` watches what happens on their bus, `places` says where, and
  `summary`, `show`, `console` and `escaping` are for whoever looks at it. `exits` has the exit
  codes.
* A recording: `replay_run` plays it on a bus, `bad_lines` reports lines that could not be read.
* A journal: `journals` opens and filters it and reports damage; `record_lines`, `plots` and
  `junit` show its content.
* A live session: `live` runs it, `activity` knows when it is over, `captions` shows it, and
  `recording` writes its journal. `sound` opens the files (`wav`, `resampling`) or the `devices`
  that speech comes from and goes to; `playout` has what is to be heard.

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
