"""Small checks on files that users name, how a path is shown in a message, and the names of files that still grow."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import re
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from portrait_anim.errors import OutputError, PortraitAnimError

_HIDDEN = ".portrait_anim-"  # names of files that grow begin with this, then the number of the process that writes them
_OWNED = re.compile(r"\.?portrait_anim-(?P<process>[1-9]\d{0,9})-(?P<machine>[0-9a-f]{8})-")
_listeners: list[Callable[[Path], None]] = []  # told the folder of every file that begins to grow


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


def check_target(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Return ``path`` as a Path when a file may be written there.

    Raises:
        OutputError: the folder is missing or not writable, the file exists and ``overwrite`` is not set, or a folder
            has that name.
    """
    name, target = printable(path), Path(path)
    if "\0" in str(target):
        raise OutputError(f"cannot write {name}: a name cannot hold a null byte, choose another name")
    folder = target.parent
    try:
        if not folder.is_dir():
            raise OutputError(f"cannot write {name}: the folder {printable(folder)} does not exist, make it first")
        if target.is_dir():
            raise OutputError(f"cannot write {name}: a folder has that name, choose another one")
        if target.exists() and not overwrite:
            raise OutputError(f"{name} exists already: choose another name, or allow --force (overwrite=True)")
    except OSError as e:  # a name too long, a stale mount
        advice = "choose another name, a shorter one" if e.errno == errno.ENAMETOOLONG else "choose another name"
        raise OutputError(f"cannot write {name} ({e.strerror}): {advice}") from e
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {name}: no permission to write in the folder {printable(folder.absolute())}")
    return target


def hidden_name(target: Path) -> Path:
    """Return a new hidden name beside ``target``, under which a file grows until it is whole; it names this process."""
    for listener in _listeners:
        listener(target.absolute().parent)
    return target.with_name(f"{_HIDDEN}{_owner()}{secrets.token_hex(8)}{target.suffix.lower()}")


def temporary_prefix() -> str:
    """Return how the names of this process's files in the folder for temporary files begin; see ``remove_orphans``."""
    return f"{_HIDDEN[1:]}{_owner()}"


def tell_folders(listener: Callable[[Path], None]) -> None:
    """Let ``listener`` know the folder of every file that begins to grow from now on."""
    _listeners.append(listener)


def remove_unfinished(folder: Path, process: int) -> None:
    """Remove what a process left unfinished in ``folder`` when it was killed."""
    for leftover in _unfinished(folder, lambda owner: int(owner["process"]) == process):
        _remove(leftover)


def remove_orphans(*folders: Path) -> None:
    """Remove what killed processes of this user left unfinished in ``folders``, and among the temporary files.

    A name tells its process and its machine. Files of processes that live, of other machines (a shared disk, another
    container) and of other users stay. So does everything on Windows, where a process cannot be asked without harm.
    """
    if sys.platform == "win32":
        return
    for folder in (*folders, Path(tempfile.gettempdir())):
        for leftover in _unfinished(
            folder, lambda owner: owner["machine"] == _machine() and not _lives(int(owner["process"]))
        ):
            with contextlib.suppress(OSError):
                if leftover.lstat().st_uid == os.getuid():
                    _remove(leftover)


def _unfinished(folder: Path, wanted: Callable[[re.Match[str]], bool]) -> list[Path]:
    """Return the files and folders in ``folder`` whose name tells a process, where ``wanted`` says so of the name."""
    try:
        with os.scandir(folder) as entries:
            owned = [(Path(entry.path), owner) for entry in entries if (owner := _OWNED.match(entry.name))]
    except OSError:
        return []
    return [path for path, owner in owned if wanted(owner)]


def _remove(leftover: Path) -> None:
    with contextlib.suppress(OSError):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink()


def _owner() -> str:
    return f"{os.getpid()}-{_machine()}-"


@functools.cache
def _machine() -> str:
    """Return eight letters that stand for where this process's number means something: host and process namespace."""
    space = ""
    with contextlib.suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 (no file)
    return hashlib.sha256(f"{socket.gethostname()} {space}".encode()).hexdigest()[:8]


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's; no number of a process
        return True
    return True
