"""
The promises of setup.cfg, the README and the tree to those that install, build or read eventbus.

The wheel and the sdist themselves are built and looked into by `.ci/run`, which takes longer.
"""

from __future__ import annotations

import ast
import configparser
import fnmatch
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "eventbus"

CONFIG = configparser.ConfigParser()
CONFIG.read(ROOT / "setup.cfg", encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# What a clone of the repository shows, and nothing else.
TOP_LEVEL = {
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "docs",
    "eventbus",
    "examples",
    "pyproject.toml",
    "setup.cfg",
    "tests",
}

# Each would be a second place for versions that setup.cfg bounds.
LOCK_FILES = ["*.lock", "*requirements*.txt", "package-lock.json", "pylock*.toml", "Pipfile*"]

# Written so that this file does not contain what it looks for.
NOT_OURS_TO_NAME = re.compile(
    r"(?<![\w.~])/(?:root|home|Users|opt|work)/\w"  # somebody's machine
    r"|[a-z]:\\\\?Users\\"
    r"|py(?:pi|thonhosted)[.](?:org|io)"  # a package registry: pip knows where to look
    r"|registry[.](?:npmjs|yarnpkg)"
    r"|--(?:extra-)?index[-]url"
)


def repository_files() -> list[str]:
    """Return the paths of the files that are, or would be, committed."""
    try:
        listing = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            capture_output=True,
            check=True,
            cwd=ROOT,
            encoding="utf-8",
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout, or there is no git")
    return [path for path in listing.stdout.strip("\0").split("\0") if (ROOT / path).is_file()]


def names(requirements: str) -> set[str]:
    return {re.match(r"[\w-]+", line)[0].lower() for line in requirements.split("\n") if line}


# Where the name of a package isn't that of its distribution.
DISTRIBUTIONS = {"agents": "openai-agents", "nats": "nats-py", "yaml": "pyyaml"}

# Packages that a module imports for annotations, or that have imported the module themselves.
NOT_REQUIRED = {"pytest", "trio"}


def imported_packages(paths: Iterator[Path]) -> set[str]:
    """Return the distributions of all packages that are imported, wherever that is written."""
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {n.module for n in nodes if isinstance(n, ast.ImportFrom) and not n.level}
    packages = {name.partition(".")[0] for name in modules} - sys.stdlib_module_names
    return {DISTRIBUTIONS.get(name, name) for name in packages} - {"eventbus"} - NOT_REQUIRED


# --- setup.cfg -------------------------------------------------------------------------------


@pytest.mark.slow
def test_dependencies_are_the_packages_that_are_imported():
    """
    Each imported package is required or comes with an extra, and no other one is.

    That of `audio` isn't seen here: its one module imports it by name.
    """
    extras = CONFIG["options.extras_require"]
    for_users = re.findall(r"eventbus\[(\w+)\]", extras["all"])

    required = names(CONFIG["options"]["install_requires"])
    required |= set().union(*(names(extras[name]) for name in for_users if name != "audio"))

    assert imported_packages(PACKAGE.rglob("*.py")) == required


@pytest.mark.slow
def test_library_needs_no_extra():
    """
    With the requirements alone, everything can be imported but the modules that need an extra.
    """
    script = "import eventbus.bus, eventbus.codec, eventbus.journal, eventbus.wire.openai, sys;"
    script += "print(sorted(name.partition('.')[0] for name in sys.modules))"
    result = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.append({str(ROOT)!r})\n{script}"],
        capture_output=True,
        check=True,
        text=True,
    )
    extras = CONFIG["options.extras_require"]
    of_extras = set().union(*(names(extras[name]) for name in ("cli", "openai", "sim", "nats")))

    assert of_extras & set(ast.literal_eval(result.stdout)) == set()


@pytest.mark.parametrize(
    "requirement",
    [
        line
        for text in [
            CONFIG["options"]["install_requires"],
            *CONFIG["options.extras_require"].values(),
        ]
        for line in text.split("\n")
        if line and not line.startswith("eventbus[")
    ],
)
def test_requirement_has_a_lower_bound_only(requirement):
    """
    A requirement says the oldest version that will do, and leaves newer ones to the user.
    """
    assert re.fullmatch(r"[\w-]+(\[\w+\])?>=[\d.]+", requirement)


def test_every_data_file_is_packaged():
    """
    Each file in the package that is no module is matched by package_data, py.typed included.
    """
    data = {
        path
        for path in repository_files()
        if path.startswith("eventbus/") and not path.endswith(".py")
    }
    packaged = {
        path
        for package, patterns in CONFIG["options.package_data"].items()
        for pattern in patterns.split()
        for path in data
        if fnmatch.fnmatch(path, f"{package.replace('.', '/')}/{pattern}")
    }

    assert "eventbus/py.typed" in packaged
    assert data == packaged


def test_every_folder_of_the_package_is_a_package():
    """
    Folders with modules have an `__init__.py`, without which the wheel would lack them.
    """
    folders = {path.parent for path in PACKAGE.rglob("*.py")}

    assert [folder.name for folder in folders if not (folder / "__init__.py").exists()] == []


def test_extra_all_has_every_extra_for_users():
    """
    The extra `all` installs each extra but those for work on eventbus itself.
    """
    extras = CONFIG["options.extras_require"]
    ours = {"all", "bench", "dev", "docs", "test"}

    assert re.findall(r"eventbus\[(\w+)\]", extras["all"]) == sorted(set(extras) - ours)


def test_editable_install_is_a_path():
    """
    An editable install is a file with a path, which type checkers follow, and no import hook.

    setuptools writes one where `package_dir` names the folder of all packages.
    """
    assert CONFIG["options"]["package_dir"].strip() == "= ."


def test_console_script_exists():
    """
    The command `eventbus` calls a function that is there.
    """
    line = CONFIG["options.entry_points"]["console_scripts"].strip()
    module, function = re.fullmatch(r"eventbus = ([\w.]+):(\w+)", line).groups()

    assert callable(getattr(importlib.import_module(module), function))


def test_pytest_plugin_exists():
    """
    The plugin has an entry point under the name eventbus.
    """
    name, _, module = CONFIG["options.entry_points"]["pytest11"].strip().partition(" = ")

    assert name == "eventbus"
    assert importlib.util.find_spec(module) is not None


def test_oldest_python_is_the_same_everywhere():
    """
    The lower bound, the first classifier and the tools' settings are one version of Python.
    """
    oldest = CONFIG["options"]["python_requires"].removeprefix(">=")
    tools = PYPROJECT["tool"]

    assert re.findall(r"Python :: (3\.\d+)", CONFIG["metadata"]["classifiers"])[0] == oldest
    assert tools["mypy"]["python_version"] == oldest
    assert tools["pyright"]["pythonVersion"] == oldest
    assert tools["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"


def test_changelog_begins_with_this_version():
    """
    The newest entry of the changelog is about the version in setup.cfg.
    """
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = re.search(r"^## .*", changelog, re.MULTILINE)

    assert CONFIG["metadata"]["version"] in heading[0]


# --- the two commands ------------------------------------------------------------------------


def readme_command(name: str) -> str:
    path = ROOT / ".ci" / "readme_command.py"
    spec = importlib.util.spec_from_file_location("readme_command", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.command(name)


@pytest.mark.parametrize(
    ("name", "extra", "program"),
    [("demo", "cli,openai,sim", "eventbus demo"), ("test", "dev", "pytest -n auto")],
)
def test_readme_has_the_command(name, extra, program):
    """
    One line installs and runs: the demo with its extras, the tests with the extra dev.
    """
    command = readme_command(name)

    assert re.fullmatch(rf"pip install (-e )?(['\"])\.\[{extra}\]\2 && {program}", command), command


def test_ci_runs_the_commands_of_the_readme():
    """
    The script takes both commands from the README, and has no copy that could differ.
    """
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")

    for name in ("demo", "test"):
        assert re.search(rf'"in_venv \w+ readme {name}"', script)
        assert readme_command(name) not in script


# --- the tree --------------------------------------------------------------------------------


def test_top_level_is_what_the_design_shows():
    """
    The top level of the repository has a fixed list of entries.
    """
    assert {path.partition("/")[0] for path in repository_files()} == TOP_LEVEL


def test_there_is_no_lock_file():
    """
    Versions are bounded in setup.cfg, and pinned nowhere.
    """
    locks = [
        path
        for path in repository_files()
        if any(fnmatch.fnmatch(Path(path).name, pattern) for pattern in LOCK_FILES)
    ]

    assert locks == []


def test_no_file_names_a_machine_or_a_registry():
    """
    Nothing in the repository depends on one machine's folders or on one package registry.
    """
    offenders = [
        f"{path}:{number}: {line.strip()[:100]}"
        for path in repository_files()
        for number, line in enumerate(
            (ROOT / path).read_text(encoding="utf-8", errors="replace").splitlines(), 1
        )
        if NOT_OURS_TO_NAME.search(line)
    ]

    assert offenders == []


def test_remedies_work_in_a_clone():
    """
    Each message that names an extra to install also says how in a clone of the repository.
    """
    pattern = re.compile(r"pip install 'eventbus\[[^;]{0,160}?\bin a clone\b", re.DOTALL)
    texts = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    lacking = [
        path.relative_to(ROOT)
        for path, text in texts.items()
        if len(pattern.findall(text)) != text.count("pip install 'eventbus[")
    ]

    assert lacking == []
    assert any("pip install 'eventbus[" in text for text in texts.values())
