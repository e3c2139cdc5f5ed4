"""Changes an input at random: bits, bytes, lengths, pieces doubled, moved, cut out, or put in from another input."""

from __future__ import annotations

import random
from collections.abc import Sequence

MAX_BYTES = 200_000
MAX_CHANGES = 8
_LENGTHS = (0, 1, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


def mutated(data: bytes, others: Sequence[bytes], words: Sequence[bytes], rng: random.Random) -> bytes:
    """Return ``data`` with one to eight changes, most of them near its beginning, where headers are."""
    out = bytearray(data)
    for _ in range(rng.randint(1, MAX_CHANGES)):
        _change(out, others, words, rng)
    return bytes(out[:MAX_BYTES])


def _change(out: bytearray, others: Sequence[bytes], words: Sequence[bytes], rng: random.Random) -> None:
    size = len(out)
    reach = size if rng.random() < 0.4 else min(size, 400)
    at = rng.randrange(reach + 1)
    end = min(size, at + rng.choice((1, 2, 4, 16, 100)))
    kind = rng.randrange(9)
    if kind == 0 and at < size:
        out[at] ^= 1 << rng.randrange(8)
    elif kind == 1 and at < size:
        out[at] = rng.randrange(256)
    elif kind == 2:
        number = rng.choice(_LENGTHS)
        width = rng.choice((2, 4, 8))
        out[at : at + width] = (number % 256**width).to_bytes(width, rng.choice(("little", "big")))
    elif kind == 3:
        del out[at:end]
    elif kind == 4:
        out[at:at] = out[at:end] * rng.choice((1, 2, 50))
    elif kind == 5 and words:
        out[at : at if rng.random() < 0.5 else end] = rng.choice(words)
    elif kind == 6 and others:
        other = rng.choice(others)
        start = rng.randrange(len(other) + 1)
        out[at:end] = other[start : start + rng.choice((4, 30, 300))]
    elif kind == 7:
        del out[at if rng.random() < 0.3 else max(at, size // 2) :]
    else:
        out[at:at] = bytes(rng.randrange(256) for _ in range(rng.choice((1, 4, 20))))
