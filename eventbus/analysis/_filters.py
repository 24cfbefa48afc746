r"""
The filter grammar, which picks records of a journal.

Rules
-----

* A filter is a list of terms, separated by blanks; a record must match all of them. The empty
  filter matches everything.
* ``!`` before a term negates it.
* ``name:value`` looks at one property::

      type:audio            the event's type or class, or the vendor's name of a frame
      sender:call-42        the session
      item:item_1           the conversation item;  response:…  the response
      handler:shop.*        the handler of a call
      is:error              a state, see `STATES`, or the kind of record: is:event, is:call, …
      dur:>50ms             the run time of a handler;  queued:…  the time that its event waited
      t:3s..5s              the time since the beginning;  seq:…  the sequence number

* The value of a name is compared without regard to case; ``*`` in it stands for anything, and a
  comma separates alternatives: ``type:audio,usage``.
* A number is compared (``>``, ``>=``, ``<``, ``<=``, ``=``), or lies in a range with both its
  ends, of which one may be left out: ``3s..``. Times have a unit: us, ms, s, m, h; ``1m30s``.
* ``/…/`` is a regular expression, in Python's syntax and without regard to case; ``\/`` in it is
  a slash.
* Any other word is looked for in all texts of the record, without regard to case. Words that
  belong together, or have a colon, are quoted: ``"see you: tomorrow"``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from fnmatch import translate
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from ..events import EVENT_TYPES
from ..exceptions import FilterError
from ..wire._names import GEMINI_NAMES
from ..wire.openai._decoder import TABLE
from ..wire.openai._gpt_live import LIVE_TABLE

if TYPE_CHECKING:
    from ._record_view import RecordView

STATES: Final[Mapping[str, str]] = {
    "error": "something failed: a handler, a frame, a response, the connection, the recording",
    "crash": "the call of a handler that failed",
    "started": "the call of a handler that was running when this was written",
    "frame": "a message that the service has sent",
    "sent": "a message that was sent to the service",
    "event": "an event",
    "call": "the call of a handler",
    "drop": "events that a handler did not get",
    "status": "a change of the connection",
    "gap": "records that could not be written",
    "end": "the end of a journal that was closed",
}
"""The states for ``is:``, with their meaning."""


class _Term(Protocol):
    """A condition."""

    def matches(self, facts: RecordView) -> bool:
        """Return whether a record meets it."""
        ...


@attrs.frozen
class Filter:
    """
    Conditions that a record must all meet; `parse_filter` makes it.

    Attributes:
        text: The text that it was made of.
        first_ns: No record before this time matches, in nanoseconds since the beginning.
        last_ns: No record after this time matches; None if there is no such time.
        types: The names that ``type:`` asks for, without wildcards.
    """

    text: str
    _terms: tuple[Any, ...] = attrs.field(repr=False)  # of _Term
    first_ns: int = 0
    last_ns: int | None = None
    types: tuple[str, ...] = ()

    def matches(self, facts: RecordView) -> bool:
        """Return whether a record meets all conditions."""
        return all(term.matches(facts) for term in self._terms)

    def only_times(self) -> Filter:
        """Return a filter with the conditions for the time alone."""
        return attrs.evolve(self, terms=tuple(t for t in self._terms if _is_time(t)))


def parse_filter(text: str) -> Filter:
    """
    Parse a filter like ``type:audio sender:call-42``.

    A filter is a list of terms, separated by blanks, and a record must match all of them; an empty
    one matches everything. ``!`` negates a term, ``*`` in a value matches anything, and a comma
    separates alternatives.

    ====================  ======================================================================
    ``type:audio``        the event's type or class, or the vendor's name of a frame
    ``sender:call-42``    the session
    ``item:item_1``       the conversation item; ``response:…`` the response
    ``handler:shop.*``    the handler of a call
    ``is:error``          a state (``error``, ``crash``, ``started``) or a kind of record:
                          ``frame``, ``sent``, ``event``, ``call``, ``drop``, ``status``, ``gap``
    ``dur:>50ms``         the run time of a handler; ``queued:…`` the time that its event waited
    ``t:3s..5s``          the time since the beginning; ``seq:…`` the sequence number
    ``weather``           text in the record; with blanks or a colon it is quoted
    ``/f.*e/``            a regular expression
    ====================  ======================================================================

    Raises:
        FilterError: *text* can't be parsed; ``position`` says where.
    """
    tokens = list(_tokens(text))
    terms = [_term(token) for token in tokens]
    times = [term for term in terms if isinstance(term, _Number) and _is_time(term)]
    lasts = [term.high for term in times if term.high is not None]
    return Filter(
        text,
        tuple(terms),
        max((term.low for term in times if term.low is not None), default=0),
        min(lasts, default=None),
        tuple(
            name
            for token in tokens
            if token.name == "type" and not token.is_negated
            for name in token.value.split(",")
            if name and "*" not in name
        ),
    )


def closest_type(name: str) -> str | None:
    """
    Return the type or class of the vocabulary, or the vendor's frame, that *name* may be meant for.

    Returns:
        None if *name* is one of them, or similar to none.
    """
    events = [*EVENT_TYPES, *(cls.__name__ for cls in EVENT_TYPES.values())]
    known = dict.fromkeys([*events, *TABLE, *LIVE_TABLE, *sorted(GEMINI_NAMES)])
    lowered = {each.lower(): each for each in known}
    if name.lower() in lowered:
        return None
    found = get_close_matches(name.lower(), lowered, n=1, cutoff=0.75)
    return lowered[found[0]] if found else None


def duration_ns(text: str) -> int | None:
    """Return the nanoseconds of a time like ``50ms`` or ``1m30s``; None if *text* isn't one."""
    if _DURATION.fullmatch(text) is None:
        return None
    total = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    return round(total) if total < _MAX_NS else None


_UNITS: Final = {
    "us": 1_000,
    "µs": 1_000,  # the micro sign,
    "μs": 1_000,  # and the Greek letter: keyboards have either
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)({})".format("|".join(_UNITS)))
_DURATION: Final = re.compile(f"(?:{_PART.pattern})+")
_MAX_NS: Final = 2**63  # the range of a record's time


# --- words ------------------------------------------------------------------------------------


@attrs.frozen
class _Token:
    """
    A term as it was written.

    Attributes:
        position: The place of its first character, from 1.
        is_negated: Whether ``!`` stands before it.
        name: The name before its colon; None without one.
        value: The rest, without quotes or slashes.
        is_regex: Whether it had slashes.
    """

    position: int
    is_negated: bool
    name: str | None
    value: str
    is_regex: bool = False


_BLANK: Final = re.compile(r"\s*")
_NAME: Final = re.compile(r"([A-Za-z_]\w*):")
_WORD: Final = re.compile(r'"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s"]\S*)')
_REGEX: Final = re.compile(r"/((?:[^/\\]|\\.)*)/(?=\s|$)")


def _tokens(text: str) -> Iterator[_Token]:
    place = _skip(text, 0)
    while place < len(text):
        start = place
        is_negated = text[place] == "!"
        place += is_negated
        if is_negated and text.startswith("!", place):
            raise _error(start + 1, "!!", "negates twice; leave it out, or quote text with a !")
        name = _NAME.match(text, place)
        if name is not None:
            place = name.end()
        regex = _REGEX.match(text, place) if name is None else None
        word = regex or _WORD.match(text, place)
        if word is None:
            raise _incomplete(text, start, place)
        if name is None and regex is None and text[place] == "/":
            msg = "has no end; close it with a slash, or quote text that begins with one"
            raise _error(start + 1, text[start:], msg)
        value = word[1] if regex else _unquoted(word)
        yield _Token(start + 1, is_negated, name and name[1].lower(), value, regex is not None)
        end = _skip(text, word.end())
        if end == word.end() < len(text):
            msg = "is followed by more text; put a blank between two terms"
            raise _error(word.end() + 1, text[start : word.end()], msg)
        place = end


def _skip(text: str, place: int) -> int:
    """Return the beginning of the next term."""
    blank = _BLANK.match(text, place)
    assert blank is not None
    return blank.end()


def _unquoted(word: re.Match[str]) -> str:
    quoted = word["quoted"]
    return word["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)


def _incomplete(text: str, start: int, place: int) -> FilterError:
    if place < len(text) and text[place] == '"':
        return _error(place + 1, text[start:], "has a quote that is never closed; add one")
    return _error(start + 1, text[start:place], "has no value; write it right behind, unspaced")


def _error(position: int, term: str, problem: str) -> FilterError:
    msg = f"The filter can't be read at character {position}: {term!r} {problem}."
    return FilterError(msg, position=position)


# --- terms ------------------------------------------------------------------------------------


@attrs.frozen
class _Not:
    term: _Term

    def matches(self, facts: RecordView) -> bool:
        return not self.term.matches(facts)


@attrs.frozen
class _Names:
    """A property of the record matches one of these names."""

    get: Callable[[RecordView], Iterable[str | None]]
    pattern: re.Pattern[str]

    def matches(self, facts: RecordView) -> bool:
        return any(name and self.pattern.fullmatch(name) for name in self.get(facts))


@attrs.frozen
class _Number:
    """A number of the record lies between two others, both included; None is unbounded."""

    name: str
    get: Callable[[RecordView], int | None]
    low: int | None
    high: int | None

    def matches(self, facts: RecordView) -> bool:
        number = self.get(facts)
        return (
            number is not None
            and (self.low is None or number >= self.low)
            and (self.high is None or number <= self.high)
        )


def _is_time(term: _Term) -> bool:
    return isinstance(term, _Number) and term.name == "t"


@attrs.frozen
class _Is:
    """The record has a kind or a state."""

    state: str

    def matches(self, facts: RecordView) -> bool:
        return self.state in facts.states


@attrs.frozen
class _Text:
    """A text of the record contains a pattern."""

    pattern: re.Pattern[str]

    def matches(self, facts: RecordView) -> bool:
        return any(map(self.pattern.search, facts.texts()))


_NAMES: Final[Mapping[str, Callable[[RecordView], Iterable[str | None]]]] = {
    "type": operator.attrgetter("types"),
    "sender": lambda facts: (facts.sender,),
    "item": operator.attrgetter("items"),
    "response": operator.attrgetter("responses"),
    "handler": lambda facts: (facts.handler,),
}

_TIMES: Final[Mapping[str, Callable[[RecordView], int | None]]] = {
    "dur": operator.attrgetter("run_ns"),
    "queued": operator.attrgetter("queued_ns"),
    "t": operator.attrgetter("since_ns"),
}

_ALL_NAMES: Final = (*_NAMES, *_TIMES, "seq", "is")


def _term(token: _Token) -> _Term:
    term = _positive_term(token)
    return _Not(term) if token.is_negated else term


def _positive_term(token: _Token) -> _Term:
    match token.name:
        case None:
            return _Text(_text_pattern(token))
        case "is":
            return _Is(_state(token))
        case "seq":
            return _number(token, operator.attrgetter("seq"), _count)
        case name if name in _NAMES:
            return _Names(_NAMES[name], _name_pattern(token))
        case name if name in _TIMES:
            return _number(token, _TIMES[name], duration_ns)
        case name:
            names = ", ".join(f"{known}:" for known in _ALL_NAMES)
            problem = f"is unknown; a filter knows {names} or quote it as text"
            raise _error(token.position, f"{name}:", problem)


def _text_pattern(token: _Token) -> re.Pattern[str]:
    try:
        # Lone surrogates and the like can't break it: Python's own syntax takes any text.
        return re.compile(
            token.value if token.is_regex else re.escape(token.value), re.IGNORECASE | re.DOTALL
        )
    except (re.error, OverflowError, RecursionError) as exc:
        problem = f"is not a regular expression ({exc})"
        raise _error(token.position, f"/{token.value}/", problem) from exc


def _name_pattern(token: _Token) -> re.Pattern[str]:
    alternatives = [name for name in token.value.split(",") if name]
    if not alternatives:
        raise _error(token.position, f"{token.name}:{token.value}", "names nothing")
    # Only * is special: the other patterns of fnmatch may occur in a name.
    escaped = (re.sub(r"([\[?])", r"[\1]", name) for name in alternatives)
    return re.compile("|".join(map(translate, escaped)), re.IGNORECASE)


def _state(token: _Token) -> str:
    state = token.value.lower()
    if state not in STATES:
        known = ", ".join(STATES)
        raise _error(token.position, f"is:{token.value}", f"is unknown; it can be {known}")
    return state


_COMPARED: Final = re.compile(r"(>=|<=|>|<|=)(.*)", re.DOTALL)
_EXAMPLES: Final = {
    "seq": "120, >120 or 100..200",
    "t": "3s..5s or >1m30s",
    "dur": ">50ms or 50ms..2s",
    "queued": ">50ms or 50ms..2s",
}


def _number(
    token: _Token, get: Callable[[RecordView], int | None], read: Callable[[str], int | None]
) -> _Number:
    assert token.name is not None
    term = f"{token.name}:{token.value}"
    bounds = _bounds(token.value, read)
    # Nothing happens at exactly 3 s: a time alone says too little.
    if bounds is None or (token.name != "seq" and read(token.value) is not None):
        unit = "number" if token.name == "seq" else "time with its unit"
        problem = f"isn't a {unit} to compare with; write {token.name}:{_EXAMPLES[token.name]}"
        raise _error(token.position, term, problem)
    low, high = bounds
    if low is not None and high is not None and low > high:
        raise _error(token.position, term, "is a range that ends before it begins")
    return _Number(token.name, get, low, high)


def _bounds(value: str, read: Callable[[str], int | None]) -> tuple[int | None, int | None] | None:
    """Return the lowest and the highest number that *value* allows; None if it can't be read."""
    first, dots, last = value.partition("..")
    if dots:
        low, high = read(first), read(last)
        is_readable = (low is not None or not first) and (high is not None or not last)
        return (low, high) if is_readable and (first or last) else None
    compared = _COMPARED.fullmatch(value)
    sign, text = compared.groups() if compared else ("=", value)
    number = read(text)
    if number is None:
        return None
    # Whole nanoseconds, or whole sequence numbers: "more than" is "from the next one on".
    return {
        ">": (number + 1, None),
        ">=": (number, None),
        "<": (None, number - 1),
        "<=": (None, number),
        "=": (number, number),
    }[sign]


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
