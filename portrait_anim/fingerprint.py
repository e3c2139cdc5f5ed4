"""Whether a file is still the one that was read at first."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from portrait_anim.errors import PortraitAnimError
from portrait_anim.files import shown

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
    """What a file was when it was first read.

    Attributes:
        path: the file.
        state: size, time of the last change, inode.
        sha256: of its bytes, hexadecimal.
    """

    path: Path
    state: tuple[int, int, int]
    sha256: str

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Self:
        """Take it now; raises OSError when the file cannot be read."""
        file = Path(path)
        state = _state(file)
        return cls(file, state, _sha256(file))

    def check(self, error: type[PortraitAnimError], what: str, *, may_be_gone: bool = False) -> None:
        """Raise ``error`` unless the file holds the same bytes as before.

        Args:
            error: the kind of error.
            what: the field's name of the file: ``"sound"``, ``"photo"``.
            may_be_gone: a file that was deleted meanwhile counts as unchanged (whoever had opened it still reads it).
        """
        try:
            if _state(self.path) == self.state or _sha256(self.path) == self.sha256:
                return
        except FileNotFoundError as e:
            if may_be_gone:
                return
            raise error(f"{what} {shown(self.path)} was deleted while the film was made: put it back") from e
        except OSError as e:
            raise error(f"{what} {shown(self.path)} cannot be read any more ({e.strerror}): check the disk") from e
        raise error(f"{what} {shown(self.path)} changed while the film was made: wait until it is complete, try again")
