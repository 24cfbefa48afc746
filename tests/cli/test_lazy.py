"""
`eventbus.cli.lazy`: commands that are imported when they are called.
"""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from eventbus.cli.lazy import load
from eventbus.cli.main import cli


def test_every_command_is_there(run):
    """
    Each command that the help lists can be called, and describes itself.
    """
    listed = cli.list_commands(click.Context(cli))

    live = ["demo", "run", "sim", "proxy"]
    journals = ["tail", "grep", "show", "inspect", "stats", "diff", "export", "trim", "redact"]
    assert listed == [*live, "record", "replay", *journals, "forward", "validate", "events"]
    for name in listed:
        result = run(name, "--help")
        assert result.exit_code == 0, name
        assert result.stdout.startswith(f"Usage: cli {name} ")


def test_help_imports_no_command(environment):
    """
    The help of the group costs nothing of what its commands need.
    """
    heavy = ["openai", "websockets", "yaml", "pydantic", "msgspec"]
    script = (
        "import sys\n"
        "from eventbus.cli.main import cli\n"
        "cli.main(['--help'], standalone_mode=False)\n"
        f"print([name for name in {heavy} if name in sys.modules])\n"
        "print([name for name in ('run', 'replay') if f'eventbus.cli.{name}' in sys.modules])\n"
    )

    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )

    assert "  proxy " in result.stdout
    assert result.stdout.splitlines()[-2:] == ["[]", "[]"]


def test_missing_package_is_named_with_what_to_install(tmp_path, monkeypatch):
    """
    A package that a command's extras have is named, with the command that installs them all.
    """
    (tmp_path / "needy.py").write_text("import surely_not_installed.part\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(click.ClickException) as caught:
        load("needy", "eventbus demo", ("openai", "sim"))

    assert caught.value.message == (
        "eventbus demo needs the package surely_not_installed: "
        "pip install 'eventbus[cli,openai,sim]', "
        "or in a clone of eventbus: pip install '.[cli,openai,sim]'."
    )


def test_missing_module_of_ours_is_a_bug():
    """
    A module of the package itself that isn't there is no matter of what is installed.
    """
    with pytest.raises(ModuleNotFoundError):
        load("eventbus.cli.nonsense", "eventbus nonsense", ("sim",))


@pytest.mark.parametrize(("name", "hint"), [("replya", "did you mean replay?"), ("xyz", "--help")])
def test_unknown_command_has_a_suggestion(run, name, hint):
    """
    A command that is misspelt ends with code 2 and the nearest one.
    """
    result = run(name)

    assert result.exit_code == 2
    assert f"There is no command {name!r}" in result.stderr
    assert hint in result.stderr
