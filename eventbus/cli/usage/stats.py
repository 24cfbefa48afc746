"""
The options of ``eventbus stats``, and its help.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from ..lazy import runs
from ..terminal.options import epilog, filter_argument, journal_argument, json_option

_FIGURES: Final = (
    "turn_latency",
    "endpointing",
    "model",
    "tool",
    "first_audio",
    "dispatch",
    "interruption_latency",
    "unheard_audio",
    "tool_time",
    "transcription_delay",
    "handler_queue",
    "handler_run",
)
_COUNTS: Final = (
    "turns",
    "interruptions",
    "crashes",
    "unfinished",
    "drops",
    "failures",
    "tool_failures",
    "gaps",
    "tokens.input",
    "tokens.output",
    "tokens.total",
    "tokens.cached",
    "audio_seconds",
)
_EPILOG: Final = (
    epilog(no="a figure over its limit")
    + "\n\b\nFigures to limit:\n"
    + "".join(f"    {name}.p50 .p95 .max .count\n" for name in _FIGURES)
    + f"    {', '.join(_COUNTS)}\n"
)


@click.command("stats", epilog=_EPILOG, short_help="Measure a journal: latency, and its parts.")
@journal_argument()
@filter_argument
@click.option(
    "--fail-over",
    "limits",
    metavar="FIGURE=LIMIT",
    multiple=True,
    help="End with exit code 1 if the figure is over the limit, has no values, or has estimates "
    "among them: turn_latency.p95=800ms, crashes=0. Can be given several times.",
)
@click.option(
    "--allow-estimated",
    is_flag=True,
    help="Let --fail-over accept figures that are estimates, as those of a journal without the "
    "caller's audio are.",
)
@click.option(
    "--junit",
    "junit_path",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the outcome of --fail-over as a JUnit report, too.",
)
@click.option(
    "--played-by",
    metavar="HANDLER",
    help="The name of the handler that plays the audio; * stands for anything. By default "
    "the first handler that gets it.",
)
@json_option("Write one JSON object; times are in milliseconds.")
@runs("stats")
def command() -> None:
    """
    Measure JOURNAL: how long callers wait for an answer, and which parts that time has.

    docs/reference/figures.md defines each figure. FILTER picks calls (sender:…) or a time (t:…).
    """
