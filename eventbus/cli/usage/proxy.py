"""
The options of ``eventbus proxy``, and its help.
"""

from __future__ import annotations

import click

from ..lazy import runs
from ..terminal.options import inspect_option, listening_options, record_options

_EPILOG = """\b
Exit codes:
    1  the output can't be written
    2  wrong arguments
    4  the port is in use
  130  interrupted, 143 by SIGTERM; there is no other good end
"""


@click.command(
    "proxy", epilog=_EPILOG, short_help="Proxy a client's connection and show its events."
)
@click.option(
    "--upstream",
    required=True,
    metavar="URL",
    help="The service: wss://…, or https://…. Without a path, the client's counts.",
)
@listening_options(8766)
@click.option(
    "--app",
    "app_spec",
    metavar="MODULE:NAME",
    help="Publish on this EventBus, or to this listener, as eventbus replay does. Without this "
    "option the events are shown.",
)
@record_options
@inspect_option
@click.option(
    "--json",
    "is_json",
    is_flag=True,
    help='Write JSON, one object a line: first {"url": …, "base_url": …}; without --app each '
    'event, {"sender": …, "event": …}, as eventbus.codec writes it; at the end {"summary": …}. '
    "What the app prints goes to stderr.",
)
@runs("proxy", "sim")
def command() -> None:
    """
    Hand every connection on to the service, unchanged, and publish both directions; until Ctrl-C.

    The key is the client's: it goes to the service and nowhere else. The events of a connection
    have its id as their sender: connection-1, and so on. Handlers delay nobody, and one that
    crashes doesn't touch the call.

    Of audio that comes in a row only the first piece is shown; JSON has it all.
    """
