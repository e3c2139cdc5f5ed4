"""The words a mark carries and the error-correcting code round them.

A word is 56 bits: 8 say who made the film (``MAKER``), 32 which film it is (the content id), 16 are a CRC over both.
A convolutional code of constraint length 15 and rate 1/6 (the one of the Cassini probe; tail-biting, so that no bits
are spent on its end) turns them into 336 signs, and Viterbi's algorithm finds the likeliest word from soft values.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MAKER = 0x9A  # "made by portrait_anim"
MAKER_BITS = 8
CONTENT_BITS = 32
CRC_BITS = 16
WORD_BITS = MAKER_BITS + CONTENT_BITS + CRC_BITS  # 56
CHECK_BITS = MAKER_BITS + CRC_BITS  # 24: a wrong word passes with probability 2^-24
RATE = 6  # signs for a bit
CODED_BITS = WORD_BITS * RATE  # 336
_MEMORY = 14  # bits of the encoder's state
_POLYNOMIALS = (0o46321, 0o51271, 0o63667, 0o70535, 0o73277, 0o76513)
_STATES = 1 << _MEMORY
_CRC_POLYNOMIAL = 0x1021  # CCITT
_WRAPS = 3  # passes over the tail-biting code; the middle one is read


@dataclass(frozen=True)
class Word:
    """The content of a mark: 8 bits of maker and 32 bits of content id."""

    maker: int
    content_id: int


def keyed_bits(name: str, count: int) -> npt.NDArray[np.uint8]:
    """Return ``count`` pseudo-random bits (0, 1) that depend on ``name`` only, the same on every platform."""
    digest = hashlib.shake_256(b"portrait_anim watermark 1 " + name.encode()).digest(-(-count // 8))
    return np.unpackbits(np.frombuffer(digest, np.uint8))[:count]


def crc(bits: npt.NDArray[np.uint8]) -> int:
    """Return the 16-bit CRC (CCITT, start 0xFFFF) of a string of bits."""
    register = 0xFFFF
    for bit in bits.tolist():
        register ^= bit << 15
        register = ((register << 1) ^ _CRC_POLYNOMIAL if register & 0x8000 else register << 1) & 0xFFFF
    return register


def encode(word: Word) -> npt.NDArray[np.float32]:
    """Return the signs of a word.

    Shape:
        returns: (336,) float32, +1 or -1.

    Raises:
        ValueError: maker or content id out of range.
    """
    if not (0 <= word.maker < 1 << MAKER_BITS and 0 <= word.content_id < 1 << CONTENT_BITS):
        raise ValueError(f"{word} does not fit into {MAKER_BITS} and {CONTENT_BITS} bits")
    payload = np.concatenate([_bits(word.maker, MAKER_BITS), _bits(word.content_id, CONTENT_BITS)])
    bits = np.concatenate([payload, _bits(crc(payload), CRC_BITS)]) ^ keyed_bits("scramble", WORD_BITS)
    ring = np.concatenate([bits[-_MEMORY:], bits]).astype(np.int64)
    register = sum(ring[_MEMORY - i : _MEMORY - i + WORD_BITS] << i for i in range(_MEMORY + 1))
    return np.asarray(_signs()[register].reshape(-1), np.float32)  # (56, 6) -> (336,)


def decode(soft: npt.NDArray[np.float32]) -> Word | None:
    """Return the likeliest word when its maker and CRC are right, else None.

    Shape:
        soft: (336,) float32 for each coded sign: the likelier sign, times how certain it is; any scale.
    """
    values = np.asarray(soft, np.float32).reshape(WORD_BITS, RATE)  # (56, 6)
    half = _STATES // 2
    metric = np.zeros(_STATES, np.float32)
    steps = _WRAPS * WORD_BITS
    choices = np.empty((steps, _STATES), np.bool_)
    for step in range(steps):
        branch = _signs() @ values[step % WORD_BITS]  # (32768,)
        low = np.repeat(metric[:half], 2) + branch[:_STATES]
        high = np.repeat(metric[half:], 2) + branch[_STATES:]
        np.greater(high, low, out=choices[step])
        metric = np.maximum(low, high)
        metric -= metric.max()
    state = int(metric.argmax())
    bits = np.empty(steps, np.uint8)
    for step in range(steps - 1, -1, -1):
        bits[step] = state & 1
        state = (state >> 1) | (half if choices[step, state] else 0)
    middle = (_WRAPS // 2) * WORD_BITS
    bits = bits[middle : middle + WORD_BITS] ^ keyed_bits("scramble", WORD_BITS)
    payload = bits[: MAKER_BITS + CONTENT_BITS]
    word = Word(_number(bits[:MAKER_BITS]), _number(bits[MAKER_BITS : MAKER_BITS + CONTENT_BITS]))
    return word if word.maker == MAKER and _number(bits[-CRC_BITS:]) == crc(payload) else None


def _bits(value: int, count: int) -> npt.NDArray[np.uint8]:
    return np.array([value >> i & 1 for i in range(count - 1, -1, -1)], np.uint8)


def _number(bits: npt.NDArray[np.uint8]) -> int:
    return int("".join(map(str, bits.tolist())), 2)


@functools.cache
def _signs() -> npt.NDArray[np.float32]:
    """Return the signs sent for each content of the encoder's register: (32768, 6) float32, +1 or -1."""
    register = np.arange(1 << (_MEMORY + 1), dtype=np.uint32)
    columns = [1.0 - 2.0 * (np.bitwise_count(register & polynomial) & 1) for polynomial in _POLYNOMIALS]
    return np.stack(columns, axis=1).astype(np.float32)
