"""
Input and output of speech: WAV files, or the microphone and the loudspeaker.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import click

from ..audio._wav import WavReader, WavWriter
from ..exceptions import AudioFormatError
from .lazy import load
from .live import PIECE_MS, LiveCall
from .terminal.escaping import printable
from .terminal.exits import BadInput, unreadable


def open_reader(path: Path) -> WavReader:
    """
    Open a WAV file to send.

    Raises:
        BadInput: It can't be read, or is not a WAV file of 16-bit PCM.
    """
    try:
        return WavReader(path)
    except AudioFormatError as exc:
        raise BadInput(str(exc)) from exc
    except OSError as exc:
        raise unreadable(path, exc) from exc


def open_writer(path: Path) -> WavWriter:
    """
    Open the WAV file for the speech that is played.

    Raises:
        click.ClickException: It can't be written, or is not a regular file.
    """
    try:
        return WavWriter(path)
    except OSError as exc:
        reason = exc.strerror or exc
        msg = f"{path} can't be written: {reason}; --out takes a file in a folder that exists."
        raise click.ClickException(printable(msg)) from exc


def open_microphone(stack: contextlib.ExitStack) -> AsyncIterator[bytes]:
    """
    Return the pieces that the microphone records, in real time.

    Raises:
        click.ClickException: There is no microphone, or its package isn't installed.
    """
    devices = _devices("A microphone")
    try:
        microphone = stack.enter_context(devices.Microphone(piece_ms=PIECE_MS))
    except devices.DeviceError as exc:
        msg = f"There is no microphone that can be used ({exc})."
        raise BadInput(msg) from exc
    pieces: AsyncIterator[bytes] = aiter(microphone)
    return pieces


def open_loudspeaker(call: LiveCall, stack: contextlib.ExitStack) -> None:
    """
    Let the loudspeaker play the queue of *call*.

    Raises:
        click.ClickException: There is no loudspeaker, or its package isn't installed.
    """
    devices = _devices("A loudspeaker")
    try:
        stack.enter_context(
            devices.Loudspeaker(piece_ms=PIECE_MS, queue=call.queue, on_played=call.note_played)
        )
    except devices.DeviceError as exc:
        msg = f"There is no loudspeaker that can be used ({exc})."
        raise BadInput(msg) from exc


def _devices(what: str) -> ModuleType:
    try:
        return load("eventbus.audio.devices", what, ("openai", "audio"))
    except OSError as exc:
        raise BadInput(str(exc)) from exc
