"""
`eventbus.cli.terminal.record_options`: a journal beside a command's work.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus import EventBus
from eventbus.cli.terminal.options import record_options
from eventbus.cli.terminal.record_options import Recording, read_recording, recorded
from eventbus.events import RealtimeModelTurnStartedEvent
from eventbus.journal import EventRecord, open_journal

from ...support import Ping


def test_journal_is_written_while_it_is_entered(tmp_path, capsys):
    """
    Events before and after aren't in it; at the end its size is told.
    """
    path, bus = tmp_path / "call.journal", EventBus()

    bus.publish(Ping("before"))
    with recorded(bus, Recording(path)) as recorder:
        bus.publish(Ping("p1"))
        assert recorder.path == path
    bus.publish(Ping("after"))

    assert len(list(open_journal(path).read(EventRecord))) == 1
    assert capsys.readouterr() == ("", f"{path}: 2 records\n")


def test_nothing_is_written_unless_it_is_asked_for(tmp_path, capsys):
    """
    Without a path there is no recorder, and nothing to tell.
    """
    with recorded(EventBus(), None) as recorder:
        assert recorder is None

    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")


def test_lost_records_are_told(tmp_path, capsys, monkeypatch):
    """
    Records that could not be written are reported on stderr, once, at any end of the session.
    """
    path, bus = tmp_path / "call.journal", EventBus()

    def write(fd, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill_the_disk(patch):
        with recorded(bus, Recording(path)):
            patch.setattr(os, "write", write)
            bus.publish(Ping("p1"))
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        fill_the_disk(patch)

    out, err = capsys.readouterr()
    assert out == ""
    first, second = err.splitlines()
    assert "records were lost" in first
    assert "No space left on device" in first
    assert "records" in second


def test_what_is_left_out_is_not_written(tmp_path):
    """
    The journal has a redacted field's name, and no byte of its value.
    """
    path, bus = tmp_path / "call.journal", EventBus()

    with recorded(bus, Recording(path, redact=("name",))):
        bus.publish(Ping("secret words"))

    assert open_journal(path).header.redacted == ("name",)
    assert b"secret words" not in path.read_bytes()


@given(
    no_audio=st.booleans(),
    no_content=st.booleans(),
    fields=st.lists(st.text()).map(tuple),
    has_journal=st.booleans(),
)
def test_options_need_a_journal(no_audio, no_content, fields, has_journal):
    """
    Without a journal, the error names the given options and --record, and no others.
    """
    given_options = {"--no-audio": no_audio, "--no-content": no_content, "--redact": bool(fields)}
    options = {"no_audio": no_audio, "no_content": no_content, "fields": fields}
    path = Path("call.journal")

    if has_journal:
        wanted = Recording(path, not no_audio, not no_content, fields)
        assert read_recording(path, **options) == wanted
    elif any(given_options.values()):
        with pytest.raises(click.UsageError, match="--record JOURNAL") as caught:
            read_recording(None, **options)
        for name, is_given in given_options.items():
            assert (name in caught.value.message) == is_given
    else:
        assert read_recording(None, **options) is None


def test_journal_that_is_there_is_replaced_with_force_only(tmp_path):
    """
    Without --force the error names it; with --force the new journal takes its place.
    """
    path, bus = tmp_path / "call.journal", EventBus()
    options = {"no_audio": False, "no_content": False, "fields": ()}
    with recorded(bus, Recording(path)):
        bus.publish(RealtimeModelTurnStartedEvent("old"))

    with pytest.raises(click.BadParameter, match="add --force"):
        read_recording(path, **options)
    with recorded(bus, read_recording(path, **options, is_forced=True)):
        bus.publish(RealtimeModelTurnStartedEvent("new"))

    events = [each.event for each in open_journal(path).read(EventRecord)]
    assert events == [RealtimeModelTurnStartedEvent("new")]


def test_name_of_a_journal_may_have_the_time(tmp_path):
    """
    {time} in the name becomes the date and the time of day.
    """
    seen = []

    @click.command()
    @record_options
    def command(**options):
        seen.append(options["journal"].name)

    command.main(["--record", str(tmp_path / "call-{time}.ebj")], standalone_mode=False)

    assert re.fullmatch(r"call-\d{8}-\d{6}\.ebj", seen[0])
