"""Long sounds, and what is heard in them, lie in nameless temporary files: memory does not grow with their length.

They look like arrays. Whoever goes through one of them piece by piece lets go of the pages behind, see :func:`pieces`
and :func:`let_go`; the operating system writes them to the disk when it needs the room.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from portrait_anim.errors import OutputError

Array = npt.NDArray[np.float32]

IN_MEMORY_BYTES = 8 << 20  # what is no larger stays in memory: two minutes of sound at 16 kHz
PIECE = 3200 * 150  # samples, 30 s; a whole number of frames of 25 ms and of 40 ms


class Spool:
    """Samples that come in pieces: in memory as long as they are few, then in a file."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._file: IO[bytes] | None = None
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def write(self, data: bytes) -> None:
        """Add bytes of float32 samples, little-endian.

        Raises:
            OutputError: there is no room for them.
        """
        self._length += len(data)
        if self._file is None and self._length > IN_MEMORY_BYTES:
            self._file = _file()
            data, self._data = bytes(self._data) + data, bytearray()
        if self._file is None:
            self._data += data
            return
        try:
            self._file.write(data)
        except OSError as e:
            raise _no_room(e) from e

    def samples(self) -> Array:
        """Return them, (N,); half a sample at the end is left out. To be called once, at the end."""
        count = self._length // 4
        if self._file is None:
            return np.frombuffer(self._data, "<f4", count=count).astype(np.float32, copy=False)
        try:
            self._file.flush()
        except OSError as e:
            raise _no_room(e) from e
        return np.memmap(self._file, "<f4", "r", shape=(count,))


def room(shape: tuple[int, ...]) -> Array:
    """Return a new array of zeros, float32: in memory where it is small, else in a file.

    Raises:
        OutputError: there is no room for it.
    """
    if 4 * int(np.prod(shape)) <= IN_MEMORY_BYTES:
        return np.zeros(shape, np.float32)
    try:
        return np.memmap(_file(), np.float32, "w+", shape=shape)
    except OSError as e:
        raise _no_room(e) from e


def pieces(samples: Array, length: int = PIECE) -> Iterator[Array]:
    """Yield an array piece by piece along its first axis, the last one shorter; what lies in a file is let go of."""
    for start in range(0, len(samples), length):
        yield np.asarray(samples[start : start + length])
        let_go(samples)


def let_go(samples: npt.NDArray[Any]) -> None:
    """Take an array that lies in a file out of memory; it is read again when it is used."""
    mapped = getattr(samples, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def _file() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(prefix="portrait_anim-")
    except OSError as e:
        raise _no_room(e) from e


def _no_room(error: OSError) -> OutputError:
    return OutputError(f"cannot keep the sound in a temporary file ({error.strerror}): free some space, or set TMPDIR")
