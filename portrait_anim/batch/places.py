"""Where inputs and films lie: paths of this machine, or URLs of an object store, read and written through fsspec."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from portrait_anim.errors import DependencyError, JobsError, StoreError
from portrait_anim.system.files import printable

STORES = ("s3", "gs", "gcs", "az", "abfs")  # object stores: what is put there appears whole, or not at all
_URL = re.compile(r"(?P<protocol>[A-Za-z][A-Za-z0-9+.-]*)://", re.ASCII)


def is_url(place: str) -> bool:
    """Whether a place is a URL of an object store, and no path."""
    return _URL.match(place) is not None


def place_of(given: str | os.PathLike[str], base: Path) -> str:
    """Return a place as a whole path (a relative one begins at ``base``) or a URL; ``file://`` becomes a path.

    Raises:
        JobsError: a URL of another kind: only object stores are opened.
    """
    text = os.fspath(given)
    if (found := _URL.match(text)) is None:
        return str((base / text).absolute())
    protocol = found["protocol"].lower()
    if protocol == "file":
        return url2pathname(unquote(urlsplit(text).path)) if os.name == "nt" else unquote(urlsplit(text).path)
    if protocol not in STORES:
        raise JobsError(f"{printable(text)} is not opened: give a path or a URL of {', '.join(STORES)}, file")
    return text


def inside(folder: str, name: str) -> str:
    """Return the place called ``name`` in a folder."""
    return f"{folder.rstrip('/')}/{name}" if is_url(folder) else str(Path(folder) / name)


def fetch(url: str, folder: Path) -> Path:
    """Copy what a URL names into a folder of this machine that holds nothing of that name.

    Raises:
        StoreError: it is not there, or the store cannot be reached.
    """
    target = folder / (PurePosixPath(urlsplit(url).path).name or "file")
    with _told("read", url):
        system, path = _opened(url)
        system.get_file(path, str(target))
    return target


def put(file: Path, url: str) -> None:
    """Copy a file to a URL, where it appears whole.

    Raises:
        StoreError: it cannot be written.
    """
    with _told("write", url):
        system, path = _opened(url)
        system.put_file(str(file), path)


def remove(place: str) -> None:
    """Remove a file that may be there.

    Raises:
        StoreError, OSError: it cannot be removed.
    """
    if not is_url(place):
        Path(place).unlink(missing_ok=True)
        return
    with _told("remove", place):
        system, path = _opened(place)
        if system.exists(path):
            system.rm_file(path)


def read_text(place: str) -> str | None:
    """Return the text of a small file; None where there is none.

    Raises:
        StoreError, OSError: it cannot be read.
    """
    if not is_url(place):
        path = Path(place)
        return path.read_text("utf-8", "replace") if path.exists() else None
    with _told("read", place):
        system, path_there = _opened(place)
        return str(system.cat_file(path_there).decode("utf-8", "replace")) if system.exists(path_there) else None


def write_text(url: str, text: str) -> None:
    """Write a small file to a URL.

    Raises:
        StoreError: it cannot be written.
    """
    with _told("write", url):
        system, path = _opened(url)
        system.pipe_file(path, text.encode("utf-8"))


def names_in(folder: str) -> set[str]:
    """Return the names of what lies in a folder; none where a store has no such folder (it makes them by itself).

    Raises:
        StoreError, OSError: it cannot be listed.
    """
    if not is_url(folder):
        return {entry.name for entry in os.scandir(folder)}
    with _told("list", folder):
        system, path = _opened(folder)
        try:
            return {PurePosixPath(str(entry)).name for entry in system.ls(path, detail=False, refresh=True)}
        except FileNotFoundError:
            return set()


def state_of(url: str) -> str:
    """Return a text that changes when what a URL names does; the store's own sum of it, nothing is fetched.

    Raises:
        StoreError: it is not there, or the store cannot be reached.
    """
    with _told("read", url):
        system, path = _opened(url)
        entry = system.info(path)
        kept = {key: str(entry[key]) for key in ("ETag", "etag", "md5Hash", "content_md5", "size") if entry.get(key)}
        return repr(sorted(kept.items()))


class _told:  # noqa: N801
    """Turn whatever a store's library raises in the block into one line."""

    def __init__(self, verb: str, url: str) -> None:
        self._verb, self._url = verb, url

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if isinstance(error, FileNotFoundError):
            raise StoreError(f"{printable(self._url)} not found: check the URL") from error
        if isinstance(error, ImportError):
            raise DependencyError(
                f"{printable(self._url)} cannot be opened ({error}): pip install 'portrait-anim[ray]' and s3fs, gcsfs "
                "or adlfs, whichever the URL is of"
            ) from error
        if isinstance(error, Exception):  # of boto, aiohttp, OSError ...: there is no common base
            reason = " ".join(str(error).split()) or type(error).__name__
            raise StoreError(
                f"cannot {self._verb} {printable(self._url)} ({reason}): check the store and its keys"
            ) from error


def _opened(url: str) -> tuple[Any, str]:
    """Return the file system of a URL and the path in it; made in the process that uses it, never before a fork."""
    import fsspec

    system, path = fsspec.url_to_fs(url)
    return system, str(path)
