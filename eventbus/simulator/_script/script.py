"""
The parts of a scenario: the model's turns, their conditions, and their pace.

The classes read the same in a YAML file and in Python; `scenario` explains them with an example.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

import attrs

from ...exceptions import ScenarioError
from ..faults import Fault, parse_faults
from . import placeholders
from .caller_script import KEYS
from .config_reader import FLAG, TEXT, Many, Number, Readable, Struct, within

MAX_VALUES: Final = 100_000
"""Of a call's arguments, or of a file, with all that is shared in it written out."""

_TOKENS: Final = Number(0, is_whole=True)
_DURATION_MS: Final = Number(0)


class _Faults(Readable):
    """Reads faults; those of one turn count nothing."""

    def __init__(self, *, of_turn: bool = False) -> None:
        self._of_turn = of_turn

    def read(self, name: str, value: object) -> tuple[Fault, ...]:
        """Return the faults; the field's validator checks them."""
        return parse_faults(Many(TEXT, or_one=True).read(name, value))

    def check(self, name: str, value: object) -> None:  # noqa: ARG002  # the base's
        """Check that they are such as a turn may have."""
        for fault in cast("tuple[Fault, ...]", value):
            if self._of_turn and (fault.counts != "response" or fault.number > 1):
                bare = str(fault).partition("@")[0]
                also = f", or write {bare}" if fault.counts in {"response", "frame"} else ""
                msg = (
                    f"{fault} can't be a fault of a turn, which comes when the turn does; "
                    f"give it to the scenario{also}."
                )
                raise ScenarioError(msg)


class _Arguments(Readable):
    """Reads the arguments of a call."""

    def read(self, name: str, value: object) -> Mapping[str, Any] | str:
        """Return them, if they can be sent."""
        if not isinstance(value, (str, Mapping)):
            msg = f"{name} is a mapping, or a text that is sent as it is; not {value!r}."
            raise ScenarioError(msg)
        if _is_too_large(value):
            msg = f"{name} has more than {MAX_VALUES} values, or contains itself; make it shorter."
            raise ScenarioError(msg)
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as exc:
            msg = f"{name} can't be written as JSON: {exc}; put quotes around what is a text."
            raise ScenarioError(msg) from exc
        return value


def _is_too_large(value: object) -> bool:
    """Return whether *value*, with shared parts written out, has too many values."""
    count, values = 0, [value]
    while values and count <= MAX_VALUES:
        count += 1
        inner = values.pop()
        if isinstance(inner, Mapping):
            values += inner.values()
        elif isinstance(inner, (list, tuple)):
            values += inner
    return count > MAX_VALUES


class _Settings(Readable):
    """Reads settings to compare a session's with, of which it names some."""

    def __init__(self, *, or_text: bool = False) -> None:
        self._or_text = or_text

    def read(self, name: str, value: object) -> Mapping[str, Any] | str:
        """Return them."""
        if isinstance(value, Mapping) or (self._or_text and isinstance(value, str)):
            return cast("Mapping[str, Any] | str", value)
        also = ", or a text like required" if self._or_text else ""
        msg = f"{name} is a mapping of settings{also}; not {value!r}."
        raise ScenarioError(msg)


FAULTS: Final = _Faults()
_PLACEHOLDERS: Final = ("user", "turn", "tool", "output", "outputs")


@attrs.frozen(kw_only=True)
class Pace:
    """
    The model's pace, in milliseconds of the simulator's time.

    Attributes:
        first_output_ms: From the beginning of a response to the first piece of its output.
        chunk_ms: How much audio a piece has.
        generation_speed: How many times faster than it is heard audio is made.
        text_delta_ms: Between two pieces of a text answer.
        arguments_delta_ms: Between two pieces of a tool call's arguments.
        transcription_ms: From the commit of the caller's audio to its transcript.
        jitter: By what part of itself a wait may be shorter or longer, from 0 to 1.
    """

    first_output_ms: float = attrs.field(default=300, validator=_DURATION_MS)
    chunk_ms: int = attrs.field(default=200, validator=Number(10, 10_000, is_whole=True))
    generation_speed: float = attrs.field(default=4.0, validator=Number(0.01, 1000))
    text_delta_ms: float = attrs.field(default=25, validator=_DURATION_MS)
    arguments_delta_ms: float = attrs.field(default=15, validator=_DURATION_MS)
    transcription_ms: float = attrs.field(default=250, validator=_DURATION_MS)
    jitter: float = attrs.field(default=0.0, validator=Number(0, 1))


@attrs.frozen(kw_only=True)
class KeyPress:
    """
    A key of the caller's telephone.

    Attributes:
        key: ``0`` to ``9``, ``*``, ``#``, or ``A`` to ``D``.
        at_ms: When it is pressed, in milliseconds from the beginning of the session.
    """

    key: str = attrs.field(validator=KEYS)
    at_ms: float = attrs.field(default=0, validator=_DURATION_MS)


@attrs.frozen(kw_only=True)
class Usage:
    """The tokens of a response, as far as the scenario gives them; None is estimated."""

    input_text_tokens: int | None = attrs.field(default=None, validator=_TOKENS)
    input_audio_tokens: int | None = attrs.field(default=None, validator=_TOKENS)
    cached_tokens: int | None = attrs.field(default=None, validator=_TOKENS)
    output_text_tokens: int | None = attrs.field(default=None, validator=_TOKENS)
    output_audio_tokens: int | None = attrs.field(default=None, validator=_TOKENS)
    reasoning_tokens: int | None = attrs.field(default=None, validator=_TOKENS)


@attrs.frozen(kw_only=True)
class When:
    """
    The conditions of a turn, all of which have to be true. In a file, a text alone is *text*.

    Attributes:
        text: The user's words contain this, in upper or lower case.
        matches: This regular expression is found in them, in this case (``(?i)`` takes both);
            the matches of its named groups are placeholders.
        turn: It is the user's so-many-th turn, from 1.
        tool: The output of this tool has come.
        output: A tool's output contains this, which may be empty: any output.
        mentions_tool: The user's words have one of the name of a tool that is on offer, like
            *weather* of ``get_weather``; its name is the placeholder ``{tool}``.
        instructions: The instructions of the response contain this, in upper or lower case.
        session: The session's settings have these values; objects are compared field by field.
        tool_choice: The tool choice of the response is this: ``required``, for example.
    """

    text: str | None = attrs.field(default=None, validator=TEXT)
    matches: str | None = attrs.field(default=None, validator=TEXT)
    turn: int | None = attrs.field(default=None, validator=Number(1, is_whole=True))
    tool: str | None = attrs.field(default=None, validator=TEXT)
    output: str | None = attrs.field(default=None, validator=TEXT)
    mentions_tool: bool = attrs.field(default=False, validator=FLAG)
    instructions: str | None = attrs.field(default=None, validator=TEXT)
    session: Mapping[str, Any] | None = attrs.field(default=None, validator=_Settings())
    tool_choice: str | Mapping[str, Any] | None = attrs.field(
        default=None, validator=_Settings(or_text=True)
    )

    def __attrs_post_init__(self) -> None:
        has_other = (self.turn, self.instructions, self.session, self.tool_choice) != (None,) * 4
        if not self.is_about_text and not self.is_about_output and not has_other:
            msg = f"It has no condition; there are {', '.join(attrs.fields_dict(When))}."
            raise ScenarioError(msg)
        try:
            re.compile(self.matches or "")
        except re.error as exc:
            msg = f"matches is no regular expression: {exc}."
            raise ScenarioError(msg, path="matches") from exc

    @property
    def is_about_text(self) -> bool:
        """True if it depends on the user's words."""
        return self.text is not None or self.matches is not None or self.mentions_tool

    @property
    def is_about_output(self) -> bool:
        """True if it depends on a tool's output."""
        return self.tool is not None or self.output is not None

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups in *matches*."""
        return tuple(re.compile(self.matches).groupindex) if self.matches is not None else ()


@attrs.frozen
class Call:
    """
    A call of a tool. In a file, a text alone is *tool*.

    Attributes:
        tool: Its name.
        arguments: A mapping, with placeholders in its texts; a text is sent as it is, JSON or
            not; None makes some up that fit the tool's schema.
    """

    tool: str = attrs.field(validator=TEXT)
    arguments: Mapping[str, Any] | str | None = attrs.field(default=None, validator=_Arguments())


def _calls(given: Call | Iterable[Call]) -> tuple[Call, ...]:
    return (given,) if isinstance(given, Call) else tuple(given)


@attrs.frozen(kw_only=True)
class Turn:
    """
    The model's part in one response. In a file, a text alone is *say*.

    Its words, and the arguments of its calls, have placeholders: ``{user}`` for the user's
    last words, ``{turn}`` for how many turns the user had, ``{output}`` for the last tool's
    output, ``{output.temperature}`` for a part of it, ``{outputs.TOOL}`` for that of another
    tool, ``{tool}`` for a tool's name (see `When`), and the groups of *when*'s ``matches``.

    Attributes:
        hear: The transcript of the caller's speech that it answers.
        when: When it is performed, as often as that is; without it, in order, once.
        say: The words.
        call: The tools that it calls, after that.
        interleaved: Whether the message that it says is commentary, and still open while the
            calls are made, as of a model that reasons.
        then: The turn after their output has come; placeholders keep their values.
        pace: How fast it is, if not as fast as the scenario.
        usage: Its tokens.
        faults: The faults in it.
    """

    hear: str | None = attrs.field(default=None, validator=TEXT)
    when: When | None = attrs.field(default=None, validator=Struct(lambda: When, short="text"))
    say: str | None = attrs.field(default=None, validator=TEXT)
    call: Sequence[Call] = attrs.field(
        default=(),
        converter=_calls,
        validator=Many(Struct(lambda: Call, short="tool"), or_one=True),
    )
    interleaved: bool = attrs.field(default=False, validator=FLAG)
    then: Turn | None = attrs.field(default=None, validator=Struct(lambda: Turn, short="say"))
    pace: Pace | None = attrs.field(default=None, validator=Struct(lambda: Pace))
    usage: Usage | None = attrs.field(default=None, validator=Struct(lambda: Usage))
    faults: tuple[Fault, ...] = attrs.field(
        default=(), converter=parse_faults, validator=_Faults(of_turn=True)
    )

    def __attrs_post_init__(self) -> None:
        if self.then is not None and not self.call:
            msg = "then comes after a tool's output, and there is no call; add one, or a turn."
            raise ScenarioError(msg, path="then")
        if self.then is not None and (self.then.when or self.then.hear is not None):
            msg = "then has no when and no hear: it comes when the tools' output has."
            raise ScenarioError(msg, path="then")
        if (
            self.hear is not None
            and self.when is not None
            and (self.when.is_about_text or self.when.is_about_output)
        ):
            msg = "hear decides what the words are that when depends on; leave out one of them."
            raise ScenarioError(msg, path="hear")

    def check_placeholders(self, groups: Sequence[str] = ()) -> None:
        """
        Check that each placeholder has something to stand for.

        Args:
            groups: The names that turns before it have defined.

        Raises:
            ScenarioError: One has not.
        """
        groups = (*groups, *(self.when.groups if self.when else ()))
        known = (*_PLACEHOLDERS, *groups)
        with within("say"):
            placeholders.check(self.say, known)
        with within("call"):
            for index, call in enumerate(self.call):
                with within(index):
                    with within("tool"):
                        placeholders.check(call.tool, known)
                    if not isinstance(call.arguments, str):
                        with within("arguments"):
                            placeholders.check(call.arguments, known)
        if self.then is not None:
            with within("then"):
                self.then.check_placeholders(groups)
