"""Reads films as streams of RGB frames, in constant memory."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from portrait_anim.errors import VideoError
from portrait_anim.system import ffmpeg
from portrait_anim.system.containers import playlist
from portrait_anim.system.files import printable, readable_file
from portrait_anim.video.writer import check_fps

logger = logging.getLogger(__name__)

# Without these flags swscale's yuv -> rgb loses about one grey level on average.
_EXACT = "scale=flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
MAX_PIXELS = 100_000_000  # of a frame: 300 MB of memory
_FIRST_PICTURE = "0:V:0"  # V: cover art does not count


@dataclass(frozen=True)
class Clip:
    """The properties of a video file.

    Attributes:
        size: (width, height) in px, upright (rotation metadata applied).
        fps: frames/s, the average where it varies.
        n_frames: counted in the file, not estimated.
        duration_s: ``n_frames / fps``, of the picture; the sound may be longer.
        has_audio: whether there is a sound track.
    """

    size: tuple[int, int]
    fps: float
    n_frames: int
    duration_s: float
    has_audio: bool


def probe(path: str | os.PathLike[str]) -> Clip:
    """Return what the video ``path`` holds. Reads the whole file once, decodes only its first frame.

    Raises:
        VideoError: see ``read_frames``.
    """
    frames = read_frames(path)
    first = next(frames)
    frames.close()
    file, name = Path(path), printable(path)
    text = ffmpeg.header(file)
    line = ffmpeg.streams(text, "Video")[0]
    rate = re.search(r"([\d.]+)(k?) fps", line) or re.search(r"([\d.]+)(k?) tbr", line)
    if rate is None or float(rate[1]) == 0:
        raise VideoError(f"video {name} has no frame rate: convert it to mp4 first")
    fps = float(rate[1]) * (1000 if rate[2] else 1)
    fps = float(check_fps(fps)) if fps <= 240 else fps
    counter = ffmpeg.Child(
        [
            *(*ffmpeg.QUIET, "-nostats", *ffmpeg.file_input(file), "-map", _FIRST_PICTURE),
            *("-c", "copy", "-progress", "pipe:1", "-f", "null", os.devnull),
        ]
    )
    try:
        counts = re.findall(rb"^frame=\s*(\d+)", counter.stdout.read(), re.MULTILINE)
        counter.wait()
    except BaseException:
        counter.kill()
        raise
    n_frames = max(int(counts[-1]) if counts else 0, 1)
    height, width = first.shape[:2]
    return Clip((width, height), fps, n_frames, n_frames / fps, bool(ffmpeg.streams(text, "Audio")))


def read_frames(
    path: str | os.PathLike[str],
    fps: float | Fraction | None = None,
    max_side: int | None = None,
    fill: tuple[int, int] | None = None,
) -> Generator[npt.NDArray[np.uint8], None, None]:
    """Return the frames of a video, one after the other.

    Rotation metadata is applied; pixels are taken as square. A video that is damaged later on ends there, with a
    warning in the log. Close the generator (or exhaust it) to end the child process.

    Args:
        path: whatever ffmpeg reads.
        fps: repeat or drop frames so that frame i is what is on the screen at i / fps; None for the frames as they
            are stored.
        max_side: limit of the longer side in px; larger pictures are reduced to it.
        fill: (width, height) px that the pictures are made to fill; what is over is cut off.

    Shape:
        yields: (H, W, 3) uint8 RGB, a fresh array each.

    Raises:
        VideoError: at once: no such file, a folder, empty, not a video, no picture track. At the first frame:
            nothing can be decoded, or it is too large.
        OptionError: at once: ``fps`` out of range.
    """
    file, name = readable_file(path, VideoError, "video"), printable(path)
    scale = _EXACT
    if max_side is not None:
        scale += f":w='min(iw,{max_side})':h='min(ih,{max_side})':force_original_aspect_ratio=decrease"
    if fill is not None:
        width, height = fill
        scale += f":w={width}:h={height}:force_original_aspect_ratio=increase,crop={width}:{height}"
    filters = [scale, "format=rgb24"]
    if fps is not None:
        rate = check_fps(fps)
        filters.insert(0, f"fps=fps={rate.numerator}/{rate.denominator}:start_time=0")
    if kind := playlist(file):
        raise VideoError(f"{name} is {kind}, it names other files and holds no picture: give the video itself")
    text = ffmpeg.header(file)
    if not text:
        raise VideoError(f"{name} is not a video that ffmpeg can read: try an mp4 file")
    if not ffmpeg.streams(text, "Video"):
        raise VideoError(f"{name} has no picture track: give a video")
    arguments = [*ffmpeg.QUIET, *ffmpeg.file_input(file), "-map", _FIRST_PICTURE, "-vf", ",".join(filters)]
    if fps is None:
        arguments += ["-fps_mode", "passthrough"]
    # PPM: every frame says its own size, so rotation needs no arithmetic here
    return _frames([*arguments, "-c:v", "ppm", "-f", "image2pipe", "pipe:1"], name)


def _frames(arguments: list[str], name: str) -> Generator[npt.NDArray[np.uint8], None, None]:
    child = ffmpeg.Child(arguments)
    n_frames = 0
    try:
        while (frame := _read_ppm(child.stdout, name)) is not None:
            n_frames += 1
            yield frame
        status = child.wait()
    finally:
        child.kill()
    if n_frames == 0:
        raise VideoError(f"the picture in {name} cannot be decoded ({child.reason()}): convert it to mp4 first")
    if status or child.log:
        logger.warning("%s is damaged in places, %d frames are used (%s)", name, n_frames, child.reason())


def _read_ppm(pipe: IO[bytes], name: str) -> npt.NDArray[np.uint8] | None:
    """Read one binary PPM picture; None at the end of the stream or when it is cut off."""
    if pipe.readline() != b"P6\n":
        return None
    width, height = map(int, pipe.readline().split())
    pipe.readline()  # 255
    if width * height > MAX_PIXELS:
        raise VideoError(f"the picture in {name} is too large at {width}x{height} px: reduce it first")
    frame = np.empty((height, width, 3), np.uint8)
    view, done = frame.data.cast("B"), 0
    while done < len(view):
        count = pipe.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            return None
        done += count
    return frame
