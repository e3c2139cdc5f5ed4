"""The bundled ffmpeg as a child process: started without a shell, its stderr always read, ended cleanly.

ffmpeg comes with imageio-ffmpeg (``IMAGEIO_FFMPEG_EXE`` names another one). It brings no ffprobe, so what a file
holds is read from the header that ``ffmpeg -i`` prints.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from portrait_anim.errors import DependencyError
from portrait_anim.system.containers import WHITELIST

logger = logging.getLogger(__name__)

QUIET = ("-nostdin", "-hide_banner", "-loglevel", "error")
# How a sound is taken from a file, the same for what the nets hear and for what the film plays. rematrix_maxval: a
# downmix of full-scale channels stays within full scale. async, first_pts: a track that starts later than its file, and
# stretches that do not decode, become silence, so that the sound keeps its place in time.
SOUND_FILTER = "aresample=rematrix_maxval=1.0:async=1:first_pts=0"
PIPE_BYTES = 1 << 20  # the largest pipe Linux gives without privileges; a 512x512 frame fits in whole
_TOO_LARGE = getattr(signal, "SIGXFSZ", 0)  # what a process gets that writes beyond its limit
_KEPT_LINES = 200  # of stderr
_TOLD = re.compile(
    r"Input #0, |  Duration: |  Stream #0:\d+|  Program \d"
)  # lines of a header that are not somebody's words
_NOISE = re.compile(
    r"^\s*(\[([^\]]*@ 0x[0-9a-f]+|error|fatal|panic)\]\s*)+", re.IGNORECASE
)  # "[mp4 @ 0x55d4] [error] "
_EMPTY_WORDS = (  # lines that only repeat that something failed
    "conversion failed",
    "last message repeated",
    "error opening input",
    "error opening output file",
    "error parsing options",
    "terminating thread",
    "task finished with error",
    "could not open encoder before eof",
    "error initializing filters",
    "channels nor channel layout",
    "failed to set value",
    "to ignore this, add",
    "matches no streams",
    "nothing was written",
)


def ffmpeg_exe() -> str:
    """Return the path of the ffmpeg program.

    Raises:
        DependencyError: imageio-ffmpeg is missing, or has no program for this platform.
    """
    try:
        import imageio_ffmpeg  # type: ignore[import-untyped]

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as e:
        raise DependencyError(
            "ffmpeg is not on this machine: pip install imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE to a program"
        ) from e


def file_url(path: str | os.PathLike[str]) -> str:
    """Return ``path`` in a form that ffmpeg always takes for a file, even with leading dashes, colons or ``http:``."""
    return f"file:{Path(path).absolute()}"


def file_input(path: str | os.PathLike[str]) -> list[str]:
    """Return the arguments that open ``path``: one file with its own data, no list of other files, no network."""
    return ["-protocol_whitelist", "file", "-format_whitelist", WHITELIST, "-i", file_url(path)]


def raw_input(path: str | os.PathLike[str], sample_rate: int, channels: int) -> list[str]:
    """Return the arguments that open samples kept as bare float32 (a file of our own)."""
    layout = {1: "mono", 2: "stereo"}[channels]
    kind = ["-f", "f32le", "-ar", str(sample_rate), "-ch_layout", layout]
    return [*kind, "-protocol_whitelist", "file", "-i", file_url(path)]


def pictures_input(width: int, height: int, rate: str, pixels: str = "rgb24") -> list[str]:
    """Return the arguments that read raw pictures from stdin, at ``rate`` frames/s such as 25 or 30000/1001."""
    kind = ["-f", "rawvideo", "-pix_fmt", pixels, "-video_size", f"{width}x{height}"]
    return [*kind, "-framerate", rate, "-i", "pipe:0"]


def parts_input(path: str | os.PathLike[str]) -> list[str]:
    """Return the arguments that open a list of our own: films of our own beside it, one after the other."""
    return ["-f", "concat", "-safe", "0", "-protocol_whitelist", "file", "-i", file_url(path)]


def captions_input(path: str | os.PathLike[str]) -> list[str]:
    """Return the arguments that open an .srt file of our own."""
    return ["-f", "srt", "-protocol_whitelist", "file", "-i", file_url(path)]


class Child:
    """One ffmpeg process.

    It runs in a session of its own, so that Ctrl-C in the terminal reaches this program only, which then ends the
    child. A thread reads its stderr all the time, so that the pipe never fills up.

    Args:
        arguments: everything after the program's name.
        feeds: open a pipe to its stdin.
        inherits: file descriptors of this process that it may read, as pipe:N; not on Windows.
        watch: gets every line of its stderr, in the thread that reads it, and returns what is kept in the log.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        feeds: bool = False,
        inherits: Sequence[int] = (),
        watch: Callable[[str], str | None] | None = None,
    ) -> None:
        creationflags = 0
        if sys.platform == "win32":
            creationflags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        exe = ffmpeg_exe()
        try:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603
                [exe, *arguments],
                stdin=subprocess.PIPE if feeds else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=tuple(inherits),
                start_new_session=sys.platform != "win32",
                creationflags=creationflags,
            )
        except OSError as e:
            raise DependencyError(f"ffmpeg at {exe} does not start ({e}): reinstall imageio-ffmpeg") from e
        self._watch = watch
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._drain = threading.Thread(target=self._read_stderr, name="ffmpeg-stderr", daemon=True)
        self._drain.start()
        for pipe in (self._process.stdin, self._process.stdout):
            _widen(pipe)

    def _read_stderr(self) -> None:
        assert self._process.stderr is not None  # noqa: S101
        with contextlib.suppress(ValueError):  # closed under us by kill()
            for line in self._process.stderr:
                text = line.decode("utf-8", "replace").rstrip()
                kept = text if self._watch is None else self._watch(text)
                if kept is not None:
                    self._lines.append(kept)

    @property
    def stdin(self) -> IO[bytes]:
        """The pipe into ffmpeg."""
        assert self._process.stdin is not None  # noqa: S101
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        """The pipe out of ffmpeg."""
        assert self._process.stdout is not None  # noqa: S101
        return self._process.stdout

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def wait(self) -> int:
        """Wait for the end and return the exit status; stderr is complete afterwards."""
        status = self._process.wait()
        self._drain.join()
        self._close()
        return status

    def stop(self) -> None:
        """End the process, without waiting for it; from any thread."""
        self._process.kill()

    def kill(self) -> None:
        """End the process now, whatever it is doing, and close its pipes. Harmless when it has ended."""
        self._process.kill()
        self._process.wait()
        self._drain.join(timeout=5)
        self._close()

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError, ValueError):  # unsent bytes have no reader any more
                    pipe.close()

    @property
    def log(self) -> str:
        """The last lines that it wrote on stderr."""
        return "\n".join(self._lines)

    def reason(self) -> str:
        """Return the last line of stderr that says something, without ffmpeg's address prefixes."""
        for line in reversed(self._lines):
            text = _NOISE.sub("", line).strip().rstrip(".")
            if text and not any(word in text.lower() for word in _EMPTY_WORDS):
                return text
        if "Invalid data found" in self.log:
            return "invalid data"
        status = self._process.poll()
        if _TOO_LARGE and status == -_TOO_LARGE:
            return "no file may grow that large here, see ulimit -f"
        return f"ffmpeg was ended by signal {-status}" if status is not None and status < 0 else "ffmpeg gave no reason"


def _widen(pipe: IO[bytes] | None) -> None:
    """Make a Linux pipe as large as allowed, so that a frame fits in at once."""
    if pipe is not None and sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def header(path: str | os.PathLike[str]) -> str:
    """Return what ``ffmpeg -i`` says of the file ``path``, its length and its streams; empty when it cannot be opened.

    Text files, which ffmpeg would play as a terminal's screen, count as not opened. Tags and chapters are left out:
    there may be any number of them, and they may hold any words. Of streams at most ``_KEPT_LINES`` are told.
    """
    kept = 0

    def watch(line: str) -> str | None:
        nonlocal kept
        kept += _TOLD.match(line) is not None
        return line if _TOLD.match(line) and kept < _KEPT_LINES else None

    child = Child(["-nostdin", "-hide_banner", *file_input(path)], watch=watch)
    child.wait()
    start = re.search(r"^Input #0, ([\w,]+), from ", child.log, re.MULTILINE)
    if start is None or start[1] == "tty":
        return ""
    return child.log[start.start() :]


def streams(header_text: str, kind: str) -> list[str]:
    """Return the header's lines about streams of one ``kind``: ``"Audio"`` or ``"Video"`` (cover art left out)."""
    lines = re.findall(rf"^\s*Stream #0:\d+.*?: {kind}: .*$", header_text, re.MULTILINE)
    return [line for line in lines if "(attached pic)" not in line]
