"""One photo and one sound -> a film: the parts in their order."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from portrait_anim.audio.load import load_audio
from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.device import DEVICES, pick_device
from portrait_anim.errors import NoFaceError, OutputError
from portrait_anim.face.detect import LANDMARKERS, Face, Landmarker, make_landmarker
from portrait_anim.face.photo import Photo, load_photo
from portrait_anim.files import shown
from portrait_anim.options import MIN_MAX_SIZE_PX, FilmOptions, check_choice, check_whole
from portrait_anim.video.writer import Writer, check_fps, check_output
from portrait_anim.weights import WEIGHT_SETS

if TYPE_CHECKING:
    from PIL import Image

    from portrait_anim.motion.space import Motion

logger = logging.getLogger(__name__)

PathLike: TypeAlias = "str | os.PathLike[str]"
PhotoLike: TypeAlias = "PathLike | Image.Image | npt.NDArray[np.uint8]"
SoundLike: TypeAlias = "PathLike | tuple[npt.NDArray[Any], int] | Sound"
Frame = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]

N_WORKERS = 2  # threads that render
MAX_AHEAD = N_WORKERS + 2  # frames in the making or ready that nobody has taken yet; bounds the memory


@dataclass(frozen=True)
class Animation:
    """A finished film.

    Attributes:
        path: the file.
        n_frames: frames in it, round(duration of the sound x fps).
        duration_s: of the picture, ``n_frames / fps``.
        fps: frames/s.
        size: (width, height) of the frames in px; an odd side is padded by one pixel line in the file.
        motion: how the face moved, at ``fps``.
        seed: of blinks, gaze and head motion.
    """

    path: Path
    n_frames: int
    duration_s: float
    fps: float
    size: tuple[int, int]
    motion: Motion = field(repr=False)
    seed: int


@dataclass(frozen=True)
class Sound:
    """A sound that was loaded once, for use in several calls.

    Attributes:
        source: what the film's sound track is made from: a path or ``(waveform, sample_rate)``.
        waveform: (N,) float32, mono at 16 kHz, -1..1: what the nets hear.
    """

    source: PathLike | tuple[npt.NDArray[Any], int]
    waveform: npt.NDArray[np.float32] = field(repr=False)

    @classmethod
    def load(cls, audio: SoundLike) -> Sound:
        """Load ``audio`` as :func:`portrait_anim.audio.load.load_audio` does; a Sound is returned as it is."""
        return audio if isinstance(audio, Sound) else cls(audio, load_audio(audio))

    @property
    def duration_s(self) -> float:
        """Seconds."""
        return len(self.waveform) / SAMPLE_RATE

    def n_frames(self, fps: float) -> int:
        """Frames of a film of this sound: round(duration x fps), at least one."""
        return max(1, round(self.duration_s * fps))


def animate(
    photo: PhotoLike,
    audio: SoundLike,
    output: PathLike | None = None,
    *,
    emotion: str | None = None,
    head_motion: float = 1.0,
    blinks: float = 1.0,
    seed: int = 0,
    face: int | None = None,
    fps: float = FPS,
    max_size: int | None = None,
    weights: str = "default",
    device: str = "auto",
    landmarker: str = "facemesh",
    progress: Progress | None = None,
    overwrite: bool = False,
) -> Animation:
    """Make the face in ``photo`` speak or sing ``audio`` and write the film.

    Options, output, sound and photo are checked in this order before any net is loaded. The same inputs and seed give
    the same frames on the same machine.

    Args:
        photo: a path, a PIL image or an (H, W, 3) uint8 array.
        audio: a path (sound, or video with sound), ``(waveform, sample_rate)`` or a :class:`Sound`.
        output: the .mp4 to write; default: PHOTO_AUDIO.mp4 in the working directory.
        emotion: None or ``"neutral"``; others come with a later version.
        head_motion: 0 (perfectly still) to 2 (lively).
        blinks: 0 (none) to 3, times the natural rate.
        seed: of blinks, gaze and head motion, at least 0.
        fps: frames/s of the film, 1 to 60.
        face: which face of several, counted from the left, from 1; default: the largest.
        max_size: limit of the picture's longer side in px, at least 64; default: the photo's own size.
        weights: ``"default"`` or ``"open"``.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``, for the speech nets.
        landmarker: ``"facemesh"`` or ``"face-alignment"``.
        progress: called as ``progress(frames_done, frames_total)`` after every frame.
        overwrite: replace a film that is already there.

    Raises:
        PortraitAnimError: every error is one of its kinds, see :mod:`portrait_anim.errors`; no file is left then.
    """
    FilmOptions(emotion, head_motion, blinks, seed, fps)
    _check_choices(face, max_size, weights, device, landmarker)
    output = _target(photo, audio, output, overwrite=overwrite)
    sound = Sound.load(audio)
    animator = Animator(photo, face=face, weights=weights, device=device, landmarker=landmarker, max_size=max_size)
    return animator.animate(
        sound, output, emotion=emotion, head_motion=head_motion, blinks=blinks, seed=seed, fps=fps,
        progress=progress, overwrite=overwrite,
    )  # fmt: skip


class Animator:
    """One face of one photo with the nets loaded, for several films. Arguments as in :func:`animate`.

    Attributes:
        photo, face: what moves.
    """

    def __init__(
        self,
        photo: PhotoLike,
        *,
        face: int | None = None,
        weights: str = "default",
        device: str = "auto",
        landmarker: str = "facemesh",
        max_size: int | None = None,
    ) -> None:
        _check_choices(face, max_size, weights, device, landmarker)
        self._given = photo if isinstance(photo, (str, os.PathLike)) else None
        self.photo = load_photo(photo, max_size)
        # one picture only, so the processor will do whatever the device
        self.face = choose_face(self.photo, make_landmarker(landmarker, "cpu"), face)

        from portrait_anim.motion.model import MotionModel  # imports torch: only when sound and photo are usable
        from portrait_anim.render.portrait import Portrait

        self._portrait = Portrait(self.photo, self.face)
        self._model = MotionModel.from_weights(weights, pick_device(device))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the frames in px."""
        height, width = self.photo.pixels.shape[:2]
        return width, height

    def animate(
        self,
        audio: SoundLike,
        output: PathLike | None = None,
        *,
        emotion: str | None = None,
        head_motion: float = 1.0,
        blinks: float = 1.0,
        seed: int = 0,
        fps: float = FPS,
        progress: Progress | None = None,
        overwrite: bool = False,
    ) -> Animation:
        """Write the film of ``audio``; see :func:`animate`."""
        options = FilmOptions(emotion, head_motion, blinks, seed, fps)
        target = _target(self._given, audio, output, overwrite=overwrite)
        sound = Sound.load(audio)
        writer = Writer(target, self.size, fps, sound.source, overwrite=overwrite, metadata=_metadata())
        motion = self._motion(sound, options)
        with writer, closing(self._render(motion)) as frames:
            for done, frame in enumerate(frames, 1):
                writer.write(frame)
                if progress is not None:
                    progress(done, len(motion))
        return Animation(writer.path, len(motion), len(motion) / motion.fps, fps, self.size, motion, seed)

    def frames(
        self,
        audio: SoundLike,
        *,
        emotion: str | None = None,
        head_motion: float = 1.0,
        blinks: float = 1.0,
        seed: int = 0,
        fps: float = FPS,
    ) -> Generator[Frame, None, None]:
        """Return the film's frames one by one, (H, W, 3) uint8 RGB; memory does not grow with the duration."""
        options = FilmOptions(emotion, head_motion, blinks, seed, fps)
        return self._render(self._motion(Sound.load(audio), options))

    def motion(
        self,
        audio: SoundLike,
        *,
        emotion: str | None = None,
        head_motion: float = 1.0,
        blinks: float = 1.0,
        seed: int = 0,
        fps: float = FPS,
    ) -> Motion:
        """Return how the face moves to ``audio``, without rendering."""
        return self._motion(Sound.load(audio), FilmOptions(emotion, head_motion, blinks, seed, fps))

    def _motion(self, sound: Sound, options: FilmOptions) -> Motion:
        motion = self._model.motion(
            sound.waveform, seed=int(options.seed), head_motion=options.head_motion, blinks=options.blinks
        )
        fps = float(check_fps(options.fps))  # 29.97 means 30000/1001
        return motion.resampled(fps, sound.n_frames(fps))

    def _frame(self, motion: Motion, i: int) -> Frame:
        return self._portrait.render(self._model.space.state(motion, i))

    def _render(self, motion: Motion) -> Generator[Frame, None, None]:
        """Render in two threads, in order, never more than MAX_AHEAD frames ahead of the one who takes them."""
        pool = ThreadPoolExecutor(N_WORKERS, thread_name_prefix="render")
        pending: deque[Future[Frame]] = deque()
        try:
            for i in range(len(motion)):
                if len(pending) == MAX_AHEAD:
                    yield pending.popleft().result()
                pending.append(pool.submit(self._frame, motion, i))
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def choose_face(photo: Photo, landmarker: Landmarker, number: int | None = None) -> Face:
    """Return one face of a photo: the one called ``number``, counted from the left, from 1, or the largest.

    Raises:
        NoFaceError: there is none, or none of that number.
    """
    name = "the picture" if photo.source is None else f"photo {shown(photo.source)}"
    faces = landmarker.detect(photo.pixels)
    if not faces:
        raise NoFaceError(
            f"no face found in {name} (looked with {landmarker.name} for faces that turn both eyes to the camera): "
            "try a larger, sharper picture seen from the front, or crop it to the face"
        )
    from_left = sorted(faces, key=lambda face: float(face.bbox[0] + face.bbox[2]))
    if number is None:
        if len(faces) > 1:
            largest = 1 + next(i for i, face in enumerate(from_left) if face is faces[0])
            logger.info(
                "%s has %d faces, the largest moves, number %d from the left: --face N (face=N) takes another",
                name, len(faces), largest,
            )  # fmt: skip
        return faces[0]
    if number > len(faces):
        these = "1 face" if len(faces) == 1 else f"{len(faces)} faces, counted from the left"
        raise NoFaceError(f"{name} has no face number {number}: it has {these}")
    return from_left[number - 1]


def default_output(photo: PhotoLike | None, audio: SoundLike) -> Path:
    """Return PHOTO_AUDIO.mp4 in the working directory; pictures and waveforms from memory have plain names."""
    source = audio.source if isinstance(audio, Sound) else audio
    first = Path(photo).stem if isinstance(photo, (str, os.PathLike)) else "photo"
    second = Path(source).stem if isinstance(source, (str, os.PathLike)) else "audio"
    return Path(f"{first}_{second}.mp4")


def _target(photo: PhotoLike | None, audio: SoundLike, output: PathLike | None, *, overwrite: bool) -> Path:
    """Return the path to write, checked before long work."""
    target = check_output(default_output(photo, audio) if output is None else output, overwrite=overwrite)
    source = audio.source if isinstance(audio, Sound) else audio
    for what, given in (("photo", photo), ("sound", source)):
        there = isinstance(given, (str, os.PathLike)) and target.exists() and Path(given).exists()
        if there and target.samefile(given):  # type: ignore[arg-type]
            raise OutputError(f"{shown(target)} is the {what} itself: choose another name for the film")
    return target


def _check_choices(face: int | None, max_size: int | None, weights: str, device: str, landmarker: str) -> None:
    if face is not None:
        check_whole("face", face, 1)
    if max_size is not None:
        check_whole("max_size", max_size, MIN_MAX_SIZE_PX)
    check_choice("weights", weights, WEIGHT_SETS)
    check_choice("device", device, DEVICES)
    check_choice("landmarker", landmarker, LANDMARKERS)


def _metadata() -> dict[str, str]:
    from portrait_anim import __version__

    return {"comment": f"Synthetic: one photo animated by portrait_anim {__version__}"}
