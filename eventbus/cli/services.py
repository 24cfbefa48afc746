"""
The service of a call from the command line: its protocol, its key, the settings that suit it.
"""

from __future__ import annotations

import urllib.parse
from typing import Final

import attrs

from ..audio._formats import PCM16, AudioFormat
from ..realtime.model import RealtimeModel
from ..realtime.openai import DEFAULT_LIVE_MODEL, GPTLiveModel, OpenAIRealtimeModel
from ..realtime.settings import (
    RealtimeAudioInputConfig,
    RealtimeAudioOutputConfig,
    RealtimeSessionModelSettings,
)
from ..wire.openai import DIALECTS, Dialect, dialect_of

_LIVE_NAME: Final = "gpt-live"
_LIVE_PATH: Final = "/live/sessions"


@attrs.frozen
class Service:
    """
    A service of realtime models.

    Attributes:
        dialect: Its form of the Realtime protocol.
        is_live: Whether it is spoken to in GPT-Live instead.
    """

    dialect: Dialect
    is_live: bool

    @classmethod
    def of(cls, url: str | None, model: str | None) -> Service:
        """Return the service at *url*; None is OpenAI's address."""
        path = urllib.parse.urlsplit(url or "").path.rstrip("/")
        is_live = (model or "").startswith(_LIVE_NAME) or path.endswith(_LIVE_PATH)
        return cls(dialect_of(url or "") or DIALECTS["openai"], is_live)

    @property
    def key_name(self) -> str:
        """The environment variable with the key."""
        return self.dialect.key_name

    def new_model(self) -> RealtimeModel:
        """Return a model that speaks the service's protocol."""
        return GPTLiveModel() if self.is_live else OpenAIRealtimeModel(dialect=self.dialect.name)

    def settings(
        self, model: str | None, instructions: str | None, voice: str | None
    ) -> RealtimeSessionModelSettings:
        """Return the settings of a session: speech on both sides, and transcripts."""
        hearing: RealtimeAudioInputConfig = {"format": AudioFormat(rate=self.dialect.input_rate)}
        if self.dialect.transcriber and not self.is_live:  # which transcribes in any case
            hearing["transcription"] = {"model": self.dialect.transcriber}
        speech: RealtimeAudioOutputConfig = {"format": PCM16}
        if voice is not None:
            speech["voice"] = voice
        settings: RealtimeSessionModelSettings = {"audio": {"input": hearing, "output": speech}}
        named = model or (DEFAULT_LIVE_MODEL if self.is_live else self.dialect.model)
        if named:
            settings["model_name"] = named
        if instructions is not None:
            settings["instructions"] = instructions
        return settings
