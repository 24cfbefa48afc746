"""
`eventbus.cli.lazy`: commands that are imported when they are called.
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import packages_distributions

import click
import pytest

from eventbus.analysis import COUNTS, FIGURES
from eventbus.cli.lazy import load
from eventbus.cli.main import cli
from eventbus.export import FORMATS
from eventbus.realtime.openai import DEFAULT_MODEL
from eventbus.simulator.scenario import scenario_names


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


def test_help_of_every_command_has_its_exit_codes(run):
    """
    Those of every command are wrong arguments, output that can't be written, and an interruption.
    """
    lacking = []
    for name in cli.list_commands(click.Context(cli)):
        _, title, codes = run(name, "--help").stdout.partition("\n  Exit codes:\n")
        told = re.findall(r"^ {4,}(\d+)  \S", codes, re.MULTILINE)
        if not title or not {"1", "2", "130"} <= {*told} or told != sorted(told, key=int):
            lacking.append((name, told))

    assert lacking == []


def test_help_imports_nothing_that_a_command_needs_to_run(environment):
    """
    The help of the group and of each command is there at once: nothing heavy is imported for it.
    """
    script = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "from eventbus.cli.main import cli\n"
        "cli.main(['--help'], standalone_mode=False)\n"
        "for name in cli.list_commands(None):\n"
        "    cli.main([name, '--help'], standalone_mode=False)\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )

    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )

    *shown, imported = result.stdout.splitlines()
    modules = imported.split()
    assert any("FIGURE=LIMIT" in line for line in shown)
    packages = {name.partition(".")[0] for name in modules} & {*packages_distributions()}
    assert packages == {"click", "eventbus", "rich"}
    assert {"asyncio", "ssl", "rich.console"} & {*modules} == set()  # of rich, only that it's there
    ours = {name for name in modules if name.startswith("eventbus.")}
    assert {name for name in ours if not name.startswith("eventbus.cli")} == {"eventbus._origins"}
    assert {name for name in ours if name.startswith("eventbus.cli.commands")} == set()


def test_names_in_the_help_are_those_that_there_are(run):
    """
    The line of a help, listed without an import, is the command's own.
    """
    stats, sim, export = (run(name, "--help").stdout for name in ("stats", "sim", "export"))

    limits = " ".join(stats.partition("Figures to limit:")[2].split())
    figures = " ".join(f"{name}.p50 .p95 .max .count" for name in FIGURES)
    assert limits.startswith(f"{figures} {', '.join(COUNTS)}")
    assert f"Scenarios that ship: {', '.join(scenario_names())}." in " ".join(sim.split())
    assert f"[{'|'.join([*FORMATS, 'html'])}]" in export
    assert f"[default: {DEFAULT_MODEL}]" in " ".join(run("run", "--help").stdout.split())


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
    A missing module of the package itself is not reported as a missing extra.
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
