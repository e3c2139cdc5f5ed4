"""The lines of .lrc files, of captions and of faces that change: ``[mm:ss.xx]`` before a text, tags, an offset."""

from __future__ import annotations

import re

_TIME = re.compile(r"\[(\d{1,6}):(\d{1,2}(?:[.:]\d{1,3})?)\]", re.ASCII)
_TAG = re.compile(r"\[[A-Za-z#]+:.*\]", re.ASCII)
_OFFSET = re.compile(r"\[offset:\s*([+-]?\d{1,9})\s*\]", re.ASCII | re.IGNORECASE)


def timed(line: str) -> tuple[list[float], str]:
    """Return the times, in seconds, at the start of a line, and what comes after them.

    >>> timed("[00:12.50][01:02:30]la")
    ([12.5, 62.3], 'la')
    """
    times, at = [], 0
    while (stamp := _TIME.match(line, at)) is not None:
        times.append(60 * int(stamp[1]) + float(stamp[2].replace(":", ".")))
        at = stamp.end()
    return times, line[at:].strip()


def is_tag(line: str) -> bool:
    """Return whether a line is a tag such as ``[ti:...]``."""
    return _TAG.fullmatch(line) is not None


def offset_ms(line: str) -> int | None:
    """Return the milliseconds by which a line makes everything come earlier; None: it is no ``[offset:...]``."""
    found = _OFFSET.fullmatch(line)
    return None if found is None else int(found[1])
