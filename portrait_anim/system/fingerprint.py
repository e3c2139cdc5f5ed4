"""Checks that a file has not changed since it was first read."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portrait_anim.errors import PortraitAnimError
from portrait_anim.system.files import printable, readable_file

_CHUNK_BYTES = 1 << 20


def _state(path: Path) -> tuple[int, int, int]:
    """Return size in bytes, time of the last change in ns, and inode."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def _sha256(path: Path) -> str:
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            sha256.update(chunk)
    return sha256.hexdigest()


@dataclass(frozen=True)
class Fingerprint:
    """The state and hash of a file when it was first read.

    Attributes:
        path: the file.
        state: size, time of the last change, inode.
        sha256: of its bytes, hexadecimal.
        error: type of the error raised when it has changed.
        what: what to call it in messages: ``"sound"``, ``"photo"``.
    """

    path: Path
    state: tuple[int, int, int]
    sha256: str
    error: type[PortraitAnimError]
    what: str

    def check(self, *, may_be_gone: bool = False) -> None:
        """Raise its error unless the file holds the same bytes as before.

        Args:
            may_be_gone: whether a file that was deleted meanwhile counts as unchanged (open files can still be read).
        """
        name = f"{self.what} {printable(self.path)}"
        try:
            if _state(self.path) == self.state or _sha256(self.path) == self.sha256:
                return
        except FileNotFoundError as e:
            if may_be_gone:
                return
            raise self.error(f"{name} was deleted while the film was made: put it back") from e
        except OSError as e:
            raise self.error(f"{name} cannot be read any more ({e.strerror}): check the disk") from e
        raise self.error(f"{name} changed while the film was made: wait until it is complete and try again")


def fingerprint(given: str | os.PathLike[str], error: type[PortraitAnimError], what: str) -> Fingerprint:
    """Take the fingerprint of a file that is known to be readable; ``error`` and ``what`` as in its attributes."""
    path = Path(given)
    try:
        return Fingerprint(path, _state(path), _sha256(path), error, what)
    except OSError as e:
        raise error(f"{what} {printable(path)} cannot be read ({e.strerror}): check the disk") from e


def source(given: Any, error: type[PortraitAnimError], what: str) -> Any:
    """Return the fingerprint of a file, and anything that is not a path as it is.

    Raises:
        PortraitAnimError: of the type ``error``, see :func:`portrait_anim.system.files.readable_file`.
    """
    if isinstance(given, (str, os.PathLike)):
        return fingerprint(readable_file(given, error, what), error, what)
    return given
