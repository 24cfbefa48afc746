"""
The options of ``eventbus run``, and its help.
"""

from __future__ import annotations

from pathlib import Path

import click

from ..lazy import runs
from ..terminal.options import INPUT, inspect_option, record_options

_EPILOG = """\b
Exit codes:
    0  fine
    1  output that can't be written, or an extra that isn't installed
    2  wrong arguments
    3  input that can't be used: the WAV file, the scenario, the microphone
    4  no connection: no key or a wrong one, no service at the address, or it broke off
    5  a handler or a tool has crashed
  130  interrupted; 143 by SIGTERM
"""


@click.command("run", epilog=_EPILOG, short_help="Talk to a model through your handlers.")
@click.option(
    "--app",
    "app_spec",
    metavar="MODULE:NAME",
    help="The app: an EventBus, a listener (an object or a class with handlers that are marked "
    "with @on), or a function that returns your own RealtimeSession, whose settings, tools and "
    "context are used then. MODULE alone is a module with such handlers. With a bus or a listener, "
    "the model may call the tools (eventbus.realtime.tools) at the top of the module. The current "
    "directory is importable.",
)
@click.option(
    "--url",
    metavar="URL",
    help="The address of the service, if it isn't OpenAI's: wss://…, or https://…",
)
@click.option(
    "--model",
    metavar="NAME",
    help="The model; gpt-live-1 and its like speak GPT-Live.  [default: gpt-realtime]",
)
@click.option(
    "--sim",
    "scenario",
    is_flag=False,
    flag_value="",
    metavar="[SCENARIO]",
    help="Talk to a simulator instead, without a key: to one that answers anything, or one with "
    "this scenario, as for eventbus sim.",
)
@click.option(
    "--say",
    "texts",
    multiple=True,
    metavar="TEXT",
    help="Send this text instead of speech. Can be given several times: each is sent when the "
    "answer to the one before is complete, and the session ends after the last answer.",
)
@click.option(
    "--text",
    "is_typed",
    is_flag=True,
    help="Send the lines of stdin instead of speech: type them, or pipe them in. This is the "
    "default where there is no microphone and stdin is a terminal.",
)
@click.option(
    "--wav",
    type=INPUT,
    metavar="IN.wav",
    help="Send this file instead of the microphone: 16-bit PCM of any rate. The session is over "
    "when the last answer to it has been played.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="OUT.wav",
    help="Write the model's speech to this file instead of playing it, as it would be heard: "
    "without the parts that an interruption has cut off.",
)
@click.option("--instructions", metavar="TEXT", help="The model's instructions.")
@click.option("--voice", metavar="NAME", help="The model's voice.")
@click.option(
    "--max-seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="End the session after this time.",
)
@record_options
@inspect_option
@click.option(
    "--json",
    "is_json",
    is_flag=True,
    help="Write JSON, one object a line: each event, as eventbus.codec writes it, and at the end "
    '{"summary": …}. The app\'s own prints go to stderr.',
)
@runs("run", "openai")
def command() -> None:
    """
    Talk to a model: by microphone and loudspeaker, WAV files, or text.

    The key is taken from OPENAI_API_KEY; --sim needs none. Transcripts and tool calls are shown
    as they come. The summary at the end has the events by class, the run time of each handler,
    crashes and drops.

    A session with the microphone lasts until Ctrl-C, a typed one until Ctrl-D.
    """
