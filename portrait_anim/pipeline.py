"""One photo and one sound -> a film: the parts in their order."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from portrait_anim.audio.load import load_audio
from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.device import DEVICES, pick_device
from portrait_anim.errors import OutputError
from portrait_anim.face.choose import choose_face
from portrait_anim.face.detect import LANDMARKERS, make_landmarker
from portrait_anim.face.normalise import normalise
from portrait_anim.face.photo import load_photo
from portrait_anim.files import shown
from portrait_anim.motion.emotion import photo_smile
from portrait_anim.options import MIN_MAX_SIZE_PX, FilmOptions, check_choice, check_whole
from portrait_anim.provenance.film import Provenance
from portrait_anim.render.portrait import Portrait
from portrait_anim.timeline import parse_emotion
from portrait_anim.video.writer import Writer, check_fps, check_output
from portrait_anim.weights import WEIGHT_SETS, registry

if TYPE_CHECKING:
    from PIL import Image

    from portrait_anim.motion.model import MotionModel
    from portrait_anim.motion.space import Motion

logger = logging.getLogger(__name__)

PathLike: TypeAlias = "str | os.PathLike[str]"
PhotoLike: TypeAlias = "PathLike | Image.Image | npt.NDArray[np.uint8]"
SoundLike: TypeAlias = "PathLike | tuple[npt.NDArray[Any], int]"
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
    label: str | None = None,
    sign_cert: PathLike | None = None,
    sign_key: PathLike | None = None,
    audit_log: PathLike | None = None,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> Animation:
    """Make the face in ``photo`` speak or sing ``audio`` and write the film.

    Options, output, photo and sound are checked before the speech nets are loaded. The same inputs and seed give the
    same frames on the same machine. The film is marked as synthetic, see :mod:`portrait_anim.provenance`.

    Args:
        photo: a path, a PIL image or an (H, W, 3) uint8 array.
        audio: a path (sound, or video with sound) or ``(waveform, sample_rate)``.
        output: the .mp4 to write; default: PHOTO_AUDIO.mp4 in the working directory.
        emotion: neutral, happy, sad, angry, surprised, fearful, disgusted or auto (follows the voice), with a strength
            ``"sad:0.6"`` (0 to 1.5) and times ``"happy@0-4,sad:0.6@4-"`` (s).
        head_motion: 0 (perfectly still) to 2 (lively).
        blinks: 0 (none) to 3, times the natural rate.
        seed: of blinks, gaze and head motion, at least 0.
        fps: frames/s of the film, 1 to 60.
        face: which face of several, counted from the left, from 1; default: the largest.
        max_size: limit of the picture's longer side in px, at least 64; default: the photo's own size.
        weights: ``"default"`` or ``"open"``.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``, for the speech nets.
        landmarker: ``"facemesh"`` or ``"face-alignment"``.
        label: a visible label: ``"auto"``, ``"eu"``, ``"cn"`` or a text.
        sign_cert: PEM certificate chain that signs the film; default: this machine's own.
        sign_key: its PEM key.
        audit_log: a file that gets a line for this film.
        progress: called as ``progress(frames_done, frames_total)`` after every frame.
        overwrite: replace a film that is already there.

    Raises:
        PortraitAnimError: every error is one of its kinds, see :mod:`portrait_anim.errors`; no file is left then.
    """
    options = FilmOptions(emotion, head_motion, blinks, seed, fps)
    _check_choices(face, max_size, weights, device, landmarker)
    output = _target(photo, audio, output, overwrite=overwrite)
    animator = Animator(photo, face=face, weights=weights, device=device, landmarker=landmarker, max_size=max_size)
    return animator.animate(
        audio, output, **asdict(options), label=label, sign_cert=sign_cert, sign_key=sign_key, audit_log=audit_log,
        progress=progress, overwrite=overwrite,
    )  # fmt: skip


class Animator:
    """One face of one photo, for several films; the speech nets are loaded once, with the first of them.

    Arguments as in :func:`animate`.

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
        self._given, self._weights, self._device = photo, weights, device
        self.photo = load_photo(photo, max_size)
        # one picture only, so the processor will do whatever the device
        self.face = choose_face(self.photo, make_landmarker(landmarker, "cpu"), face)
        self._portrait = Portrait(self.photo, self.face)

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
        label: str | None = None,
        sign_cert: PathLike | None = None,
        sign_key: PathLike | None = None,
        audit_log: PathLike | None = None,
        progress: Progress | None = None,
        overwrite: bool = False,
    ) -> Animation:
        """Write the film of ``audio``; see :func:`animate`."""
        options = FilmOptions(emotion, head_motion, blinks, seed, fps)
        target = _target(self._given, audio, output, overwrite=overwrite)
        waveform = load_audio(audio)
        marks = self._provenance(
            audio, options, sign_cert=sign_cert, sign_key=sign_key, visible_label=label, audit_log=audit_log,
            output=target,
        )  # fmt: skip
        writer = Writer(
            target, self.size, options.fps, audio, overwrite=overwrite, metadata=marks.metadata,
            before_rename=marks.finish,
        )  # fmt: skip
        motion = self._motion(waveform, options)
        with writer, closing(self._render(motion, marks)) as frames:
            for done, frame in enumerate(frames, 1):
                writer.write(frame)
                if progress is not None:
                    progress(done, len(motion))
        return Animation(writer.path, len(motion), len(motion) / motion.fps, motion.fps, self.size, motion, seed)

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
        """Return the film's marked frames one by one, (H, W, 3) uint8 RGB, as they are before encoding.

        Memory does not grow with the duration.
        """
        options = FilmOptions(emotion, head_motion, blinks, seed, fps)
        return self._render(self._motion(load_audio(audio), options), self._provenance(audio, options))

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
        options = FilmOptions(emotion, head_motion, blinks, seed, fps)
        return self._motion(load_audio(audio), options)

    @cached_property
    def _model(self) -> MotionModel:
        from portrait_anim.motion.model import MotionModel  # imports torch: only when everything else is in order

        return MotionModel.from_weights(self._weights, pick_device(self._device))

    def _motion(self, waveform: npt.NDArray[np.float32], options: FilmOptions) -> Motion:
        motion = self._model.motion(
            waveform, emotion=parse_emotion(options.emotion), smile=photo_smile(normalise(self.face.landmarks)[0]),
            seed=options.seed, head_motion=options.head_motion, blinks=options.blinks,
        )  # fmt: skip
        fps = float(check_fps(options.fps))  # 29.97 means 30000/1001
        return motion.resampled(fps, max(1, round(len(waveform) / SAMPLE_RATE * fps)))

    def _provenance(self, audio: SoundLike, options: FilmOptions, **choices: Any) -> Provenance:
        used = ["face_detector", "face_landmarks_detector", "hama_encoder", "whisper_tiny_encoder"]
        used.append(f"motion_{self._weights}")
        emotion = None if parse_emotion(options.emotion).neutral else options.emotion
        if emotion is not None and self._weights == "default":
            used.append("action_units")
        models = {name: registry()[name].sha256 for name in used if name in registry()}
        marks = Provenance(self._given, audio, seed=options.seed, emotion=emotion, models=models, **choices)
        for note in marks.notes:
            logger.info(note)
        return marks

    def _render(self, motion: Motion, marks: Provenance) -> Generator[Frame, None, None]:
        """Render in two threads, in order, never more than MAX_AHEAD frames ahead of the one who takes them."""
        marker, space = marks.marker(self.photo.pixels, motion.fps), self._model.space

        def frame(i: int) -> Frame:
            return marker.mark(self._portrait.render(space.state(motion, i)), i)

        pool = ThreadPoolExecutor(N_WORKERS, thread_name_prefix="render")
        pending: deque[Future[Frame]] = deque()
        try:
            for i in range(len(motion)):
                if len(pending) == MAX_AHEAD:
                    yield pending.popleft().result()
                pending.append(pool.submit(frame, i))
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def default_output(photo: PhotoLike, audio: SoundLike) -> Path:
    """Return PHOTO_AUDIO.mp4 in the working directory; pictures and waveforms from memory have plain names."""
    stems = [
        Path(given).stem if isinstance(given, (str, os.PathLike)) else name
        for given, name in ((photo, "photo"), (audio, "audio"))
    ]
    return Path(f"{'_'.join(stems)}.mp4")


def _target(photo: PhotoLike, audio: SoundLike, output: PathLike | None, *, overwrite: bool) -> Path:
    """Return the path to write, checked before long work."""
    target = Path(default_output(photo, audio) if output is None else output)
    for what, given in (("photo", photo), ("sound", audio)):
        with suppress(OSError, ValueError):  # one of them is not there
            if isinstance(given, (str, os.PathLike)) and target.samefile(given):
                raise OutputError(f"{shown(target)} is the {what} itself: choose another name for the film")
    return check_output(target, overwrite=overwrite)


def _check_choices(face: int | None, max_size: int | None, weights: str, device: str, landmarker: str) -> None:
    if face is not None:
        check_whole("face", face, 1)
    if max_size is not None:
        check_whole("max_size", max_size, MIN_MAX_SIZE_PX)
    check_choice("weights", weights, WEIGHT_SETS)
    check_choice("device", device, DEVICES)
    check_choice("landmarker", landmarker, LANDMARKERS)
