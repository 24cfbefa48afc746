"""
The choice of a scenario's next turn: the words that are heard and the answers, in one session.

The input of a response decides, in this order:

1. the *then* of the last turn that called tools, once the output of all its calls has come;
   while some of it is missing, the model says nothing;
2. the first turn with a *when* that is true;
3. unless only a tool's output has come: the next turn without a *when*;
4. a tool's output is read out; anything else gets the scenario's *otherwise*.

The tool choice is honoured: with ``none`` a turn calls nothing; with ``required`` a turn without
a call makes one up, of the tool that the user mentions or the first on offer; and a function that
is forced is all that the response calls, without a word.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from ...audio._formats import PCM16, AudioFormat
from ..faults import Fault
from ..speech import spoken_text
from .example_values import example_value
from .placeholders import fill, fill_all
from .script import Call, Pace, Turn, Usage, When

_NOTHING: Final = Turn()
_READ_OUT: Final = Turn(say="The tool says: {output}")

# Words of a tool's name that a user says for other reasons are shorter: get, set, find, a.
_MENTION: Final = re.compile(r"[^\W_]{4,}")


@attrs.frozen
class ToolOutput:
    """
    The output of a tool, which the client has sent.

    Attributes:
        tool: The tool's name; empty if no call is known for it.
        output: Its return value, JSON or not.
    """

    tool: str
    output: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Prompt:
    """
    The input of a response: everything since the last one.

    Attributes:
        text: The user's words, typed or heard; empty if there are none.
        outputs: Outputs of tools.
        tools: The tools on offer, as in the session's (or the response's) settings.
        tool_choice: Theirs, too.
        instructions: Theirs, too.
        session: The session object.
    """

    text: str = attrs.field(default="", repr=False)
    outputs: Sequence[ToolOutput] = ()
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: str | Mapping[str, Any] = "auto"
    instructions: str = attrs.field(default="", repr=False)
    session: Mapping[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen
class AnswerCall:
    """
    A tool call as it is sent.

    Attributes:
        tool: The tool's name.
        arguments: JSON, unless the scenario wants it broken.
    """

    tool: str
    arguments: str


@attrs.frozen(kw_only=True)
class Answer:
    """
    The model's next turn, with its placeholders filled in.

    Attributes:
        say: The words; empty if there are none.
        calls: The calls, after that.
        pace: How fast.
        usage: The tokens that the scenario gives.
        interleaved: Whether its message is open while its calls are made.
        faults: The turn's, for ``ConnectionFaults.begin_response``.
    """

    say: str
    calls: tuple[AnswerCall, ...]
    pace: Pace
    usage: Usage
    faults: tuple[Fault, ...]
    interleaved: bool = False


class TurnPicker:
    """
    A session's progress in its scenario; `Scenario.begin` makes it.

    Args:
        turns: The scenario's.
        otherwise: The turn for when none of them fits.
        pace: How fast it is.
        seed: That of the session.

    Attributes:
        seed: The session's seed, for its sounds and ids, too.
    """

    def __init__(self, turns: Sequence[Turn], otherwise: Turn, *, pace: Pace, seed: int) -> None:
        self.seed = seed
        self._conditional = [turn for turn in turns if turn.when]
        self._script = [turn for turn in turns if not turn.when]
        self._otherwise = otherwise
        self._pace = pace
        self._chance = random.Random(seed)
        self._user_turns = 0
        self._then: Turn | None = None
        self._missing = 0  # outputs of the calls before it
        # What placeholders stand for, also in the turns that follow.
        self._values: dict[str, Any] = {"user": "", "tool": "", "output": "", "outputs": {}}

    def hear(self, audio: bytes, *, audio_format: AudioFormat = PCM16) -> str:
        """
        Return the transcript of the caller's *audio*, which is not answered yet.

        The scenario's words; else those of synthetic speech; else the length of the audio.
        """
        given = next((turn.hear for turn in self._next_turns() if turn.hear is not None), None)
        if given is not None:
            return given
        text = spoken_text(audio, audio_format=audio_format)
        return text or f"(speech of {audio_format.duration_ms(len(audio)) / 1000:.1f} s)"

    def answer(self, prompt: Prompt) -> Answer:
        """Return the model's turn in the response that begins now."""
        has_output_only = bool(prompt.outputs) and not prompt.text
        self._take(prompt, is_turn=not has_output_only)
        turn = self._choose(prompt, has_output_only=has_output_only)
        calls = self._calls(turn, prompt)
        if calls:
            self._then = turn.then if turn.call else None
            self._missing = len(calls)
        is_forced = not isinstance(prompt.tool_choice, str) and bool(calls)
        return Answer(
            say="" if is_forced else fill(turn.say or "", self._values),
            calls=calls,
            pace=turn.pace or self._pace,
            usage=turn.usage or Usage(),
            faults=turn.faults,
            interleaved=turn.interleaved,
        )

    def _calls(self, turn: Turn, prompt: Prompt) -> tuple[AnswerCall, ...]:
        """Return the calls of *turn* that the tool choice allows, or the one that it asks for."""
        choice = prompt.tool_choice
        if choice == "none":
            return ()
        calls = tuple(self._filled(call, prompt.tools) for call in turn.call)
        name = None
        if not isinstance(choice, str):
            name = choice.get("name")
            calls = tuple(call for call in calls if call.tool == name)
        elif choice == "required" and prompt.tools:
            name = _mentioned(str(self._values["user"]), prompt.tools) or prompt.tools[0].get(
                "name"
            )
        if name is not None and not calls:
            return (self._filled(Call(str(name)), prompt.tools),)
        return calls

    def delay(self, duration_ms: float, pace: Pace) -> float:
        """Return a wait in seconds, with the *pace*'s jitter."""
        jitter = self._chance.uniform(-pace.jitter, pace.jitter) if pace.jitter else 0
        return duration_ms * (1 + jitter) / 1000

    def _next_turns(self) -> Iterator[Turn]:
        """Yield the turns that may answer words that aren't known yet."""
        for turn in self._conditional:
            if turn.when and turn.when.turn == self._user_turns + 1:
                yield turn
        yield from self._script[:1]

    def _take(self, prompt: Prompt, *, is_turn: bool) -> None:
        if is_turn:
            self._user_turns += 1
        if prompt.text:
            self._values["user"] = prompt.text
        for output in prompt.outputs:
            self._missing -= 1
            content = _parsed(output.output)
            self._values["output"] = self._values["outputs"][output.tool] = content
            self._values["tool"] = output.tool
        self._values["turn"] = self._user_turns

    def _choose(self, prompt: Prompt, *, has_output_only: bool) -> Turn:
        if prompt.outputs and self._then is not None:
            if self._missing > 0:
                return _NOTHING
            turn, self._then = self._then, None
            return turn
        for turn in self._conditional:
            if turn.when and self._is_true(turn.when, prompt, has_output_only=has_output_only):
                return turn
        if has_output_only:
            return _READ_OUT
        return self._script.pop(0) if self._script else self._otherwise

    def _is_true(self, when: When, prompt: Prompt, *, has_output_only: bool) -> bool:
        """Return whether all conditions of *when* are met; if so, keep the values of its groups."""
        if when.is_about_output and not any(_is_of(output, when) for output in prompt.outputs):
            return False
        # A tool's output may be looked at together with the words that led to it. The words
        # alone count once: else they would call the tool again when its output has come.
        words = prompt.text
        if when.is_about_output and not words:
            words = str(self._values["user"])
        elif has_output_only and not when.is_about_output:
            return False
        if when.turn not in {None, self._user_turns} or not _fits(when, prompt):
            return False
        if when.text is not None and when.text.casefold() not in words.casefold():
            return False
        found = re.search(when.matches or "", words)
        mentioned = _mentioned(words, prompt.tools)
        if found is None or (when.mentions_tool and mentioned is None):
            return False
        self._values.update(found.groupdict(default=""))
        if when.mentions_tool:
            self._values["tool"] = mentioned
        return True

    def _filled(self, call: Call, tools: Sequence[Mapping[str, Any]]) -> AnswerCall:
        name = fill(call.tool, self._values)
        arguments: object = call.arguments
        if isinstance(arguments, str):
            return AnswerCall(name, arguments)
        if arguments is None:
            offered = (tool.get("parameters") for tool in tools if tool.get("name") == name)
            schema = next(offered, None) or {"type": "object"}
            arguments = example_value(schema, _last_word(str(self._values["user"])))
        else:
            arguments = fill_all(arguments, self._values)
        # As the service writes it: without spaces.
        return AnswerCall(name, json.dumps(arguments, ensure_ascii=False, separators=(",", ":")))


def _fits(when: When, prompt: Prompt) -> bool:
    """Return whether the settings are those that *when* asks for."""
    if (when.instructions or "").casefold() not in prompt.instructions.casefold():
        return False
    has_choice = when.tool_choice is None or _has(prompt.tool_choice, when.tool_choice)
    return has_choice and _has(prompt.session, when.session or {})


def _has(value: object, expected: object) -> bool:
    """Return whether *value* is *expected*, or an object with at least its fields."""
    if isinstance(expected, Mapping):
        return isinstance(value, Mapping) and all(
            name in value and _has(value[name], inner) for name, inner in expected.items()
        )
    return value == expected


def _is_of(output: ToolOutput, when: When) -> bool:
    """Return whether *output* is the one that *when* asks for."""
    return when.tool in {None, output.tool} and (when.output or "") in output.output


def _parsed(output: str) -> Any:
    """Return the JSON in a tool's output; the output itself if it is none, or too deep to tell."""
    try:
        content = json.loads(output)
        json.dumps(content)
    except (ValueError, RecursionError):
        return output
    return content


def _mentioned(words: str, tools: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the name of the first tool that the user's words have a word of."""
    said = {word.casefold() for word in _MENTION.findall(words)}
    for tool in tools:
        name = str(tool.get("name") or "")
        if said & {word.casefold() for word in _MENTION.findall(name)}:
            return name
    return None


def _last_word(text: str) -> str:
    words = re.findall(r"\w[\w'-]*", text)
    return words[-1] if words else "something"
