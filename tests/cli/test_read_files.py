"""
Files that commands read: one that can't be read is exit code 3, and one line names it.
"""

from __future__ import annotations

import builtins
import errno
import io
import os

import pytest

from tests.cli.journals import write_journal

READS = {
    "diff": ["diff", "call.journal", "secret"],
    "export": ["export", "secret", "--to", "csv", "-o", "-"],
    "forward": ["forward", "secret"],
    "grep": ["grep", "secret"],
    "inspect": ["inspect", "secret", "--port", "0"],
    "record": ["record", "secret", "-o", "new.journal"],
    "redact": ["redact", "secret", "--no-audio", "-o", "new.journal"],
    "replay": ["replay", "secret"],
    "run --sim": ["run", "--text", "--sim", "secret.yaml"],
    "run --wav": ["run", "--sim", "default", "--wav", "secret"],
    "show": ["show", "secret", "1"],
    "sim": ["sim", "secret.yaml", "--port", "0"],
    "stats": ["stats", "secret"],
    "tail": ["tail", "secret"],
    "trim": ["trim", "secret", "-o", "new.journal"],
    "validate": ["validate", "secret"],
    "validate --repair": ["validate", "secret", "--repair"],
}


def is_secret(path):
    return os.path.basename(os.fspath(path)).startswith("secret")  # noqa: PTH119  # or a str


@pytest.fixture(params=["", "closed"], ids=["file", "folder"])
def place(request, tmp_path, monkeypatch):
    """
    The folder of files that their owner lets nobody read, not even who runs the tests; "closed" is
    one into which nobody may look.
    """
    write_journal(tmp_path / "call.journal")
    folder = tmp_path / request.param
    folder.mkdir(exist_ok=True)
    for name in ("secret", "secret.yaml"):
        (folder / name).write_text("")

    def refuse(owner, name, is_refused):
        real = getattr(owner, name)

        def call(path, *args, **options):
            if not isinstance(path, int) and is_refused(path):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return real(path, *args, **options)

        monkeypatch.setattr(owner, name, call)

    real_access = os.access
    monkeypatch.setattr(os, "access", lambda p, *a: not is_secret(p) and real_access(p, *a))
    refuse(io, "open", is_secret)
    refuse(builtins, "open", is_secret)
    if request.param:
        refuse(os, "stat", is_secret)
        refuse(os, "listdir", lambda path: os.path.basename(path) == "closed")  # noqa: PTH119
    return request.param


@pytest.mark.parametrize("arguments", READS.values(), ids=READS)
def test_file_that_may_not_be_read_is_exit_code_3(run, place, arguments):
    """
    As a file that is missing, and before anybody is called; not a wrong argument.
    """
    secret = os.path.join(place, next(filter(is_secret, arguments)))  # noqa: PTH118  # as typed
    result = run(*(secret if is_secret(each) else each for each in arguments))

    assert result.exit_code == 3
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: {secret} can't be read")
    assert "Permission denied" in line
