"""
The names of models that a service takes.

New models come often, so a name is known by its family: OpenAI's, and those of the other services
that speak the protocol. On Azure each customer has names of their own, so any name will do.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from typing import Final

from ...wire.openai import DIALECTS
from .._service.checks import RequestError

ANY_NAME: Final = "*"
"""Among the allowed names, it allows all."""

_CHECKED: Final = frozenset({"openai", "xai"})
_FAMILIES: Final = re.compile(
    r"""
    (gpt-realtime|gpt-4o(-mini)?-realtime)(-[\w.-]+)?
    | (openai/|grok-|eleven_|qwen)[\w.:/-]+
    """,
    re.VERBOSE | re.ASCII,
)
_SUGGESTED: Final = sorted(filter(None, {row.model for row in DIALECTS.values()}))


def refuse_model(
    model: str | None, dialect: str, allowed: Collection[str] = ()
) -> RequestError | None:
    """
    Return the service's refusal of a model; None if it takes it, or the client leaves it open.

    Args:
        model: Its name.
        dialect: The dialect of the connection.
        allowed: Other names to take; `ANY_NAME` is all of them.
    """
    if model is None or dialect not in _CHECKED or ANY_NAME in allowed or model in allowed:
        return None
    if _FAMILIES.fullmatch(model):
        return None
    near = difflib.get_close_matches(model, [*_SUGGESTED, *allowed], n=1)
    remedy = f"Did you mean {near[0]}? " if near else ""
    # The code and the first sentence are the service's.
    msg = (
        f'Model "{model}" is not supported in realtime mode. {remedy}The simulator takes other '
        f"names with allow_model=, and the command eventbus sim with --allow-model."
    )
    return RequestError(msg, code="invalid_model", param="model")
