"""Checks that a recording's time stamps and format stay consistent from its first to its last frame.

Both are read from the lines that ffmpeg's filter ``ashowinfo`` prints.

Recordings that were joined in one file (``cat a.mp3 b.mp3``, a recorder that was paused) change their format midway, or
their time stamps jump: back to zero, or ahead by the length of a pause.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

FILTER = "ashowinfo"
LOGLEVEL = ("-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+info")  # what makes it print
SLACK_S = 0.1  # tolerance of time stamps; ffmpeg fills and cuts by the same
MAX_GAP_S = 30.0  # longest gap that counts as a pause; a longer one is a jump of the clock
REPEAT_S = 1.0  # a jump back by less than this, other than to zero, is a repetition and no new recording
ROUNDING_S = 0.005  # of time stamps
MISSING_SHARE = 0.4  # of a frame's length: more is a frame that did not decode
STUMBLE_S = 0.5  # another format for at most this long is damage and no other recording
TOLD_GAP_S = 2.0  # gaps from this length on are noted to the user

_FRAME = re.compile(r"\bpts_time:(\S+) fmt:(\S+) channels:(\d+) chlayout:(.*?) rate:(\d+) nb_samples:(\d+)")
_SUMS = re.compile(r"plane_checksums: \[|(checksum:)?\b[0-9A-F]{8}\b|\]")  # other parts of a frame's line
_SERIOUS = re.compile(r"\[(error|fatal|panic)\]")


class Format(NamedTuple):
    """The sample format that a decoder gives."""

    sample_format: str
    channels: int
    layout: str
    sample_rate: int  # Hz


class Clock:
    """Follow a decoder frame by frame: ``ffmpeg.Child(..., watch=clock.take)``.

    Attributes:
        formats: each with the time (s of sound decoded before it) at which it begins.
        decoded_s: sound decoded so far.
        silences: ``(at_s, length_s)``: gaps of up to 30 s in the time stamps, after ``at_s`` of decoded sound.
        leaps: ``(at_s, by_s)``: the same for jumps of the time stamps, back or ahead by more than 30 s.
        frame_s: length of the last frame.
        missing: whether a frame is missing between two others.
        error_at_s: s of sound (or a little more) that had been decoded when the decoder reported its first error.
        doubtful: whether a frame's line held other text: an error, or something harmless.
        on_odd: called when :attr:`odd` becomes true.
    """

    def __init__(self) -> None:
        self.formats: list[tuple[float, Format]] = []
        self.decoded_s = 0.0
        self.silences: list[tuple[float, float]] = []
        self.leaps: list[tuple[float, float]] = []
        self.missing = False
        self.doubtful = False
        self.error_at_s: float | None = None
        self.on_odd: Callable[[], None] | None = None
        self._silent_s = 0.0
        self._repeats = 0  # of the leaps
        self._late = False  # begins so late that ffmpeg would fill its memory with silence
        self.frame_s = 0.0
        self._expected: float | None = None  # time stamp that the next frame should have
        self._ahead = 0.0  # time stamps minus the time of what has been read, silences included

    @property
    def odd(self) -> bool:
        """Whether ffmpeg alone would read it wrongly: its clock or format changes midway, or it begins late."""
        return self._late or self.changes

    @property
    def changes(self) -> bool:
        """Whether its clock or format changes midway."""
        return bool(self.leaps) or len(self.formats) > 1

    @property
    def total_s(self) -> float:
        """Duration with the silences."""
        return self.decoded_s + self._silent_s

    @property
    def wavers(self) -> bool:
        """Whether its time stamps only jump back a little, not to zero: damage, by which ffmpeg gives frames twice."""
        return self._repeats == len(self.leaps) and not self._late and len(self.formats) == 1

    @property
    def stumbles(self) -> bool:
        """Whether the only changes are short ones of the format and back, as damage makes them."""
        if self.leaps or len(self.formats) < 2 or self.formats[0][1] != self.formats[-1][1]:
            return False
        ends = [at for at, _ in self.formats[1:]] + [self.decoded_s]
        others = [end - at for (at, kind), end in zip(self.formats, ends, strict=True) if kind != self.formats[0][1]]
        return sum(others) < STUMBLE_S

    def take(self, line: str) -> str | None:
        """Take one line of ffmpeg's stderr; return it if it is an error, for the log.

        Two of ffmpeg's threads may write at once: then the text of an error is within a frame's line.
        """
        found = _FRAME.search(line)
        if found is not None:
            self._take_frame(found)
        serious = _SERIOUS.search(line) is not None
        if found is not None and not serious:
            mixed = bool(_SUMS.sub("", line[found.end() :]).strip())
            self.doubtful = self.doubtful or mixed
            serious = mixed
        if serious and self.error_at_s is None:
            self.error_at_s = self.decoded_s
        return line if serious else None

    def _take_frame(self, found: re.Match[str]) -> None:
        sample_format, channels, layout, rate = found[2], int(found[3]), found[4], int(found[5])
        kind = Format(sample_format, channels, layout, rate)
        was_odd = self.odd
        if not self.formats or self.formats[-1][1] != kind:
            self.formats.append((self.decoded_s, kind))
        length = int(found[6]) / rate
        stamp = self._expected or 0.0 if found[1] == "NOPTS" else float(found[1])
        self._place(stamp)
        self.decoded_s += length
        self._expected, self.frame_s = stamp + length, length
        if self.odd and not was_odd and self.on_odd is not None:
            self.on_odd()

    def _place(self, stamp: float) -> None:
        """Compare a frame's time stamp with the end of the frame before."""
        if self._expected is None:  # the first frame: what is before zero is an encoder's own start, cut off by players
            self._ahead = min(stamp, 0.0)
            self._late = stamp > MAX_GAP_S
        elif (jump := stamp - self._expected) > MAX_GAP_S or jump < -SLACK_S:
            self.leaps.append((self.decoded_s, jump))
            self._repeats += -REPEAT_S < jump < 0 and stamp > SLACK_S
            self._ahead += jump
        if self._expected is not None:
            self.missing = self.missing or stamp - self._expected > max(ROUNDING_S, MISSING_SHARE * self.frame_s)
        gap = stamp - self._ahead - self.total_s
        if gap > (0.0 if self._expected is None else SLACK_S):
            self.silences.append((self.decoded_s, gap))
            self._silent_s += gap
