"""One photo and one sound -> a film: the parts in their order."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from portrait_anim.animation import Animation, Frame, PathLike, PhotoLike, Progress, SoundLike, SoundsLike, as_sounds
from portrait_anim.audio.load import load_sound
from portrait_anim.audio.sound import Sound, tell_voices
from portrait_anim.audio.waveform import PieceReader, longer
from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.errors import OptionError, PhotoError
from portrait_anim.face.choose import Which, check_face, choose_faces
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.normalise import normalise
from portrait_anim.face.photo import load_photo
from portrait_anim.motion.emotion import photo_smile
from portrait_anim.options import (
    DEVICES,
    LANDMARKERS,
    MAX_DURATION_S,
    MIN_MAX_SIZE_PX,
    WEIGHT_SETS,
    FilmOptions,
    check_choice,
    check_whole,
    parse_emotion,
)
from portrait_anim.provenance.label import Label, Style
from portrait_anim.provenance.record import Provenance
from portrait_anim.render.group import Group
from portrait_anim.system.device import pick_device
from portrait_anim.system.fingerprint import source
from portrait_anim.system.threads import in_order
from portrait_anim.system.weights import digests
from portrait_anim.video.target import film_target
from portrait_anim.video.writer import Writer, check_fps

if TYPE_CHECKING:
    from portrait_anim.motion.model import MotionModel
    from portrait_anim.motion.space import Motion

logger = logging.getLogger(__name__)

EARS = ("hama_encoder", "whisper_tiny_encoder", "voice_detector")  # nets that hear whole recordings


def animate(
    photo: PhotoLike,
    audio: SoundsLike,
    output: PathLike | None = None,
    *,
    emotion: str | None = None,
    head_motion: float = 1.0,
    blinks: float = 1.0,
    seed: int = 0,
    face: Which = None,
    fps: float = FPS,
    max_duration: float = MAX_DURATION_S,
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
        audio: a path (sound, or video with sound) or ``(waveform, sample_rate)``; a list of them for a duet, one for
            each face from the left (or for those that ``face`` names), mixed in the film.
        output: the .mp4 to write; default: PHOTO_AUDIO.mp4 in the working directory.
        emotion: neutral, happy, sad, angry, surprised, fearful, disgusted or auto (follows the voice), with a strength
            ``"sad:0.6"`` (0 to 1.5) and times ``"happy@0-4,sad:0.6@4-"`` (s).
        head_motion: 0 (perfectly still) to 2 (lively).
        blinks: 0 (none) to 3, times the natural rate.
        seed: of blinks, gaze and head motion, at least 0.
        fps: frames/s of the film, 1 to 60.
        face: which face of several, counted from the left, from 1; some as (1, 3); ``"all"``; default: the largest.
        max_duration: s; a longer sound is refused. Default 3 h; an hour takes about 1 GB of memory.
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
    options = FilmOptions(emotion, head_motion, blinks, seed, fps, max_duration)
    face, max_size = _check_choices(face, max_size, weights, device, landmarker)
    sounds = as_sounds(audio)
    output = film_target(photo, sounds, output, overwrite=overwrite)
    face = range(1, len(sounds) + 1) if face is None and len(sounds) > 1 else face
    animator = Animator(photo, face=face, weights=weights, device=device, landmarker=landmarker, max_size=max_size)
    return animator.animate(
        audio, output, **asdict(options), label=label, sign_cert=sign_cert, sign_key=sign_key, audit_log=audit_log,
        progress=progress, overwrite=overwrite,
    )  # fmt: skip


class Animator:
    """One photo, for several films; the speech nets are loaded once a process, with the first of them.

    Arguments as in :func:`animate`.

    Attributes:
        photo: the picture.
        faces: those in it that move.
    """

    def __init__(
        self,
        photo: PhotoLike,
        *,
        face: Which = None,
        weights: str = "default",
        device: str = "auto",
        landmarker: str = "facemesh",
        max_size: int | None = None,
    ) -> None:
        face, max_size = _check_choices(face, max_size, weights, device, landmarker)
        self._given, self._weights, self._device = photo, weights, device
        self._source = source(photo, PhotoError, "photo")
        self.photo = load_photo(photo, max_size)
        finder = shared_landmarker(landmarker)
        self.faces = choose_faces(self.photo, finder, face)
        self._group = Group(self.photo, self.faces)
        self._models = {**finder.models(), **self._group.models()}

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the frames in px."""
        height, width = self.photo.pixels.shape[:2]
        return width, height

    def animate(
        self,
        audio: SoundsLike,
        output: PathLike | None = None,
        *,
        emotion: str | None = None,
        head_motion: float = 1.0,
        blinks: float = 1.0,
        seed: int = 0,
        fps: float = FPS,
        max_duration: float = MAX_DURATION_S,
        label: str | None = None,
        sign_cert: PathLike | None = None,
        sign_key: PathLike | None = None,
        audit_log: PathLike | None = None,
        progress: Progress | None = None,
        overwrite: bool = False,
    ) -> Animation:
        """Write the film of ``audio``; see :func:`animate`."""
        options = FilmOptions(emotion, head_motion, blinks, seed, fps, max_duration)
        sounds = self._cast(audio)
        target = film_target(self._given, sounds, output, overwrite=overwrite)
        if label is not None:
            Label(Style.parse(label), self.size, options.fps)  # it fits, or this is said before the nets run
        heard = [load_sound(sound, options.max_duration) for sound in sounds]
        marks = self._provenance(
            [sound.source for sound in heard], options, sign_cert=sign_cert, sign_key=sign_key, visible_label=label,
            audit_log=audit_log, output=target,
        )  # fmt: skip
        writer = Writer(
            target, self.size, options.fps, [sound.film for sound in heard], overwrite=overwrite,
            metadata=marks.metadata, before_rename=marks.finish,
        )  # fmt: skip
        motions = self._motions(heard, options)
        del heard  # 230 MB an hour, and the film is still to be drawn
        n_frames, fps = len(motions[0]), motions[0].fps
        with writer, closing(self._render(motions, marks)) as frames:
            marks.check_files()
            for done, frame in enumerate(frames, 1):
                writer.write(frame)
                if progress is not None:
                    progress(done, n_frames)
        marks.record(writer.path)
        return Animation(writer.path, n_frames, n_frames / fps, fps, self.size, motions, options.seed)

    def frames(
        self,
        audio: SoundsLike,
        *,
        emotion: str | None = None,
        head_motion: float = 1.0,
        blinks: float = 1.0,
        seed: int = 0,
        fps: float = FPS,
        max_duration: float = MAX_DURATION_S,
    ) -> Generator[Frame, None, None]:
        """Return the film's marked frames one by one, (H, W, 3) uint8 RGB, as they are before encoding.

        Memory grows by 13 MB a minute of sound while this listens, and by 1.3 MB a minute while frames are taken.
        """
        options = FilmOptions(emotion, head_motion, blinks, seed, fps, max_duration)
        heard = [load_sound(sound, options.max_duration) for sound in self._cast(audio)]
        return self._render(self._motions(heard, options), self._provenance([sound.source for sound in heard], options))

    def live(
        self,
        pieces: Iterable[Any],
        *,
        head_motion: float = 1.0,
        blinks: float = 1.0,
        seed: int = 0,
    ) -> Generator[Frame, None, None]:
        """Return marked frames at 25 fps while the sound still comes, each 200 ms to 360 ms after its sound.

        Args:
            pieces: of the sound at 16 kHz, each of any length; they are asked for as frames are taken. Floats with
                full scale 1, integers, lists, or bytes of 16-bit samples: see :class:`waveform.PieceReader`.
            head_motion: 0 (perfectly still) to 2 (lively).
            blinks: 0 (none) to 3, times the natural rate.
            seed: of blinks, gaze and head motion.
        """
        options = FilmOptions(None, head_motion, blinks, seed, FPS)
        return self._live(pieces, options)

    def motions(
        self,
        audio: SoundsLike,
        *,
        emotion: str | None = None,
        head_motion: float = 1.0,
        blinks: float = 1.0,
        seed: int = 0,
        fps: float = FPS,
        max_duration: float = MAX_DURATION_S,
    ) -> tuple[Motion, ...]:
        """Return how each face moves to ``audio``, without rendering."""
        options = FilmOptions(emotion, head_motion, blinks, seed, fps, max_duration)
        return self._motions([load_sound(sound, options.max_duration) for sound in self._cast(audio)], options)

    def _cast(self, audio: SoundsLike) -> list[SoundLike]:
        """Return the sounds: one, or one for each face."""
        sounds = as_sounds(audio)
        if len(sounds) > 1 and len(sounds) != len(self.faces):
            faces = "1 face" if len(self.faces) == 1 else f"{len(self.faces)} faces"
            raise OptionError(
                f"{len(sounds)} sounds for {faces}: give one for all or one for each, and name the faces with "
                "--face 1,2 (face=(1, 2))"
            )
        return sounds

    @property
    def _model(self) -> MotionModel:
        from portrait_anim.motion.model import shared_model  # imports torch: only when everything else is in order

        return shared_model(self._weights, str(pick_device(self._device)))

    def _motions(self, sounds: list[Sound], options: FilmOptions) -> tuple[Motion, ...]:
        fps = float(check_fps(options.fps))  # 29.97 means 30000/1001
        longest = max(len(sound.waveform) for sound in sounds)
        heard = [self._model.listen(longer(sound.waveform, longest)) for sound in sounds]
        tell_voices(sounds, [self._model.space.aperture(sounded.mouth) for sounded in heard])
        motions = []
        for number, face in enumerate(self.faces):
            shape, _ = normalise(face.landmarks)
            motion = self._model.motion(
                heard[number % len(heard)], emotion=parse_emotion(options.emotion), shape=shape,
                smile=photo_smile(shape), seed=options.seed + number,
                head_motion=options.head_motion, blinks=options.blinks,
            )  # fmt: skip
            motions.append(motion.resampled(fps, max(1, round(longest / SAMPLE_RATE * fps))))
        return tuple(motions)

    def _live(self, pieces: Iterable[Any], options: FilmOptions) -> Generator[Frame, None, None]:
        """Frames as pieces come; the mark is that of the photo and the first piece."""
        mouth = self._model.live_mouth()  # one for all faces
        faces = [
            self._model.live_face(
                shape=normalise(face.landmarks)[0], seed=options.seed + number, head_motion=options.head_motion,
                blinks=options.blinks,
            )
            for number, face in enumerate(self.faces)
        ]  # fmt: skip
        marker, space, n_frames = None, self._model.space, 0
        take, end = PieceReader(), object()
        for piece in chain(pieces, [end]):
            sound = np.zeros(0, np.float32) if piece is end else take(piece)
            if marker is None:
                marks = self._provenance([(sound, SAMPLE_RATE)], options, ears=("streaming_encoder",))
                marker = marks.marker(self.photo.pixels, FPS)
            heard = mouth.push(sound, last=piece is end)
            motions = [face.push(*heard) for face in faces]
            for i in range(len(motions[0])):
                yield marker.mark(self._group.render([space.state(motion, i) for motion in motions]), n_frames)
                n_frames += 1

    def _provenance(
        self, sources: list[Any], options: FilmOptions, *, ears: tuple[str, ...] = EARS, **choices: Any
    ) -> Provenance:
        used = [*ears, f"motion_{self._weights}"]
        emotion = None if parse_emotion(options.emotion).neutral else options.emotion
        if emotion is not None and self._weights == "default":
            used.append("action_units")
        models = {**self._models, **digests(*used)}
        marks = Provenance(
            self._source,
            sources[0] if len(sources) == 1 else sources,
            seed=options.seed,
            emotion=emotion,
            models=models,
            **choices,
        )
        for note in marks.notes:
            logger.info(note)
        return marks

    def _render(self, motions: tuple[Motion, ...], marks: Provenance) -> Generator[Frame, None, None]:
        """Return the marked frames, rendered as they are taken."""
        marker, space = marks.marker(self.photo.pixels, motions[0].fps), self._model.space

        def frame(i: int) -> Frame:
            return marker.mark(self._group.render([space.state(motion, i) for motion in motions]), i)

        return in_order(frame, len(motions[0]))


def _check_choices(
    face: Which, max_size: int | None, weights: str, device: str, landmarker: str
) -> tuple[int | str | tuple[int, ...] | None, int | None]:
    check_choice("weights", weights, WEIGHT_SETS)
    check_choice("device", device, DEVICES)
    check_choice("landmarker", landmarker, LANDMARKERS)
    return check_face(face), None if max_size is None else check_whole("max_size", max_size, MIN_MAX_SIZE_PX)
