"""
The dialects that the simulator speaks, by their names in the decoder's table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from .flat import FlatForm, VoiceLiveForm
from .form import AzureForm, Form
from .xai import XaiForm

AZURE_DATED: Final = "azure-dated"
"""Azure's API under a dated version, which speaks the beta protocol: no row of the table."""

FORMS: Final[Mapping[str, Callable[[], Form]]] = {
    "openai": Form,
    "azure": AzureForm,
    AZURE_DATED: FlatForm,
    "azure-voice-live": VoiceLiveForm,
    "xai": XaiForm,
}
"""Name of a dialect -> its form."""
