"""
Tools: functions that the model may call, described by their signatures.

::

    @tool
    async def weather(city: Annotated[str, "The city's name"], days: int = 1) -> Forecast:
        \"\"\"Return the weather forecast.\"\"\"

is a tool ``weather`` whose description is the first paragraph of the docstring, with a JSON
schema of ``city`` and ``days``. msgspec makes the schema and checks the arguments, so
a parameter can have any type of msgspec's: numbers, texts, dates, enums, literals, unions,
collections, and classes with fields (attrs, dataclasses, TypedDict, msgspec.Struct). So can a
pydantic model; it is recognised by its methods, and pydantic is not imported.

Arguments are checked strictly: ``"3"`` is no number, and an unknown argument is a mistake that
the model is told of. Mistakes are told by path and type, never with the value, which may be a
caller's words.
"""

from __future__ import annotations

import functools
import inspect
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Protocol,
    TypeAlias,
    get_args,
    get_origin,
    overload,
)
from typing import get_type_hints as type_hints_of

import attrs
import msgspec

from .._core.signatures import is_async
from ..exceptions import ToolArgumentsError, ToolDefinitionError
from ..items import RealtimeItem

if TYPE_CHECKING:
    from .inputs import RealtimeModelUserInput
    from .settings import RealtimeSessionModelSettings

__all__ = ["NeedsApproval", "Tool", "ToolContext", "ToolSession", "output_text", "tool"]


class ToolSession(Protocol):
    """The session of a call, as a tool may use it; `eventbus.realtime.RealtimeSession` is one."""

    @property
    def history(self) -> Sequence[RealtimeItem]:
        """The items of the conversation."""
        ...

    async def send_message(self, message: RealtimeModelUserInput) -> None:
        """Add a user's message to the conversation, and ask for a response."""
        ...

    async def interrupt(self) -> None:
        """Stop the model."""
        ...

    async def update_settings(self, settings: RealtimeSessionModelSettings) -> None:
        """Change the session's settings."""
        ...

    async def close(self) -> None:
        """Hang up: cancel the running tools, this one too, and close the connection."""
        ...


@attrs.frozen
class ToolContext:
    """
    The circumstances of a tool's call.

    A tool gets it as its first parameter, if that is annotated with this class; the model
    doesn't see it.

    Attributes:
        session: The session that the call belongs to.
        call_id: The call's id.
        tool_name: The tool's name.
        context: The application's own, as it was given to the session; None if none was.
    """

    session: ToolSession = attrs.field(repr=False)
    call_id: str
    tool_name: str
    context: Any = attrs.field(default=None, repr=lambda value: f"<{type(value).__qualname__}>")


NeedsApproval: TypeAlias = bool | Callable[[ToolContext, Mapping[str, Any]], Any]
"""
Whether a call waits for approval; or a function, sync or async, that says so.

The function gets the call's context, and the arguments by name.
"""

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")

# A name that no class of a user's has: msgspec mistakes classes of one name for each other.
_ARGUMENTS: Final = "<arguments>"


@attrs.frozen(eq=False)
class Tool:
    """
    A function that the model may call; `tool` makes it.

    Calling it calls the function, so that tests can.

    Attributes:
        name: The name that the model calls it by.
        description: The description that the model gets.
        parameters: The JSON schema of its arguments.
        function: The function.
        timeout: Seconds after which a call is given up; None is never.
        needs_approval: Whether a call waits for approval.
        wants_context: Whether the function takes a `ToolContext` first.
    """

    name: str
    description: str
    parameters: Mapping[str, Any] = attrs.field(repr=False)
    function: Callable[..., Any]
    timeout: float | None = None
    needs_approval: NeedsApproval = False
    wants_context: bool = False
    _decoder: msgspec.json.Decoder[Any] = attrs.field(repr=False, kw_only=True, alias="decoder")

    @property
    def is_async(self) -> bool:
        """True if the function is awaited; else it is called in a thread."""
        return is_async(self.function)

    def to_settings(self) -> dict[str, Any]:
        """Return the tool as a session's settings have it."""
        return {
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
        }

    def arguments_from(self, text: str) -> dict[str, Any]:
        """
        Return the arguments in a JSON text that a model has written, by name.

        Raises:
            ToolArgumentsError: The tool doesn't take them.
        """
        try:
            arguments = self._decoder.decode(text.strip() or "{}")
        except (ValueError, RecursionError) as exc:  # msgspec's and UnicodeError are
            problem = _problem(exc)
        else:
            return {name: getattr(arguments, name) for name in arguments.__struct_fields__}
        # Raised out here: the error from below quotes the arguments.
        msg = f"The arguments of {self.name} are wrong: {problem}."
        raise ToolArgumentsError(msg, tool=self.name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.function(*args, **kwargs)


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    function: None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
    needs_approval: NeedsApproval = False,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
    needs_approval: NeedsApproval = False,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """
    Make a tool of a function; as a decorator, with or without options.

    Args:
        function: A function or a coroutine function; each parameter has a type.
        name: By default the function's.
        description: By default the first paragraph of the docstring.
        timeout: Seconds after which a call is given up. A thread can't be stopped: a sync
            function goes on, and its result is dropped.
        needs_approval: Whether a call waits until somebody approves of it; a function of
            the call's context and arguments decides it for each call.

    Raises:
        ToolDefinitionError: The function can't be a tool, or an option has a value that it
            can't have.
    """
    if function is None:
        return lambda given: _make(given, name, description, timeout, needs_approval)
    return _make(function, name, description, timeout, needs_approval)


def _make(
    function: Any,
    name: str | None,
    description: str | None,
    timeout: float | None,
    needs_approval: NeedsApproval,
) -> Tool:
    if name is None:
        name = str(getattr(function, "__name__", type(function).__qualname__))
    _check(function, name, timeout, needs_approval)
    parameters = _parameters_of(function, name)
    wants_context = bool(parameters) and _is_context(next(iter(parameters.values())).annotation)
    if wants_context:
        del parameters[next(iter(parameters))]
    fields = [_field(parameter) for parameter in parameters.values()]
    try:
        struct = _struct(fields)
        schema = _schema(struct)
        decoder = msgspec.json.Decoder(struct, dec_hook=_load_custom)
    except Exception as exc:
        raise _refusal(name, fields, exc) from exc
    if description is None:
        description = (inspect.getdoc(function) or "").partition("\n\n")[0]
    return Tool(
        name,
        " ".join(description.split()),
        schema,
        function,
        timeout,
        needs_approval,
        wants_context,
        decoder=decoder,
    )


def _check(function: Any, name: str, timeout: object, needs_approval: object) -> None:
    if isinstance(function, Tool):
        problem = "it is a tool already; give it to the session as it is"
    elif not callable(function) or isinstance(function, type):
        problem = f"a tool is a function, not {type(function).__qualname__}"
    elif inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        problem = "it is a generator; return the result in one piece"
    elif not _NAME.fullmatch(name):
        problem = "a name has letters, digits, _ and -, and at most 64 of them; pass name="
    elif timeout is not None and not _is_positive(timeout):
        problem = f"timeout= is a positive number of seconds or None, not {timeout!r}"
    elif not (isinstance(needs_approval, bool) or callable(needs_approval)):
        problem = f"needs_approval= is a bool or a function, not {needs_approval!r}"
    elif callable(needs_approval) and (wrong := _wrong_callable(needs_approval, None, {})):
        problem = f"needs_approval= takes the context and the arguments, and {wrong}"
    else:
        return
    msg = f"{name} can't be a tool: {problem}."
    raise ToolDefinitionError(msg, tool=name)


def check_callable(function: Any, label: str, *arguments: Any) -> Any:
    """
    Return *function* if it can be called with these arguments.

    Raises:
        TypeError: It is not a function, takes other arguments, or is async.
    """
    problem = _wrong_callable(function, *arguments)
    if problem is None and is_async(function):
        problem = "it is async, and its result is needed at once"
    if problem is not None:
        msg = f"{label} takes a function, and can't take {function!r}: {problem}."
        raise TypeError(msg)
    return function


def _wrong_callable(function: Any, *arguments: Any) -> str | None:
    if not callable(function):
        return "it can't be called"
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of a builtin
        return None
    try:
        signature.bind(*arguments)
    except TypeError:
        return f"it doesn't take {len(arguments)} arguments"
    return None


def _is_positive(number: Any) -> bool:
    if not isinstance(number, (int, float)) or isinstance(number, bool):
        return False
    return 0 < number < math.inf


def _parameters_of(function: Any, name: str) -> dict[str, inspect.Parameter]:
    """Return the parameters by name, their annotations resolved."""
    try:
        code = function
        while isinstance(code, functools.partial):
            code = code.func
        if not hasattr(code, "__annotations__"):  # a callable object's are its method's
            code = code.__call__
        hints = type_hints_of(code, localns=_enclosing(code), include_extras=True)
        parameters = inspect.signature(function).parameters
    except NameError as exc:
        msg = (
            f"{name} can't be a tool: its annotations name {exc.name!r}, which isn't known where "
            f"they are looked up; define it at the top of the module, before the tool."
        )
        raise ToolDefinitionError(msg, tool=name) from exc
    except (TypeError, ValueError, SyntaxError, AttributeError) as exc:
        msg = f"{name} can't be a tool: its signature can't be read ({exc}); wrap it in a function."
        raise ToolDefinitionError(msg, tool=name) from exc
    for position, parameter in enumerate(parameters.values()):
        problem = _wrong_parameter(parameter, hints.get(parameter.name), position)
        if problem:
            msg = f"{name} can't be a tool: its parameter {parameter.name!r} {problem}."
            raise ToolDefinitionError(msg, tool=name)
    return {each: p.replace(annotation=hints[each]) for each, p in parameters.items()}


def _enclosing(function: Any) -> dict[str, Any]:
    """Return the names that the function takes from the functions around it."""
    function = inspect.unwrap(getattr(function, "__func__", function))
    cells = getattr(function, "__closure__", None) or ()
    names = function.__code__.co_freevars if cells else ()
    known = {}
    for name, cell in zip(names, cells, strict=True):
        try:
            known[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return known


def _wrong_parameter(parameter: inspect.Parameter, hint: Any, position: int) -> str | None:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        return "stands for any number of arguments; name each, or take a list or a dict"
    if parameter.kind is parameter.POSITIONAL_ONLY:
        return "is positional only, and a model gives arguments by name; remove the /"
    if hint is None:
        return f"has no type; annotate it, like {parameter.name}: str"
    if _is_context(hint) and position:
        return "is a ToolContext, which comes first; move it to the front"
    return None


def _is_context(hint: Any) -> bool:
    hint = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    return isinstance(hint, type) and issubclass(hint, ToolContext)


_Field: TypeAlias = tuple[str, Any] | tuple[str, Any, Any]


def _field(parameter: inspect.Parameter) -> _Field:
    """Return the parameter as a field of a msgspec struct."""
    hint, default = _described(parameter.annotation), parameter.default
    if default is parameter.empty:
        return parameter.name, hint
    if default is None or type(default) in (bool, int, float, str):
        return parameter.name, hint, default  # the model is told of it
    return parameter.name, hint, msgspec.field(default_factory=lambda: default)


def _described(hint: Any) -> Any:
    """Return *hint* with the text in ``Annotated[T, "text"]`` as msgspec has it."""
    if get_origin(hint) is not Annotated:
        return hint
    base, *notes = get_args(hint)
    notes = [msgspec.Meta(description=n) if isinstance(n, str) else n for n in notes]
    return Annotated[(base, *notes)]


def _struct(fields: list[_Field]) -> type[msgspec.Struct]:
    return msgspec.defstruct(
        _ARGUMENTS, fields, kw_only=True, forbid_unknown_fields=True, rename=None
    )


def _refusal(name: str, fields: list[_Field], error: Exception) -> ToolDefinitionError:
    """Return the error for fields that msgspec refuses, with the first that is at fault."""
    for field in fields:
        try:
            _schema(struct := _struct([field]))
            msgspec.json.Decoder(struct, dec_hook=_load_custom)
        except Exception as exc:  # noqa: BLE001  # msgspec's, and those of pydantic in its hooks
            reason = str(exc).rpartition("\n")[2]
            msg = (
                f"{name} can't be a tool: its parameter {field[0]!r} has a type that JSON can't "
                f"be checked against ({reason}); take a type that msgspec or pydantic knows."
            )
            return ToolDefinitionError(msg, tool=name)
    return ToolDefinitionError(f"{name} can't be a tool: {error}.", tool=name)


# --- schemas ---------------------------------------------------------------------------------


def _schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON schema of a struct: its own at the top, and those of its parts."""
    (top,), components = msgspec.json.schema_components([struct], schema_hook=_schema_of_custom)
    schema = components.pop(top["$ref"].rpartition("/")[2])
    del schema["title"]
    schema.setdefault("required", [])
    hoisted = dict(components)
    _hoist([schema, *components.values()], hoisted)
    return {**schema, "$defs": hoisted} if hoisted else schema


def _hoist(value: Any, definitions: dict[str, Any]) -> None:
    """Move the definitions that stand within *value* to *definitions*, where references look."""
    if isinstance(value, dict):
        for name, definition in value.pop("$defs", {}).items():
            definitions[name] = definition
            _hoist(definition, definitions)
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            _hoist(each, definitions)


def _schema_of_custom(cls: type[Any]) -> dict[str, Any]:
    """Return the schema of a class that msgspec doesn't know: a pydantic model."""
    if not _is_pydantic(cls):
        raise NotImplementedError
    prefix = f"{cls.__name__}."  # of the names of its parts, which another model may have too
    schema: dict[str, Any] = cls.model_json_schema(ref_template=f"#/$defs/{prefix}{{model}}")
    definitions = schema.get("$defs")
    if definitions:
        schema["$defs"] = {prefix + name: each for name, each in definitions.items()}
    return schema


def _load_custom(cls: type[Any], value: Any) -> Any:
    if not _is_pydantic(cls):
        raise NotImplementedError
    try:
        return cls.model_validate(value)
    except ValueError as exc:
        errors = getattr(exc, "errors", None)
        if errors is None:
            raise
        found = errors(include_url=False, include_context=False, include_input=False)
    # Not the error itself, which quotes its input.
    raise ValueError("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['type']}" for e in found))


def _is_pydantic(cls: Any) -> bool:
    return callable(getattr(cls, "model_json_schema", None)) and callable(
        getattr(cls, "model_validate", None)
    )


_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_QUOTED: Final = re.compile(r" '.*'", re.DOTALL)


def _problem(error: Exception) -> str:
    """Return the mistake, without the value."""
    if isinstance(error, RecursionError):
        return "they are nested too deeply"
    if not isinstance(error, msgspec.ValidationError):
        return "they are no JSON"
    # msgspec quotes types and names in `backticks`, and values in 'quotes'.
    return _QUOTED.sub("", str(error)).rstrip(".")


# --- results ---------------------------------------------------------------------------------


def output_text(result: Any) -> str:
    """
    Return a tool's result as text for the model: a string as it is, else JSON.

    The text can always be sent: half a surrogate pair, as file names may have, becomes U+FFFD in
    a string, and an escape in JSON.

    Raises:
        TypeError: It can't be written as JSON.
    """
    if isinstance(result, str):
        return sendable(result)
    try:
        return msgspec.json.encode(result, enc_hook=_plain).decode()
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(result, enc_hook=_plain), separators=(",", ":"))


def sendable(text: str) -> str:
    """Return *text* with U+FFFD for each character that UTF-8 can't have."""
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)


def _plain(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if callable(dump) and _is_pydantic(type(value)):
        return dump(mode="json")
    if isinstance(value, Mapping):
        return dict(value)
    msg = (
        f"{type(value).__qualname__} can't be written as JSON; return plain data or attrs objects."
    )
    raise TypeError(msg)
