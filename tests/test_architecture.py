"""
The picture in `eventbus.__init__` is true: who may import whom, and whom nobody imports.

The imports are read from the syntax trees, so those inside functions and under
``TYPE_CHECKING`` count too.
"""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "eventbus"

# The core, from what knows nothing to what knows it all: a module imports from its left only.
CORE = (
    "construct",
    "exceptions",
    "items",
    "audio",
    "events",
    "mailbox",
    "handlers",
    "registry",
    "routing",
    "runner",
    "delivery",
    "middleware",
    "streams",
    "calls",
    "compiling",
    "turns",
    "dispatch",
    "plugins",
    "bus",
    "testing",
)

# Not for the bus itself: whoever wants it imports it.
LEAVES = {"audio", "testing"}

# What the codec is made of, in the same order: nobody else imports one of these.
CODEC = ("faults", "remote", "plain", "rules", "declared", "documents")

# What a folder may import of the core. Formats are about events; they have never heard of a bus.
FOLDERS = {
    "codec": {"exceptions", "items", "events"},
    "cli": {*CORE, "codec", "wire", "realtime", "journal"},
    "journal": {*CORE, "codec", "wire"},
    "pytest_plugin": {*CORE, "journal", "realtime"},
    "realtime": {*CORE, "codec", "wire"},
    "wire": {"construct", "exceptions", "items", "events"},
}

# Imports against the direction, for annotations only, each with its reason.
FOR_TYPES_ONLY = {
    ("handlers", "bus"): "a Context hands its handler the bus, so that it can publish",
}

# Modules that can't be imported without something that a machine may lack: PortAudio.
NEEDS_HARDWARE = {"eventbus.audio.devices": "sounddevice"}

CORE_PACKAGES = {"anyio", "attrs", "blinker"}

# Every other package, and the only places where it may be imported: parts, or single modules.
OTHER_PACKAGES = {
    "agents": {"realtime.agents"},
    "click": {"cli"},
    "msgspec": {"codec", "wire", "cli", "realtime", "journal"},
    "openai": {"realtime.openai"},
    "pybase64": {"wire", "realtime"},
    "rich": {"cli"},
    "pytest": {"pytest_plugin"},
    "sounddevice": {"cli.devices"},
    "trio": {"testing"},  # for annotations only
    "websockets": {"realtime.openai", "realtime.proxy", "realtime.simulator.server"},
    "yaml": {"realtime.simulator.scenario"},
}


@attrs.frozen
class Import:
    """One import: in which module, of which module, and where that is written."""

    importer: str
    imported: str
    line: int
    types_only: bool

    def __str__(self) -> str:
        return f"{self.importer}, line {self.line}: imports {self.imported}"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part(module: str) -> str:
    """Return what stands for *module* in the picture: ``events``, ``wire``; '' for the root."""
    return module.partition(".")[2].partition(".")[0]


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imported_modules(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = package.rsplit(".", node.level - 1)[0] if node.level else ""
        source = ".".join(filter(None, (base, node.module)))
        # `from . import events` names a module; `from .events import X` names what is in one.
        for alias in node.names:
            folder = ROOT.joinpath(*source.split("."))
            is_module = (folder / f"{alias.name}.py").exists() or (folder / alias.name).is_dir()
            yield f"{source}.{alias.name}" if is_module else source


def imports_of(path: Path) -> Iterator[Import]:
    module = module_name(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]

    def visit(node: ast.AST, types_only: bool) -> Iterator[Import]:
        for name in imported_modules(node, package):
            yield Import(module, name, node.lineno, types_only)
        for field, children in ast.iter_fields(node):
            inside = types_only or (field == "body" and is_type_checking(node))
            for child in children if isinstance(children, list) else [children]:
                if isinstance(child, ast.AST):
                    yield from visit(child, inside)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), False)


PATHS = sorted(PACKAGE.rglob("*.py"))
MODULES = sorted(map(module_name, PATHS))
IMPORTS = sorted({found for path in PATHS for found in imports_of(path)}, key=str)
INTERNAL = [found for found in IMPORTS if found.imported.partition(".")[0] == "eventbus"]
EXTERNAL = [
    found
    for found in IMPORTS
    if found.imported.partition(".")[0] not in {"eventbus", *sys.stdlib_module_names}
]


def report(offenders: list[Import]) -> str:
    return "\n" + "\n".join(map(str, offenders))


# --- imports ---------------------------------------------------------------------------------


def test_every_module_is_in_the_picture():
    """
    Each file and folder of the package has a place in the order that the other tests check.
    """
    parts = {part(module) for module in MODULES} - {"", "__main__"}

    assert parts <= {*CORE, *FOLDERS}, "give it a place in CORE or FOLDERS, and in the design"


def test_nothing_imports_the_package_root():
    """
    A module imports the module that defines a name, never `eventbus`, which imports them all.
    """
    offenders = [found for found in INTERNAL if found.imported == "eventbus"]

    assert not offenders, report(offenders)


def test_core_imports_point_one_way():
    """
    A core module imports only core modules that come before it in `CORE`.
    """
    offenders = [
        found
        for found in INTERNAL
        if (importer := part(found.importer)) in CORE
        and part(found.imported) not in CORE[: CORE.index(importer)]
        and not (found.types_only and (importer, part(found.imported)) in FOR_TYPES_ONLY)
    ]

    assert not offenders, report(offenders)


def test_each_exception_to_the_direction_is_needed():
    """
    Whatever `FOR_TYPES_ONLY` permits is really there.
    """
    there = {(part(f.importer), part(f.imported)) for f in INTERNAL if f.types_only}

    assert FOR_TYPES_ONLY.keys() <= there


def test_core_imports_no_leaf():
    """
    The bus can be used without the helpers for tests.
    """
    offenders = [
        found
        for found in INTERNAL
        if part(found.importer) in {"", *CORE} and part(found.imported) in LEAVES
    ]

    assert not offenders, report(offenders)


def test_parts_of_the_codec_are_its_own():
    """
    Whoever wants a name of the codec imports `eventbus.codec`; its parts import one way.
    """

    def place(module: str) -> int:
        name = module.removeprefix("eventbus.codec").removeprefix(".")
        return CODEC.index(name) if name else len(CODEC)

    offenders = [
        found
        for found in INTERNAL
        if part(found.imported) == "codec"
        and found.imported != "eventbus.codec"
        and (part(found.importer) != "codec" or place(found.imported) >= place(found.importer))
    ]

    assert not offenders, report(offenders)


def test_folders_import_only_what_they_may():
    """
    A folder imports itself and what `FOLDERS` grants it, so decoders know no bus.
    """
    offenders = [
        found
        for found in INTERNAL
        if (importer := part(found.importer)) in FOLDERS
        and part(found.imported) not in {importer, *FOLDERS[importer]}
    ]

    assert not offenders, report(offenders)


def test_package_root_imports_only_the_core():
    """
    `import eventbus` loads no folder: no wire format and no command line.
    """
    offenders = [
        found for found in INTERNAL if not part(found.importer) and part(found.imported) not in CORE
    ]

    assert not offenders, report(offenders)


def test_other_packages_are_imported_in_their_places_only():
    """
    The core needs anyio, attrs and blinker; any other package belongs to the parts that name it.
    """
    offenders = [
        found
        for found in EXTERNAL
        if (package := found.imported.partition(".")[0]) not in CORE_PACKAGES
        and not {part(found.importer), found.importer.partition(".")[2]}
        & OTHER_PACKAGES.get(package, set())
    ]

    assert not offenders, report(offenders)


def test_importing_eventbus_is_cheap():
    """
    `import eventbus` loads no event loop, no wire format and no extra, and sets up no logging.
    """
    heavy = [
        "agents",
        "asyncio",
        "click",
        "importlib.metadata",
        "msgspec",
        "openai",
        "pybase64",
        "rich",
        "trio",
        "websockets",
        "yaml",
    ]
    script = (
        "import sys, eventbus, logging\n"
        f"print([name for name in {heavy} if name in sys.modules])\n"
        "print([*logging.getLogger().handlers, *logging.getLogger('eventbus').handlers])"
    )

    result = subprocess.run(
        # -I: neither the environment nor a user's site-packages adds imports of its own.
        [sys.executable, "-I", "-c", f"import sys; sys.path.append({str(ROOT)!r})\n{script}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert result.stdout.splitlines() == ["[]", "[]"]


def test_root_has_the_names_and_modules_that_it_had_imported():
    """
    A name of the root, and a module of the core, is there as soon as somebody asks; no other is.
    """
    script = (
        "import eventbus\n"
        "assert eventbus.events.RealtimeModelAudioEvent and eventbus.exceptions.BusClosed\n"
        "from eventbus import *\n"
        "assert EventBus is eventbus.bus.EventBus and BusClosed is eventbus.exceptions.BusClosed\n"
        "assert set(eventbus.__all__) <= set(dir(eventbus))\n"
        "print(hasattr(eventbus, 'Bus'), hasattr(eventbus, 'codec'))"
    )

    result = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.append({str(ROOT)!r})\n{script}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert result.stdout.split() == ["False", "False"]


# --- what a module tells ---------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS, ids=module_name)
def test_module_opens_with_a_docstring(path):
    """
    The first thing in each module says what its subject is.
    """
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("module", [name for name in MODULES if not name.endswith("__main__")])
def test_dunder_all_names_what_the_module_has(module):
    """
    Each module has an ``__all__``: names that exist, each once.
    """
    if module in NEEDS_HARDWARE:
        pytest.importorskip(NEEDS_HARDWARE[module], exc_type=(ImportError, OSError))
    loaded = importlib.import_module(module)

    assert [name for name in loaded.__all__ if not hasattr(loaded, name)] == []
    assert len(loaded.__all__) == len(set(loaded.__all__))


# --- what a test tells -----------------------------------------------------------------------


def test_every_test_states_a_fact():
    """
    Each test function has a docstring.
    """
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]

    assert silent == []
