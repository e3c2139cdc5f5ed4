"""A log of films made: on this machine only, and only when asked for."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from portrait_anim.errors import OutputError
from portrait_anim.system.files import printable

VARIABLE = "PORTRAIT_ANIM_AUDIT_LOG"


def log_path(path: str | os.PathLike[str] | None) -> Path | None:
    """Return the log to write: the one named, else the environment's ``PORTRAIT_ANIM_AUDIT_LOG``, else None."""
    named = path if path is not None else os.environ.get(VARIABLE)
    return Path(named) if named else None


def check(path: str | os.PathLike[str]) -> None:
    """See that the log can be written, without making it or changing it.

    Raises:
        OutputError: it cannot.
    """
    log = Path(path)
    try:
        if log.exists():
            os.close(os.open(log, os.O_WRONLY | os.O_APPEND))
        elif not log.parent.is_dir():
            raise OutputError(f"cannot write the audit log {printable(path)}: its folder does not exist, make it first")
        elif not os.access(log.parent, os.W_OK | os.X_OK):
            raise OutputError(f"cannot write the audit log {printable(path)}: no permission to write in its folder")
    except (OSError, ValueError) as e:  # a null byte in the name
        raise OutputError(f"cannot write the audit log {printable(path)} ({_reason(e)}): choose another file") from e


def append(path: str | os.PathLike[str], entry: Mapping[str, Any]) -> None:
    """Append one line of JSON with the time (UTC) in front. Several processes may do so at once.

    Raises:
        OutputError: the file cannot be written.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    line = json.dumps({"time": now, **entry}, ensure_ascii=False) + "\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with open(descriptor, "ab", buffering=0) as file:  # noqa: PTH123 (a descriptor); one write: whole lines
            file.write(line.encode("utf-8", "backslashreplace"))
    except OSError as e:
        reason = _reason(e)
        raise OutputError(f"cannot write the audit log {printable(path)} ({reason}): free some space there") from e


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
