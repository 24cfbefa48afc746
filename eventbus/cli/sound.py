"""
Where speech comes from and where it goes to: files, or the microphone and the loudspeaker.
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
from .live import PIECE_MS, LiveCall, Write
from .terminal.escaping import printable
from .terminal.exits import BadInput, unreadable

__all__ = ["open_input", "open_output", "open_reader", "open_writer"]


def open_reader(path: Path) -> WavReader:
    """
    Open what is said.

    Raises:
        BadInput: It can't be read, or is no such file.
    """
    try:
        return WavReader(path)
    except AudioFormatError as exc:
        raise BadInput(str(exc)) from exc
    except OSError as exc:
        raise unreadable(path, exc) from exc


def open_writer(path: Path) -> WavWriter:
    """
    Open where to write what is heard.

    Raises:
        click.ClickException: It can't be written, or is no regular file.
    """
    try:
        return WavWriter(path)
    except OSError as exc:
        reason = exc.strerror or exc
        msg = f"{path} can't be written: {reason}; --out takes a file in a folder that is there."
        raise click.ClickException(printable(msg)) from exc


def open_input(
    call: LiveCall, reader: WavReader | None, stack: contextlib.ExitStack
) -> AsyncIterator[bytes]:
    """
    Return what is said, in real time: the file, or what the microphone hears.

    Raises:
        BadInput: There is no microphone.
        click.ClickException: What is needed for one isn't installed.
    """
    if reader is not None:
        return call.with_silence(reader.pieces(PIECE_MS))
    devices = _devices("A session without --wav")
    try:
        microphone = stack.enter_context(devices.Microphone(piece_ms=PIECE_MS))
    except devices.DeviceError as exc:
        msg = f"The microphone can't be used: {exc}. --wav FILE takes its place."
        raise BadInput(msg) from exc
    pieces: AsyncIterator[bytes] = aiter(microphone)
    return pieces


def open_output(
    call: LiveCall, writer: WavWriter | None, stack: contextlib.ExitStack, *, is_needed: bool
) -> Write | None:
    """
    Return what writes down what is heard, or None if the loudspeaker plays it.

    Args:
        call: Has the queue of what is to be heard.
        writer: The file; without it, it is the loudspeaker.
        stack: What ends with the session.
        is_needed: If there is no loudspeaker: whether to fail, or to say so and do without.

    Raises:
        BadInput: There is no loudspeaker.
        click.ClickException: What is needed for one isn't installed.
    """
    if writer is not None:
        return writer.write
    try:
        _open_speaker(call, stack)
    except click.ClickException as exc:
        if is_needed:
            raise
        click.echo(f"Nobody hears the speech; --out FILE keeps it. {exc.message}", err=True)
        return _to_nobody
    return None


def _open_speaker(call: LiveCall, stack: contextlib.ExitStack) -> None:
    devices = _devices("A session without --out")
    try:
        stack.enter_context(
            devices.Loudspeaker(piece_ms=PIECE_MS, queue=call.queue, on_played=call.note_played)
        )
    except devices.DeviceError as exc:
        msg = f"The loudspeaker can't be used: {exc}. --out FILE takes its place."
        raise BadInput(msg) from exc


def _devices(what: str) -> ModuleType:
    try:
        return load("eventbus.audio.devices", what, ("openai", "audio"))
    except OSError as exc:
        raise BadInput(str(exc)) from exc


def _to_nobody(_data: bytes) -> None:
    """Write nothing."""
