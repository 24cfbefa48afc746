"""
The protocol of Google's Gemini Live, of the Gemini API and of Vertex AI.
"""

from __future__ import annotations

from ._decoder import GeminiDecoder

__all__ = ["GeminiDecoder"]
