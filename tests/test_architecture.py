"""
The architecture: who may import whom, within the package and within each of its folders.

The table below is the whole of it. The imports are read from the syntax trees, so those inside
functions and under ``TYPE_CHECKING`` count too.
"""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "eventbus"

# --- the table -------------------------------------------------------------------------------

# The core, from the bottom up: each imports only what comes before it.
CORE = [
    *("_origins", "_local_requests", "_local_tls", "exceptions", "items", "context"),
    "_event_base",
    *("_fast_init", "_event_values", "events"),
    *("mailbox", "middleware", "_core", "handlers", "plugins", "_registrar", "bus", "testing"),
]

# Each folder around the core, and what it may import beside itself. The names of the core stand
# for themselves; "bus" stands for all of it.
FOLDERS = {
    "audio": "exceptions events",
    "codec": "_event_base exceptions items events",
    "wire": "_event_base _fast_init exceptions items events",
    "simulator": "_origins _local_requests _local_tls exceptions audio wire",
    "callers": "bus simulator audio",
    "realtime": "bus codec wire audio",
    "journal": "bus codec wire",
    "analysis": "exceptions events journal codec wire audio",
    "replay": "bus codec wire audio journal analysis",
    "export": "exceptions events codec audio journal analysis",
    "telemetry": "bus wire analysis",
    "bridges": "bus codec",
    "inspector": "bus _origins _local_requests journal analysis replay export audio",
    "pytest_plugin": "bus testing simulator callers replay",
    "cli": "bus testing inspector codec wire audio simulator realtime journal analysis replay"
    " export telemetry bridges",
}

# Within a folder, from the bottom up: each module imports only those of its folder that come
# before it. A folder in a folder is one name, and has a row of its own; its ``__init__``, which
# only collects names, comes last by itself.
INSIDE = {
    "_core": "failures signatures options queue observing chain registry routing calls routes"
    " backend workers delivery turn waiting compiler dispatcher lifecycle",
    "analysis": "_record_view _timeline _audio_texts _voice _filters _figures _sound _latency"
    " _stats",
    "audio": "_samples _formats _resampling _wav _playout devices",
    "bridges": "_failures _commands nats",
    "bridges.nats": "_subjects _client _stream _messages _outbox _forwarding _journals _reading"
    " _leases _calls _receiving _commanding _remote_tools _bridge",
    "callers": "_sounds _hearing _line _twilio _caller",
    "cli": "terminal lazy waking inspecting apps activity live services sound replay_run demo_app"
    " commands usage main",
    "cli.commands": "demo diff events export forward grep inspect proxy record redact replay run"
    " show sim stats tail trim validate",
    "cli.usage": "demo diff events export forward grep inspect proxy record redact replay run"
    " show sim stats tail trim validate",
    "cli.terminal": "shutdown typed_lines options escaping exits listening addresses console"
    " event_lines captions inputs bad_lines journals outputs copies record_options summary junit"
    " plots record_lines",
    "codec": "_remote _faults _plain _rules _declared _documents _utf8",
    "export": "_rows _chrome_trace _srt _wav _formats",
    "inspector": "_traffic _listed _lines _tracks _marks _said _sound _call _file _heartbeat"
    " _compare _page _server _inspector",
    "journal": "_fsync _format _records _batches _redaction _encoding _derivation _assembly"
    " _segments _selection _rows _reader _repair _buffer _files _writer _copying _sessions _tap"
    " _recorder",
    "realtime": "settings memory inputs playback model _secrets _item_parts history events tools"
    " _tool_calls _succession session agents livekit transport openai proxy",
    "realtime.openai": "_rules _messages _responses _interruption _seeding _speech _connect"
    " _dialogue _model _live_messages _live_work _live_dialogue _live_model",
    "realtime.transport": "_reconnecting _renewal _websocket _outbox _listeners _sender _roles"
    " _renewing _connection _model",
    "replay": "_frame_file _pacing _strict _diff _player",
    "simulator": "faults speech _script _vad scenario _service _live _server _drift",
    "simulator._live": "faults validation settings state listener voice backend service",
    "simulator._drift": "probes comparison client",
    "simulator._script": "config_reader caller_script placeholders example_values script"
    " turn_picker",
    "simulator._server": "http client_secrets model_names handshake endpoints frame_log driver"
    " server",
    "simulator._service": "ids timers checks dialects settings conversation input_audio usage"
    " fault_plan state validation playout outputs responses responder listener service",
    "simulator._service.dialects": "form flat xai forms",
    "telemetry": "_places _summary",
    "wire": "_names _audio_text _origin _decoder _frames _fields _strict _intake _flat _forms"
    " _frame_decoder gemini openai _guessing",
    "wire.gemini": "_around _audio _usage _session _rules _forms _decoder",
    "wire.openai": "_dialects _repeating _items _reports _silence _audio_layouts _decoder"
    " _gpt_live",
}

# Imports against the table, each with its reason. Empty is best.
EXCEPTIONS = {
    ("bridges.nats._journals", "journal"): "forward_journal reads what a recorder has written",
    ("bridges.nats._remote_tools", "realtime.tools"): "a remote tool is a tool of a session",
}

# Packages that any module of the core may import, and the places of every other one.
CORE_PACKAGES = {"anyio", "attrs", "blinker"}
OTHER_PACKAGES = {
    "agents": "realtime.agents",
    "click": "cli",
    "h11": "simulator._server",
    "msgspec": "codec wire cli realtime journal analysis replay export simulator bridges callers"
    " inspector",
    "nats": "bridges.nats",
    "openai": "realtime.openai",
    "pybase64": "wire realtime simulator analysis",
    "pytest": "pytest_plugin",
    "rich": "cli",
    "sounddevice": "audio.devices",
    "trustme": "_local_tls",
    "starlette": "inspector",
    "trio": "testing",  # for annotations only
    "uvicorn": "inspector",
    "websockets": "realtime.transport realtime.proxy simulator._server simulator._drift"
    " callers._twilio",
    "yaml": "simulator.scenario",
}

# Modules that are no API, though their path has no underscore: the commands are documented, and
# not the functions behind them.
COMMAND_LINE = "cli"

# The private modules that tests may import, by the algorithm in them: many cases of it, each worth
# a test, lie behind a few public functions. A folder stands for all of its modules.
ALGORITHMS = {
    "routing, queues and turns": "_core.dispatcher _core.queue _core.registry _core.routing"
    " _core.turn",
    "generated constructors": "_fast_init",
    "marks on decoded events": "_event_base wire._origin",
    "samples, and the formats of settings": "audio._formats audio._samples",
    "speech and silence on the clock": "analysis._sound analysis._timeline analysis._voice",
    "the filter grammar": "analysis._filters",
    "values as plain data": "codec._declared codec._faults codec._plain",
    "strict JSON, and frames parsed late": "wire._frames wire._intake wire._strict",
    "the decoders' tables": "wire.gemini._rules wire.openai._decoder wire.openai._gpt_live",
    "audio frames by their layout": "wire.openai._audio_layouts",
    "the journal's format": "journal._assembly journal._batches journal._encoding journal._format"
    " journal._segments",
    "selecting and copying records": "journal._copying journal._selection",
    "one sync for many records": "journal._fsync",
    "names of senders": "journal._sessions",
    "records as rows": "export._rows",
    "marks in lanes": "inspector._marks inspector._tracks",
    "lines, pace and differences of recordings": "replay._diff replay._frame_file replay._pacing"
    " replay._strict",
    "places in code": "telemetry._places",
    "subjects and partitions": "bridges.nats._subjects",
    "addresses and messages": "realtime.openai._connect realtime.openai._messages"
    " realtime.openai._rules",
    "dialogue and interruption": "realtime.openai._dialogue realtime.openai._interruption"
    " realtime.openai._live_work",
    "response sequencing": "realtime.openai._responses",
    "reconnecting and sending": "realtime.transport._listeners realtime.transport._outbox"
    " realtime.transport._reconnecting",
    "voice activity detection": "simulator._vad",
    "the simulated services, without I/O": "simulator._live simulator._service",
    "scenarios": "simulator._script",
    "admission, and the clock of a session": "simulator._server.driver simulator._server.handshake",
    "drift of a service": "simulator._drift.comparison simulator._drift.probes",
}

# Not yet: no algorithms, and still imported by tests, each with the reason. Nothing is added here.
NOT_YET = {
    "_core.workers": "a test shortens the time that a closed bus grants",
    "inspector._file": "windows of a journal, which the server gives as JSON only",
    "journal._tap": "tests continue streams every few frames",
    "journal._writer": "tests set the clock by which a full disk is tried again",
    "realtime.transport._connection": "tests hand in connections in memory",
    "realtime.transport._roles": "the time limits of those connections",
    "simulator._drift.client": "the check of a service, which only the command line offers",
    "simulator._server.server": "a test shortens the time for a request",
    "telemetry._summary": "a test lowers the limit of open calls",
}

# Modules that can't be imported without something that a machine may lack: PortAudio, a client.
MAY_LACK = {"eventbus.audio.devices": "sounddevice", "eventbus.bridges.nats": "nats"}


# --- reading the imports ---------------------------------------------------------------------


@attrs.frozen
class Import:
    """One import: the module that imports, the imported one, and the line."""

    importer: str
    imported: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer}, line {self.line}: imports {self.imported}"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = package.rsplit(".", node.level - 1)[0] if node.level else ""
        source = ".".join(filter(None, (base, node.module)))
        # `from . import events` names a module; `from .events import X` names a part of one.
        for alias in node.names:
            folder = ROOT.joinpath(*source.split("."))
            is_module = (folder / f"{alias.name}.py").exists() or (folder / alias.name).is_dir()
            yield f"{source}.{alias.name}" if is_module else source


def imports_of(path: Path) -> Iterator[Import]:
    module = module_name(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for name in imported_modules(node, package):
            yield Import(module, name, getattr(node, "lineno", 0))


PATHS = sorted(PACKAGE.rglob("*.py"))
MODULES = sorted(map(module_name, PATHS))
IMPORTS = sorted({found for path in PATHS for found in imports_of(path)}, key=str)
INTERNAL = [found for found in IMPORTS if found.imported.partition(".")[0] == "eventbus"]
EXTERNAL = [
    found
    for found in IMPORTS
    if found.imported.partition(".")[0] not in {"eventbus", *sys.stdlib_module_names}
]


def inner(module: str) -> str:
    """Return the name of a module as the table has it: without the package."""
    return module.partition(".")[2]


def part(module: str) -> str:
    """Return the file or folder of the package that *module* belongs to; '' for the root."""
    return inner(module).partition(".")[0]


def is_within(module: str, places: str) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places.split())


def may_import(importer: str, imported: str) -> bool:
    """Return whether the table lets one part of the package import another one."""
    if importer in CORE and imported in CORE:
        return CORE.index(imported) < CORE.index(importer)
    if importer in CORE:
        return False
    granted = FOLDERS[importer].split()
    return imported in granted or ("bus" in granted and imported in CORE[: CORE.index("bus")])


def is_in_order(importer: str, imported: str) -> bool:
    """Return whether the rows of `INSIDE` let one module of a folder import another one."""
    one, other = importer.split("."), imported.split(".")
    depth = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
    if depth == len(one):  # a folder's __init__ collects names of its modules
        return True
    if depth == len(other):  # a module that imports the __init__ of its own folder
        return False
    row = INSIDE[".".join(one[:depth])].split()
    return row.index(other[depth]) < row.index(one[depth])


def offence(found: Import) -> bool:
    importer, imported = inner(found.importer), inner(found.imported)
    if (importer, imported) in EXCEPTIONS or found.importer == "eventbus.__main__":
        return False
    one, other = part(found.importer), part(found.imported)
    if not one:
        return other not in CORE
    if one != other:
        return not may_import(one, other)
    return not is_in_order(importer, imported)


def report(offenders: list[Import]) -> str:
    return "\n" + "\n".join(map(str, offenders))


# --- imports ---------------------------------------------------------------------------------


def test_every_module_is_in_the_table():
    """
    Each file and folder of the package is in `CORE` or `FOLDERS`, each module in a row of `INSIDE`.
    """
    parts = {part(module) for module in MODULES} - {"", "__main__"}
    rows = {
        folder: sorted(
            path.stem
            for path in PACKAGE.joinpath(*folder.split(".")).iterdir()
            if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").exists()
        )
        for folder in (inner(module_name(path)) for path in PATHS if path.name == "__init__.py")
        if folder
    }

    assert parts == {*CORE, *FOLDERS}
    assert rows == {folder: sorted(row.split()) for folder, row in INSIDE.items()}


def test_imports_point_one_way():
    """
    No module imports a part or a module that the table puts beside or above it.
    """
    offenders = [found for found in INTERNAL if found.imported != "eventbus" and offence(found)]

    assert not offenders, report(offenders)


def test_each_exception_to_the_table_is_needed():
    """
    Each import that `EXCEPTIONS` permits is really there.
    """
    there = {(inner(found.importer), inner(found.imported)) for found in INTERNAL}

    assert EXCEPTIONS.keys() <= there


def test_nothing_imports_the_package_root():
    """
    A module imports the module that defines a name, never `eventbus`, which imports them all.
    """
    offenders = [found for found in INTERNAL if found.imported == "eventbus"]

    assert not offenders, report(offenders)


def test_no_folder_is_crowded():
    """
    No folder has more than twenty modules beside its ``__init__``.
    """
    crowded = {folder: len(row.split()) for folder, row in INSIDE.items() if len(row.split()) > 20}

    assert crowded == {}


def test_other_packages_are_imported_in_their_places_only():
    """
    The core needs anyio, attrs and blinker; any other package belongs to the places that name it.
    """
    offenders = [
        found
        for found in EXTERNAL
        if (package := found.imported.partition(".")[0]) not in CORE_PACKAGES
        and not is_within(inner(found.importer), OTHER_PACKAGES.get(package, ""))
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


@pytest.mark.slow
def test_each_module_opens_with_a_docstring():
    """
    The first statement of each module is a docstring that names its subject.
    """
    silent = [
        module_name(path)
        for path in PATHS
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]

    assert silent == []


def is_private(module: str) -> bool:
    return any(name.startswith("_") for name in module.split("."))


def test_public_modules_list_their_names():
    """
    The ``__all__`` of each public module has names that exist, each of them once.
    """
    wrong = {}
    for module in MODULES:
        if is_private(module) or part(module) == COMMAND_LINE:
            continue
        try:
            loaded = importlib.import_module(module)
        except (ImportError, OSError):
            if module not in MAY_LACK:
                raise
            continue
        names = list(getattr(loaded, "__all__", ()))
        missing = [name for name in names if not hasattr(loaded, name)]
        if missing or len(names) != len(set(names)) or not names:
            wrong[module] = missing or "empty, or a name twice"

    assert wrong == {}


def test_public_modules_have_a_page_each():
    """
    A module has a page of the API, or an underscore in its path: private looks private.
    """
    public = {m for m in MODULES if not is_private(m) and part(m) != COMMAND_LINE}
    pages = {path.stem for path in (ROOT / "docs" / "reference" / "api").glob("eventbus*.md")}

    assert pages == public


# --- what a test tells -----------------------------------------------------------------------


@pytest.mark.slow
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


def is_private_part(module: str) -> bool:
    return is_private(module) and module.partition(".")[0] == "eventbus" and module in MODULES


def patched_modules(node: ast.AST) -> Iterator[str]:
    """Yield the module in which ``monkeypatch.setattr("eventbus.…", …)`` replaces a name."""
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "setattr":
        target = node.args[0]
        if isinstance(target, ast.Constant) and isinstance(target.value, str):
            names = target.value.split(".")
            prefixes = (".".join(names[:size]) for size in range(len(names), 0, -1))
            yield from islice((prefix for prefix in prefixes if prefix in MODULES), 1)


def reached_by_tests() -> list[Import]:
    """Return the private modules that tests import, or replace a name in."""
    return [
        Import(module_name(path), name, node.lineno)
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in [*imported_modules(node, ""), *patched_modules(node)]
        if is_private_part(name)
    ]


@pytest.mark.slow
def test_tests_reach_private_modules_only_for_algorithms():
    """
    A private module that a test imports is in `ALGORITHMS`, or still in `NOT_YET`; no other entry
    is there.
    """
    permitted = {*" ".join(ALGORITHMS.values()).split(), *NOT_YET}
    reached = reached_by_tests()

    offenders = [
        found for found in reached if not is_within(inner(found.imported), " ".join(permitted))
    ]
    unused = {
        place
        for place in permitted
        if not any(is_within(inner(found.imported), place) for found in reached)
    }
    assert not offenders, (
        report(offenders) + "\nTest it through the public API; or, if it is an algorithm, name"
        " that and the module in ALGORITHMS in tests/test_architecture.py."
    )
    assert unused == set(), "in ALGORITHMS or NOT_YET, and no test needs it: take it out"
