r"""
Scenarios: the words and calls of the simulated model, and its pace.

A scenario is a YAML file, or is made in Python; the names are the same::

    name: weather
    pace: {first_output_ms: 500}
    turns:
      - hear: What is the weather in Oslo?       # the caller's first speech
        call: {tool: get_weather, arguments: {city: Oslo}}
        then: It is {output.temperature} degrees in Oslo.
      - when: {matches: 'in (?P<city>[A-Z]\w+)'}
        call: {tool: get_weather, arguments: {city: '{city}'}}
        then: In {city} it is {output.temperature} degrees.
      - when: goodbye
        say: Goodbye!
        faults: close=1000
    otherwise: I only know the weather.

``progress`` has the rules for which turn is next, `faults` has the faults. Some scenarios ship:
their names are enough.
"""

from __future__ import annotations

import difflib
import importlib
import math
import os
import re
import runpy
import sys
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final

import attrs

from ..exceptions import ScenarioError
from ._script.caller_script import CallerStep
from ._script.config_reader import FLAG, TEXT, Choice, Many, Number, Struct, read, within
from ._script.script import FAULTS, MAX_VALUES, Call, KeyPress, Pace, Turn, Usage, When
from ._script.turn_picker import Answer, AnswerCall, Prompt, ToolOutput, TurnPicker
from ._vad import VadSettings
from .faults import Fault, parse_faults

try:
    import yaml  # type: ignore[import-untyped]  # its types are a package of their own
except ModuleNotFoundError as exc:
    if exc.name != "yaml":  # PyYAML is there, something it needs isn't: not ours to explain
        raise
    msg = (
        "Scenarios need the PyYAML package: pip install 'eventbus[sim]', "
        "or pip install '.[sim]' in a clone."
    )
    raise ModuleNotFoundError(msg, name="yaml") from exc

__all__ = [
    "Answer",
    "AnswerCall",
    "Call",
    "CallerStep",
    "KeyPress",
    "Pace",
    "Prompt",
    "Scenario",
    "ToolOutput",
    "Turn",
    "TurnPicker",
    "Usage",
    "When",
    "load_scenario",
    "scenario_names",
]

_DIALECTS: Final = ("openai", "azure", "azure-voice-live", "xai")
_SHIPPED: Final = resources.files(__name__.rpartition(".")[0]) / "scenarios"


def _turns(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    return tuple(turns)


def _steps(steps: Iterable[CallerStep]) -> tuple[CallerStep, ...]:
    return tuple(steps)


def _keys(keys: Iterable[KeyPress]) -> tuple[KeyPress, ...]:
    return tuple(keys)


@attrs.frozen(kw_only=True)
class Scenario:
    """
    The behaviour of the simulated model in a session.

    Attributes:
        name: Its name.
        description: Its purpose.
        seed: Of the same seed come the same sounds, ids and waits.
        pace: How fast the model is.
        vad: The session's turn detection, before it asks for another.
        dialect: The service whose dialect it speaks: ``openai``, ``azure``, ``azure-voice-live`` or
            ``xai``, rows of `eventbus.wire.openai.DIALECTS`.
        turns: The turns of the model.
        otherwise: The turn for when none of them fits.
        faults: The faults, beside those that the simulator was given.
        output_audio_buffer: Whether the service plays its speech, as it does over WebRTC and SIP:
            with the events ``output_audio_buffer.*``, and an item that it truncates itself.
        caller: The steps of a caller, for `eventbus.callers.Caller`; the model doesn't know them.
        keys: The keys of the telephone that the caller presses, as over SIP.
    """

    name: str = attrs.field(default="", validator=TEXT)
    description: str = attrs.field(default="", validator=TEXT)
    seed: int = attrs.field(default=0, validator=Number(is_whole=True))
    pace: Pace = attrs.field(factory=Pace, validator=Struct(lambda: Pace))
    vad: VadSettings = attrs.field(factory=VadSettings, validator=Struct(lambda: VadSettings))
    dialect: str = attrs.field(default="openai", validator=Choice(*_DIALECTS))
    turns: tuple[Turn, ...] = attrs.field(
        default=(), converter=_turns, validator=Many(Struct(lambda: Turn, short="say"))
    )
    otherwise: Turn = attrs.field(
        factory=lambda: Turn(say="You said: {user}"),
        validator=Struct(lambda: Turn, short="say"),
    )
    faults: tuple[Fault, ...] = attrs.field(default=(), converter=parse_faults, validator=FAULTS)

    output_audio_buffer: bool = attrs.field(default=False, validator=FLAG)
    caller: tuple[CallerStep, ...] = attrs.field(
        default=(), converter=_steps, validator=Many(Struct(lambda: CallerStep, short="say"))
    )
    keys: tuple[KeyPress, ...] = attrs.field(
        default=(), converter=_keys, validator=Many(Struct(lambda: KeyPress))
    )

    def __attrs_post_init__(self) -> None:
        for index, turn in enumerate(self.turns):
            with within("turns"), within(index):
                turn.check_placeholders()
        with within("otherwise"):
            if self.otherwise.when or self.otherwise.hear is not None:
                msg = "otherwise has no when and no hear: it comes when no turn fits."
                raise ScenarioError(msg)
            self.otherwise.check_placeholders()

    def begin(self, *, seed: int | None = None) -> TurnPicker:
        """
        Return the progress of a new session.

        Args:
            seed: Replaces the scenario's.
        """
        seed = self.seed if seed is None else seed
        return TurnPicker(self.turns, self.otherwise, pace=self.pace, seed=seed)


def scenario_names() -> list[str]:
    """Return the names of the scenarios that ship."""
    files = (entry.name for entry in _SHIPPED.iterdir())
    return sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml"))


def load_scenario(
    source: str | os.PathLike[str] | Mapping[str, Any] | Scenario | None = None,
) -> Scenario:
    """
    Return the scenario that *source* names.

    Args:
        source:
            The name of one that ships (``weather``), a YAML file, a Python file with one
            `Scenario` or several of which one is called ``scenario``, ``module:attribute``,
            a mapping as a YAML file has it, or a scenario; None is the one that answers anything.

    Raises:
        ScenarioError: There is no such scenario, or it has a mistake.
    """
    if isinstance(source, Scenario):
        return source
    if isinstance(source, Mapping):
        return _build(source, "", None)
    if source is None:
        source = "default"
    name = os.fspath(source)
    if isinstance(source, str) and name in scenario_names():
        return _load_yaml((_SHIPPED / f"{name}.yaml").read_bytes(), f"{name}.yaml")
    path = Path(name)
    is_path = not isinstance(source, str) or os.path.exists(name)  # noqa: PTH110  # raises nothing
    if is_path or path.suffix.lower() in {".yaml", ".yml", ".py"}:
        return _load_file(path)
    if ":" in name:
        return _load_attribute(name)
    close = difflib.get_close_matches(name, scenario_names(), n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(scenario_names())}."
    msg = f"There is no scenario {name}; {hint} A file's name ends with .yaml or .py."
    raise ScenarioError(msg, source=name)


# --- Python ----------------------------------------------------------------------------------


def _load_file(path: Path) -> Scenario:
    try:
        data = path.read_bytes()
    except OSError as exc:
        msg = f"{path} can't be read: {exc.strerror}."
        raise ScenarioError(msg, source=str(path)) from exc
    if path.suffix.lower() != ".py":
        return _load_yaml(data, str(path))
    try:
        namespace = runpy.run_path(str(path))
    except (Exception, SystemExit) as exc:
        raise _broken(str(path), exc) from exc
    found = [value for value in namespace.values() if isinstance(value, Scenario)]
    chosen = namespace.get("scenario", found[0] if len(found) == 1 else None)
    if isinstance(chosen, Scenario):
        return chosen
    msg = f"{path} has {len(found)} scenarios; write one, scenario = Scenario(…)."
    raise ScenarioError(msg, source=str(path))


def _load_attribute(name: str) -> Scenario:
    module_name, _, attribute = name.partition(":")
    directory = os.getcwd()  # noqa: PTH109  # sys.path has strings
    if directory not in sys.path:
        sys.path.insert(0, directory)  # as for python -m
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (Exception, SystemExit) as exc:
        raise _broken(name, exc) from exc
    if isinstance(found, Scenario):
        return found
    msg = f"{name} is a {type(found).__name__}, not a scenario; make it a Scenario(…)."
    raise ScenarioError(msg, source=name)


def _broken(source: str, exc: BaseException) -> ScenarioError:
    msg = f"{source} can't be loaded: {type(exc).__name__}: {exc}"
    return ScenarioError(msg, source=source)


# --- YAML ------------------------------------------------------------------------------------


def _load_yaml(data: bytes, source: str) -> Scenario:
    loader, content = None, None
    try:
        loader = yaml.SafeLoader(data)
        root = loader.get_single_node()
        too_large = _expansion_mistake(root, source)
        if too_large is None and root is not None:
            content = loader.construct_document(root)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line = mark.line + 1 if mark else None
        msg = f"It is no YAML: {exc.problem or exc.context}."
        raise _mistake(msg, source, line) from exc
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        msg = f"It can't be read as YAML: {' '.join(str(exc).split())}"
        raise _mistake(msg, source) from exc
    finally:
        if loader is not None:
            loader.dispose()
    if too_large is not None:
        raise too_large
    if not isinstance(content, Mapping):
        msg = "A scenario is a mapping with turns; begin with 'turns:'."
        raise _mistake(msg, source)
    _refuse_duplicates(root, source)
    return _build({"name": Path(source).stem, **content}, source, root)


def _build(content: Mapping[str, Any], source: str, root: yaml.Node | None) -> Scenario:
    try:
        return read(Scenario, content)
    except ScenarioError as exc:
        raise _mistake(str(exc), source, _line(root, exc.path), exc.path) from exc
    except RecursionError as exc:
        msg = "Its turns contain themselves; write out what is meant."
        raise _mistake(msg, source) from exc


def _mistake(problem: str, source: str, line: int | None = None, path: str = "") -> ScenarioError:
    where = ", ".join(filter(None, (source, f"line {line}" if line else "", path)))
    msg = f"{where}: {problem}" if where else problem
    return ScenarioError(msg, source=source, path=path, line=line)


def _line(node: yaml.Node | None, path: str) -> int | None:
    """Return the line that *path* leads to, or that of its last step in the file."""
    line: int | None = node.start_mark.line + 1 if node else None
    for index, name in re.findall(r"\[(\d+)\]|([^.\[\]]+)", path):
        if index and isinstance(node, yaml.SequenceNode):
            entry = node.value[int(index)]
            node, line = entry, entry.start_mark.line + 1
        elif name and isinstance(node, yaml.MappingNode):  # not for [0] of one without a list
            found = [(key, value) for key, value in node.value if key.value == name]
            if not found:
                break
            key, node = found[-1]
            line = key.start_mark.line + 1
    return line


def _expansion_mistake(root: yaml.Node | None, source: str) -> ScenarioError | None:
    """
    Return the error for aliases that stand for too much, or for themselves; None if there are none.

    An alias is one node, and each use of it is read as if it were written out: a few lines of
    aliases of aliases stand for more than fits into memory, and one of itself for no end.
    """
    sizes: dict[int, float] = {}  # of what each node stands for, by its identity
    nodes = [] if root is None else [root]
    while nodes:
        node = nodes[-1]
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            inner = [each for pair in node.value for each in pair]
        elif isinstance(node, yaml.SequenceNode):
            inner = node.value
        if id(node) not in sizes:
            sizes[id(node)] = math.inf  # as long as it isn't known: for an alias of itself
            nodes += (each for each in inner if id(each) not in sizes)
            continue
        nodes.pop()
        sizes[id(node)] = size = 1 + sum(sizes[id(each)] for each in inner)
        if size > MAX_VALUES:
            line = node.start_mark.line + 1
            msg = "It contains itself; write out what is meant."
            if size < math.inf:
                msg = f"Its aliases stand for more than {MAX_VALUES} values; use fewer of them."
            return _mistake(msg, source, line)
    return None


def _refuse_duplicates(root: yaml.Node | None, source: str) -> None:
    """Refuse a key that is there twice, of which YAML's constructor would drop one."""
    nodes, seen = [root], set()
    while nodes:
        node = nodes.pop()
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
            continue
        keys = set()
        for key, value in node.value:
            if key.value in keys:
                line = key.start_mark.line + 1
                msg = f"{key.value} is there twice; leave out one of them."
                raise _mistake(msg, source, line)
            keys.add(key.value)
            nodes.append(value)
