"""
The options of ``eventbus sim``, and its help.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from ..lazy import runs
from ..terminal.options import inspect_option, listening_options, read_speed

_SCENARIOS: Final = ("barge_in", "default", "text_only", "weather")

_EPILOG: Final = """\b
Exit codes:
    0  with --check, no difference
    1  output that can't be written, an extra that is missing, a difference
    2  wrong arguments
    3  a scenario or a certificate that can't be used, another protocol
    4  the port is in use; with --check, no connection or no session
  130  interrupted, 143 by SIGTERM; without --check there is no other good end
"""


@click.command(
    "sim",
    short_help="Simulate a realtime service, for clients to try.",
    epilog=f"{_EPILOG}\nScenarios that ship: {', '.join(_SCENARIOS)}.",
)
@click.argument("scenario", default="default")
@listening_options(8765)
@click.option(
    "--speed",
    default="1x",
    metavar="1x|max|…",
    show_default=True,
    callback=read_speed,
    help="The speed of its time, as a factor of real time; max waits for nothing.",
)
@click.option("--seed", type=int, help="For other ids, sounds and waits than the scenario's.")
@click.option(
    "--faults",
    multiple=True,
    metavar="FAULT@WHEN,…",
    help="Faults to simulate, like drop@2 or stall=3s@every.",
)
@click.option("--api-key", metavar="KEY", help="The only key to accept; without it, any.")
@click.option(
    "--allow-model",
    multiple=True,
    metavar="NAME",
    help="Another name of a model to take, beside those of the services' own families; * takes "
    "any. Can be given several times.",
)
@click.option(
    "--log",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the frames of both directions to this file, as lines of JSON: a file of frames, "
    "for eventbus record.",
)
@click.option(
    "--check",
    "check_url",
    metavar="URL",
    help="Serve nobody: be a client of the service at this URL, and list where it answers "
    "otherwise than the simulator. The key is that of OPENAI_API_KEY, or of --api-key; the answers "
    "cost a few cents.",
)
@click.option(
    "--model",
    default="gpt-realtime",
    metavar="NAME",
    show_default=True,
    help="The model for --check, if the URL names none.",
)
@inspect_option
@click.option("--json", "is_json", is_flag=True, help="Print its address as a JSON object.")
@runs("sim", "sim")
def command() -> None:
    """
    Speak OpenAI's protocols to any client, on this machine, until Ctrl-C.

    Realtime is at /v1/realtime and GPT-Live at /v1/live/sessions, with the same scenario.

    The model's words come from SCENARIO: the name of one that ships, a YAML or Python file,
    or module:attribute. Its speech is synthetic. Set OPENAI_BASE_URL to the printed address.
    """
