"""
`eventbus.replay.FrameFile`: lines of a file, and envelopes.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.replay import BadLine, FrameFile, FrameLine
from eventbus.replay._frame_file import LineSplitter, parse_line


async def read(file, name="call.jsonl"):
    return [line async for line in FrameFile(file, name).lines()]


@given(st.binary(), st.lists(st.integers(0, 50)))
def test_splitter_makes_the_same_lines_wherever_chunks_end(data, sizes):
    """
    The lines depend on the bytes alone, not on how they are cut into chunks.
    """
    splitter = LineSplitter()
    stream = io.BytesIO(data)
    chunks = [*(stream.read(size) for size in sizes), stream.read()]

    lines = [line for chunk in chunks for line in splitter.feed(chunk)] + [*splitter.end()]

    expected = data.split(b"\n")
    assert lines == (expected if expected[-1] else expected[:-1])


def test_splitter_gives_up_a_line_that_is_too_long():
    """
    A line above the limit is None, and the lines around it are whole.
    """
    splitter = LineSplitter(max_bytes=5)

    lines = [*splitter.feed(b"12345\n123"), *splitter.feed(b"456"), *splitter.feed(b"78\nab\n")]

    assert lines == [b"12345", None, b"ab"]


@pytest.mark.parametrize("line", [b"", b"  ", b"\r", b"\t\r"])
def test_blank_line_is_passed_over(line):
    """
    A line of white space has nothing to replay.
    """
    assert parse_line(3, line) is None


def test_byte_order_mark_is_passed_over_at_the_beginning_only():
    """
    The mark that some editors write is not part of the first frame.
    """
    line = b'\xef\xbb\xbf{"type":"ping"}'

    assert parse_line(1, line) == FrameLine(1, b'{"type":"ping"}')
    assert parse_line(2, line) == FrameLine(2, line)


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"ping"}',
        b"nonsense",
        b'{"type": "x", "frame": {"type": "y"}}',
        b'{"type": "x", "inner": {"frame": 1}}',
        b'["frame"]',
        b'{"frame":',
        b'"frame"',
        b'{"frame": ' + b"[" * 100_000,
    ],
)
def test_what_is_no_envelope_is_a_frame(line):
    """
    A line that isn't an envelope goes to the decoder as it is, however broken.
    """
    assert parse_line(7, line) == FrameLine(7, line)


def test_envelope_holds_the_frame_and_its_time():
    """
    The envelope's `frame` is the frame, byte for byte, and `t` is its time.
    """
    line = b'{"t": 1.5, "direction": "received", "frame": {"type":  "ping"}}'

    assert parse_line(1, line) == FrameLine(1, b'{"type":  "ping"}', 1.5)


def test_envelope_needs_neither_time_nor_direction():
    """
    An object with nothing but a frame is an envelope.
    """
    assert parse_line(1, b'{"frame": {"type": "ping"}}') == FrameLine(1, b'{"type": "ping"}')


def test_what_the_client_has_sent_is_passed_over():
    """
    A line with the direction "sent" is not replayed.
    """
    assert parse_line(1, b'{"direction": "sent", "frame": {"type": "x"}}') is None


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"direction": "up"}, "direction"),
        ({"direction": 1}, "direction"),
        ({"t": "12"}, "t "),
        ({"t": True}, "t "),
        ({"t": [1]}, "t "),
        ({"t": 1e300}, "t "),
        ({"t": -1_767_225_600_000}, "t "),  # milliseconds
    ],
)
def test_bad_envelope_is_a_bad_line_that_names_the_field(fields, named):
    """
    A field of an envelope with a wrong value is named, and its value isn't quoted.
    """
    parsed = parse_line(4, json.dumps({**fields, "frame": {}}).encode())

    assert isinstance(parsed, BadLine)
    assert parsed.number == 4
    assert f"envelope's {named}" in parsed.reason


@given(st.binary())
def test_parsing_a_line_never_raises(line):
    """
    Any line is a frame, a bad line, or nothing.
    """
    assert parse_line(1, line + b'"frame"') is not None
    parse_line(1, line)


async def test_file_gives_its_lines_with_their_numbers():
    """
    Lines are counted from 1, the blank ones too, and the last needs no line feed.
    """
    assert await read(io.BytesIO(b"a\r\n\nb")) == [FrameLine(1, b"a"), FrameLine(3, b"b")]


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as out, os.fdopen(writing, "wb", buffering=0) as into:
        yield out, into


@pytest.fixture
def null():
    with Path(os.devnull).open("rb") as file:
        yield file


async def test_pipe_gives_a_line_while_it_is_open(pipe):
    """
    A line of a pipe is there as soon as it is written, not when the pipe is closed.
    """
    out, into = pipe
    into.write(b"first\nsec")
    lines = FrameFile(out, "stdin").lines()

    assert await anext(lines) == FrameLine(1, b"first")
    into.write(b"ond\n")
    assert await anext(lines) == FrameLine(2, b"second")
    await lines.aclose()


async def test_device_that_cannot_be_waited_for_is_read(null):
    """
    The null device is an empty file.
    """
    assert await read(null) == []


async def test_read_error_is_a_bad_line_at_the_end():
    """
    A file that can't be read any further ends with a bad line that gives the system's reason.
    """

    class Failing(io.BytesIO):
        def read1(self, size=-1):
            raise OSError(5, "Input/output error")

    (line,) = await read(Failing())

    assert line == BadLine(1, "The file can't be read any further: Input/output error.")


async def test_progress_counts_bytes(tmp_path):
    """
    A regular file has a size, and at its end as many bytes have been read.
    """
    path = tmp_path / "call.jsonl"
    path.write_bytes(b"abc\n" * 1000)
    with path.open("rb") as raw:
        file = FrameFile(raw, "call.jsonl")
        lines = [line async for line in file.lines()]

    assert (file.size, file.bytes_read, len(lines)) == (4000, 4000, 1000)
