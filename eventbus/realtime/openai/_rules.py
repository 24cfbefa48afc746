"""
The rules of a dialect: the form of its settings, and what it can't do.

Settings are kept in the form of the GA protocol, and take the dialect's form when they are sent.
A setting or a message that the service would refuse or ignore is refused before anything is sent.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from ...audio._formats import AudioFormat
from ...exceptions import NotSupported
from ...wire.openai import BETA_SETTINGS, DIALECTS, Dialect, dialect_of

# Settings of the GA protocol -> their names in the beta protocol: those under audio, and others.
_FLAT: Final = {path[1:]: name for name, path in BETA_SETTINGS.items() if path[0] == "audio"}
_RENAMED: Final = {path[0]: name for name, path in BETA_SETTINGS.items() if len(path) == 1}
_BETA_FORMATS: Final[Mapping[str, str]] = MappingProxyType(
    {"audio/pcm": "pcm16", "audio/pcmu": "g711_ulaw", "audio/pcma": "g711_alaw"}
)
# Settings that xAI has at the top, though its formats are nested.
_AT_THE_TOP: Final = (("input", "turn_detection"), ("output", "voice"))


def choose_dialect(name: str | None, url: str | None) -> Dialect:
    """
    Return the dialect of that name; without one, that of the address, else OpenAI's.

    Raises:
        ValueError: No dialect has that name.
    """
    if name is None:
        return (url and dialect_of(url)) or DIALECTS["openai"]
    if not isinstance(name, str) or name not in DIALECTS:
        close = difflib.get_close_matches(str(name), DIALECTS, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(DIALECTS)}."
        msg = f"There is no dialect {name!r}; {hint}"
        raise ValueError(msg)
    return DIALECTS[name]


class DialectRules:
    """
    The rules of one session.

    Args:
        dialect: The dialect.
        model: The model, where the first message names it.
    """

    def __init__(self, dialect: Dialect, model: str | None = None) -> None:
        self._dialect = dialect
        self._model = model if dialect.model_in == "session" else None

    def session_update(self, session: Mapping[str, Any]) -> dict[str, Any]:
        """
        Return the message that changes the settings, in the dialect's form.

        Args:
            session: The settings, as the GA protocol has them.
        """
        if self._dialect.session == "flat":
            session = _flat(session)
        elif self._dialect.session == "mixed":
            session = _mixed(session)
        if self._model is not None:
            session = {**session, "model": self._model}
        return {"type": "session.update", "session": session}

    def takes(self, message_type: str) -> bool:
        """Return whether the service takes a message of that type."""
        return message_type not in self._dialect.not_taken

    def check_message(self, message: Mapping[str, Any]) -> None:
        """
        Check a message, which was not sent yet.

        Raises:
            NotSupported: The service doesn't take it.
        """
        kind = message["type"]
        if not self.takes(kind):
            msg = f"{self._dialect.title} doesn't take {kind}; it was not sent."
            raise NotSupported(msg, service=self._dialect.title, feature=kind)
        item = message.get("item")
        content = item.get("content") if isinstance(item, Mapping) else None
        if isinstance(content, (list, tuple)) and any(
            isinstance(part, Mapping) and part.get("type") == "input_image" for part in content
        ):
            self._check("images")

    def check_settings(self, session: Mapping[str, Any]) -> None:
        """
        Check settings, as the GA protocol has them.

        Raises:
            NotSupported: The service lacks one of them.
        """
        audio = _mapping(session.get("audio"))
        hearing = _mapping(audio.get("input"))
        modalities = session.get("output_modalities")
        if modalities and "audio" not in modalities:
            self._check("text_output")
        detection = _mapping(hearing.get("turn_detection")).get("type")
        if detection in ("server_vad", "semantic_vad"):
            self._check(detection)
        if _mapping(hearing.get("transcription")).get("model") is not None:
            self._check("transcription_model")
        self._check_rate(hearing.get("format"), self._dialect.input_rate, "input")
        if self._dialect.session == "flat":
            self._check_rate(_mapping(audio.get("output")).get("format"), 24_000, "output")

    def _check_rate(self, audio_format: Any, rate: int, side: str) -> None:
        if audio_format is None or self._dialect.session == "nested":
            return
        given = AudioFormat.of(audio_format)
        if given.encoding == "audio/pcm" and given.rate != rate:
            msg = f"{self._dialect.title} has PCM at {rate} Hz as its {side}, not {given.rate} Hz."
            raise NotSupported(msg, service=self._dialect.title, feature=f"{side}_rate")

    def _check(self, feature: str) -> None:
        why = self._dialect.lacks.get(feature)
        if why is not None:
            name = feature.replace("_", " ") if feature != "server_vad" else feature
            msg = f"{self._dialect.title} has no {name}: {why}."
            raise NotSupported(msg, service=self._dialect.title, feature=feature)


def _flat(session: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in the form of the beta protocol."""
    flat = {
        _RENAMED.get(name, name): value
        for name, value in session.items()
        if name not in {"type", "audio"}
    }
    rest: dict[str, Any] = {}
    for side, settings in _mapping(session.get("audio")).items():
        for name, value in _mapping(settings).items():
            target = _FLAT.get((side, name))
            if target is None:
                rest.setdefault(side, {})[name] = value
            elif name == "format":
                flat[target] = _BETA_FORMATS[AudioFormat.of(value).encoding]
            else:
                flat[target] = value
    return {**flat, "audio": rest} if rest else flat


def _mixed(session: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings whose formats are nested, and the others are not."""
    mixed = {name: value for name, value in session.items() if name not in {"type", "audio"}}
    mixed.pop("output_modalities", None)  # it always speaks
    audio = {side: dict(_mapping(each)) for side, each in _mapping(session.get("audio")).items()}
    for side, name in _AT_THE_TOP:
        if name in audio.get(side, {}):
            mixed[name] = audio[side].pop(name)
    audio = {side: settings for side, settings in audio.items() if settings}
    return {**mixed, "audio": audio} if audio else mixed


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
