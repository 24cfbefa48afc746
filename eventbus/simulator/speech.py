"""
Synthetic speech: sounds that a voice detector takes for speech, and marked as made by a machine.

Every character lasts 64 ms, which is a quiet speaker's pace; up to three letters make a
syllable, a tone with a few overtones that swells and fades, and all the rest is a pause. Which
tones they are comes from the text and a seed. A syllable is computed once and kept, so a
second of speech costs the joining of some bytes.

The mark
--------
The lowest bit of every sample, from the first on, belongs to the mark: nobody hears it, and it
is lost when the samples are changed, say by another rate. It is a chain of cells of 128 bits:

======  ==============================================================================
bits    content
======  ==============================================================================
48      the mark itself: ``SYNTH!`` in ASCII
16      the number of the cell, from 0
64      cell 0: the length of the text in bytes and its CRC-32; others: 8 bytes of the text
======  ==============================================================================

and after the last cell it begins anew. So 8 ms of the sound are enough to know that it is
synthetic, and a piece with all the cells tells its words: the simulator understands a
test's caller, and anyone can tell a recording of a test from one of a person. It follows that
the text is in the sound.
"""

from __future__ import annotations

import array
import functools
import math
import random
import re
import sys
import zlib
from collections.abc import Iterator
from typing import Final

import attrs

from ..audio._formats import PCM16, AudioFormat

__all__ = ["Speech", "Word", "is_synthetic", "silence", "speak", "spoken_text", "synthesize"]

_CHARACTER_MS: Final = 64
_SYLLABLE_LETTERS: Final = 3
_SYLLABLES: Final = 12  # different ones that a voice has, per length
_PITCHES: Final = (98, 112, 126, 140, 160, 180, 204, 230)  # Hz: from a low voice to a high one
_AMPLITUDE: Final = 9_000

_WORD: Final = re.compile(r"\s*\S+(?:\s+\Z)?")
_SOUND: Final = re.compile(rf"(?P<letters>[^\W_]{{1,{_SYLLABLE_LETTERS}}})|\s+|\S")

# The mark's bits are handled as text of 0 and 1, one byte for each: all of it is done in C then.
_MARK: Final = f"{int.from_bytes(b'SYNTH!', 'big'):048b}".encode()
_CELL: Final = 128
_PAYLOAD: Final = 8  # bytes of a cell
_LOWEST_BIT: Final = bytes(ord("0") + (byte & 1) for byte in range(256))
_MAX_CELLS: Final = 1 << 16


@attrs.frozen
class Word:
    """
    A word, and when it is spoken.

    Attributes:
        text: The word with the white space before it: joined, they are the text.
        start_ms: From the beginning of the speech.
        end_ms: When the next one starts.
    """

    text: str
    start_ms: int
    end_ms: int


@attrs.frozen
class Speech:
    """
    Words and their sound.

    Attributes:
        text: The words.
        audio: The sound, in *audio_format*.
        words: Its words, in order.
        audio_format: How *audio* is to be heard.
    """

    text: str
    audio: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")
    words: tuple[Word, ...]
    audio_format: AudioFormat = PCM16

    @property
    def duration_ms(self) -> int:
        """Its duration."""
        return self.words[-1].end_ms if self.words else 0


def synthesize(text: str, *, seed: int = 0, audio_format: AudioFormat = PCM16) -> Speech:
    """
    Return *text*, spoken and marked; of the same text, seed and format, the same bytes.

    Args:
        text: The words; of white space alone there is no sound.
        seed: Chooses the voice and its sounds.
        audio_format: How the sound is to be coded.
    """
    voice = _Voice(audio_format, _PITCHES[seed % len(_PITCHES)])
    # A text as seed: its hash is the same in every process, which hash() isn't.
    chance = random.Random(f"{seed}:{text}")
    sounds: list[bytes] = []
    words: list[Word] = []
    start = 0
    for word in _WORD.findall(text) if text.strip() else ():
        end = start
        for sound in _SOUND.finditer(word):
            letters = len(sound["letters"] or "")
            number = chance.randrange(_SYLLABLES) if letters else 0
            sounds.append(_sound(voice, letters, number))
            end += _CHARACTER_MS * max(letters, 1)
        words.append(Word(word, start, end))
        start = end
    return Speech(text, _marked(b"".join(sounds), text, audio_format), tuple(words), audio_format)


def speak(text: str, *, seed: int = 0, audio_format: AudioFormat = PCM16) -> bytes:
    """Return the sound of *text*, as `synthesize` makes it: a caller's voice, for tests."""
    return synthesize(text, seed=seed, audio_format=audio_format).audio


def silence(duration_ms: float, *, audio_format: AudioFormat = PCM16) -> bytes:
    """Return so much silence, in whole samples; it has no mark."""
    samples = audio_format.byte_count(duration_ms) // audio_format.sample_bytes
    return audio_format.from_pcm16(b"\0\0") * samples


def is_synthetic(audio: bytes, *, audio_format: AudioFormat = PCM16) -> bool:
    """
    Return whether there is synthetic speech of ours in *audio*: 175 unchanged samples are enough.

    Args:
        audio: Whole samples.
        audio_format: How it is coded.
    """
    return _MARK in _lowest_bits(audio, audio_format)


def spoken_text(audio: bytes, *, audio_format: AudioFormat = PCM16) -> str | None:
    """
    Return the words of the synthetic speech in *audio*, several with a space between them.

    Args:
        audio: Whole samples, of speech and of anything else.
        audio_format: How it is coded.

    Returns:
        None if there is no synthetic speech, or not enough of any to know its text.
    """
    texts = [text.strip() for text in _texts(_lowest_bits(audio, audio_format))]
    return " ".join(texts) if texts else None


# --- sounds ----------------------------------------------------------------------------------


@attrs.frozen
class _Voice:
    audio_format: AudioFormat
    pitch: int


@functools.lru_cache(maxsize=1024)
def _sound(voice: _Voice, letters: int, number: int) -> bytes:
    """Return a syllable of so many letters, or for no letters a pause."""
    form = voice.audio_format
    if not letters:
        return silence(_CHARACTER_MS, audio_format=form)
    count = int(letters * _CHARACTER_MS * form.rate / 1000)
    # Vowels differ in which overtones are loud; all of them stay below 4 kHz, G.711's limit.
    pitch = voice.pitch * (0.9 + 0.02 * number)
    first, second = 3 + number % 4, 7 + number % 5
    step = 2 * math.pi * pitch / form.rate
    swell = math.pi / count
    samples = array.array("h")
    for index in range(count):
        phase = index * step
        tone = (
            0.5 * math.sin(phase) + 0.3 * math.sin(first * phase) + 0.2 * math.sin(second * phase)
        )
        samples.append(int(_AMPLITUDE * math.sqrt(math.sin(index * swell)) * tone))
    if sys.byteorder == "big":
        samples.byteswap()
    return form.from_pcm16(samples.tobytes())


# --- the mark --------------------------------------------------------------------------------


def _marked(audio: bytes, text: str, form: AudioFormat) -> bytes:
    count = len(audio) // form.sample_bytes
    cells = b"".join(_cells(text))
    bits = (cells * (count // len(cells) + 1))[:count]
    # All samples at once, as one long number: ASCII 0 and 1 differ in the lowest bit alone.
    low = int.from_bytes(audio[:: form.sample_bytes], "little")
    ones = int.from_bytes(b"\x01" * count, "little")
    low = low & (ones * 0xFE) | int.from_bytes(bits, "little") & ones
    marked = bytearray(audio)
    marked[:: form.sample_bytes] = low.to_bytes(count, "little")
    return bytes(marked)


def _cells(text: str) -> Iterator[bytes]:
    # A text that is too long for the numbers of its cells is cut, in the mark only.
    data = text.encode(errors="surrogatepass")[: (_MAX_CELLS - 1) * _PAYLOAD]
    head = len(data).to_bytes(4, "big") + zlib.crc32(data).to_bytes(4, "big")
    chain = head + data
    for number, start in enumerate(range(0, len(chain), _PAYLOAD)):
        payload = chain[start : start + _PAYLOAD].ljust(_PAYLOAD, b"\0")
        content = number.to_bytes(2, "big") + payload
        yield _MARK + f"{int.from_bytes(content, 'big'):080b}".encode()


def _lowest_bits(audio: bytes, form: AudioFormat) -> bytes:
    return audio[:: form.sample_bytes].translate(_LOWEST_BIT)


def _texts(bits: bytes) -> Iterator[str]:
    """Yield the texts of all chains of cells, each once however often it was repeated."""
    known: bytes | None = None  # the head of the chain whose text was yielded
    chain = b""
    end = 0
    position = bits.find(_MARK)
    while 0 <= position <= len(bits) - _CELL:
        if position != end:  # another speech, or the same after a gap
            known, chain = None, b""
        end = position + _CELL
        content = int(bits[position + len(_MARK) : end], 2).to_bytes(2 + _PAYLOAD, "big")
        number, payload = int.from_bytes(content[:2], "big"), content[2:]
        if number == 0:
            chain = payload
        elif number * _PAYLOAD == len(chain):
            chain += payload
        else:  # it began before this audio, or some of it is missing
            chain = b""
        head, data = chain[:_PAYLOAD], chain[_PAYLOAD:]
        size = int.from_bytes(head[:4], "big")
        if head and head != known and len(data) >= size:
            data = data[:size]
            if zlib.crc32(data).to_bytes(4, "big") == head[4:]:
                known = head
                yield data.decode(errors="replace")
        position = bits.find(_MARK, end)
