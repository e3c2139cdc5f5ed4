"""Small checks on files that users name, and how a path is shown in a message."""

from __future__ import annotations

import os
from pathlib import Path

from portrait_anim.errors import PortraitAnimError


def printable(path: str | os.PathLike[str]) -> str:
    """Return ``path`` as one printable line: control characters and undecodable bytes are escaped."""
    text = os.fspath(path).encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def readable_file(path: str | os.PathLike[str], error: type[PortraitAnimError], what: str) -> Path:
    """Return ``path`` as a Path when it names a file with something in it that may be read.

    Args:
        path: as the user gave it.
        error: type of the error to raise otherwise.
        what: what to call it in the message: ``"sound"``, ``"photo"``, ``"video"``.

    Raises:
        PortraitAnimError: of the type ``error``: missing, a folder, not a regular file, empty, not readable.
    """
    name = printable(path)
    if not os.fspath(path):
        raise error(f"the {what}'s path is empty: name a file")
    file = Path(path)
    try:
        if file.is_dir():
            raise error(f"{what} {name} is a folder: name a file in it")
        size = file.stat().st_size
        if not file.is_file():
            raise error(f"{what} {name} is not a regular file: save it to disk first")
        if size == 0:
            raise error(f"{what} {name} is an empty file (0 bytes): save or copy it again")
        with file.open("rb"):
            pass
    except FileNotFoundError as e:
        raise error(f"{what} {name} not found: check the path") from e
    except PermissionError as e:
        raise error(f"{what} {name} may not be read: check its permissions") from e
    except (OSError, ValueError) as e:  # names too long, null bytes, stale mounts
        reason = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
        raise error(f"{what} {name} cannot be opened ({reason}): check the path") from e
    return file
