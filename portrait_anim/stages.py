"""The stages between a driver and a film: motion for every face, then marked frames.

Whole recordings go through :func:`perform` and :func:`draw`, sound that still comes through :func:`stream`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from portrait_anim.animation import Frame, Image, PathLike, Steps
from portrait_anim.audio.waveform import PieceReader
from portrait_anim.captions.film import FilmCaptions
from portrait_anim.config import FPS
from portrait_anim.drivers.base import Driver, LiveDriver, Target
from portrait_anim.errors import OptionError, OutputError
from portrait_anim.face.crops import crop_of
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.normalise import normalise
from portrait_anim.face.photo import Photo
from portrait_anim.face.state import FaceState
from portrait_anim.face.types import Array, Face, Landmarker, Trial
from portrait_anim.motion.files import MotionFiles
from portrait_anim.motion.gaze import Gaze
from portrait_anim.motion.loop import looped
from portrait_anim.motion.space import Motion, MotionSpace
from portrait_anim.options import FilmOptions, MotionOptions, PhotoOptions
from portrait_anim.provenance.label import Label, Style
from portrait_anim.provenance.marker import FilmMarker
from portrait_anim.provenance.record import Provenance
from portrait_anim.render.choose import make_scene
from portrait_anim.render.scene import Scene
from portrait_anim.system.threads import in_order, one_thread_each
from portrait_anim.video.looped import LoopedVideo
from portrait_anim.video.target import film_target
from portrait_anim.video.writer import Writer, check_fps

if TYPE_CHECKING:
    from portrait_anim.captions.draw import CaptionPainter


class Overlays:
    """What is drawn over a film's frames before they are marked: captions and a label. Read and checked at once.

    Args:
        options: of the film.
        size: (width, height) px.

    Attributes:
        captions: of the film.
        style: the label's; None: there is none.

    Raises:
        OptionError: the label does not fit.
        CaptionError: as of :meth:`FilmCaptions.load`.
    """

    def __init__(self, options: FilmOptions, size: tuple[int, int]) -> None:
        self._size, self._fps = size, frame_rate(options)
        self.style = None if options.label is None else Style.parse(options.label)
        self._label = None if self.style is None else Label(self.style, size, options.fps)
        self.captions = FilmCaptions.load(options)

    def fit(self, faces: Sequence[Face], duration_s: float) -> CaptionPainter | None:
        """Fit the captions to a film of this length; return what draws them, if they are drawn.

        Raises:
            OptionError: as of :meth:`FilmCaptions.fit`.
        """
        box = None if self._label is None else self._label.box
        self.captions.fit(self._size, self._fps, duration_s, faces, box)
        return self.captions.painter


class Begun(NamedTuple):
    """A film whose inputs have been read, before anything moves.

    Attributes:
        record: the film's marks.
        marker: of its frames.
        saved: the motion files that are asked for.
        file, about: arguments and keywords of the film's :class:`Writer`, or of a class that takes what it takes.
    """

    record: Provenance
    marker: FilmMarker
    saved: MotionFiles | None
    file: tuple[Any, ...]
    about: dict[str, Any]


def frame_rate(options: MotionOptions) -> float:
    """Return the film's exact frame rate: 29.97 means 30000/1001."""
    return float(check_fps(options.fps))


def scene_of(photo: Photo, faces: Sequence[Face], landmarker: Landmarker, options: PhotoOptions) -> Scene:
    """Return what is seen; see :func:`portrait_anim.render.choose.make_scene`."""
    return make_scene(photo, faces, landmarker, options, LoopedVideo)


def targets_of(faces: Sequence[Face], scene: Scene) -> list[Target]:
    """Return what drivers may know of the faces of a scene."""

    def trial(number: int) -> Trial:
        def look(displacement: Array) -> Array | None:
            states = [FaceState.rest() for _ in faces]
            states[number] = replace(states[number], displacement=displacement)
            shown = scene.still.copy()
            scene.draw(states, 0.0, shown)
            shown = np.ascontiguousarray(shown[..., :3])  # of a transparent frame the colours
            found = shared_landmarker("facemesh").nets.place(shown, crop_of(faces[number].landmarks))
            return None if found is None else normalise(found.landmarks)[0]

        return look

    return [Target.of(face, number, trial(number)) for number, face in enumerate(faces)]


def perform(driver: Driver, targets: Sequence[Target], options: MotionOptions, scene: Scene) -> tuple[Motion, ...]:
    """Return how each face moves, at the film's frame rate, its eyes looking where ``options`` say.

    Raises:
        OptionError: the eyes shall look into the camera and the irises were not found.
    """
    looks = gazes(scene, options)
    fps = frame_rate(options)
    n_frames = max(1, round(driver.duration_s * fps))
    motions = (
        gaze.led(driver.motion(target, options).resampled(fps, n_frames))
        for target, gaze in zip(targets, looks, strict=True)
    )
    return tuple(looped(motion) if options.loop else motion for motion in motions)


def gazes(scene: Scene, options: MotionOptions) -> list[Gaze]:
    """Return where the eyes of each face look.

    Raises:
        OptionError: into the camera, and the irises were not found.
    """
    if options.gaze == "camera" and not all(sight.found for sights in scene.sights for _, sight in sights):
        raise OptionError(
            "gaze 'camera' needs the irises, which face-alignment does not find: use --landmarker facemesh"
        )
    return [Gaze(options, sights) for sights in scene.sights]


def draw(
    motions: Sequence[Motion], space: MotionSpace, scene: Scene, marker: FilmMarker, first: int = 0
) -> Generator[Frame, None, None]:
    """Return the marked frames, drawn in threads as they are taken; ``first`` is the number of the first in its film.

    No frame depends on another one, so a part of a film has the frames that the whole film has there.
    """

    def frame(i: int) -> Frame:
        return marked_frame([space.state(motion, i) for motion in motions], scene, marker, first + i, motions[0].fps)

    with one_thread_each():
        yield from in_order(frame, len(motions[0]))


def write_film(
    motions: Sequence[Motion], space: MotionSpace, drawn: Generator[Frame, None, None], writer: Writer,
    record: Provenance, saved: MotionFiles | None, step: Steps,
) -> None:  # fmt: skip
    """Write the frames, and the motion files if there are any.

    Args:
        motions: one a face.
        space: of the motions.
        drawn: the frames, see :func:`draw`; none where the writer joins parts that are there already.
        writer: of the film, not yet open.
        record: of the film; its files must not change meanwhile.
        saved: the motion files, not yet open.
        step: is told how far it is.

    Raises:
        OutputError: as of the writer.
        PhotoError, AudioError, ...: a file that the film is made of has changed.
    """
    n_frames = len(motions[0])
    try:
        with saved or nullcontext(), writer, closing(drawn) as frames:
            record.check_files()
            step("drawing", 0, n_frames)
            for done, frame in enumerate(frames, 1):
                writer.write(frame.pixels)
                step("drawing", done, n_frames)
            if saved is not None:
                saved.write(motions, space)
            step("signing", 0, 1)
    except OutputError:
        record.check_files()  # it may have stopped because its sound changed: then that is the reason to tell
        raise
    record.record(writer.path)
    step("signing", 1, 1)


def stream(
    driver: LiveDriver,
    space: MotionSpace,
    scene: Scene,
    marker_of: Callable[[], FilmMarker],
    pieces: Iterable[Any],
    looks: Sequence[Gaze],
) -> Generator[Frame, None, None]:
    """Return marked frames at 25 fps as pieces of sound come.

    Args:
        driver: what moves the faces.
        space: of its motions.
        scene: the picture.
        marker_of: returns the marker; called once the driver has the first piece, which its mark depends on.
        pieces: see :meth:`Animator.live`.
        looks: where the eyes of each face look.
    """
    read, end = PieceReader(), object()
    marker: FilmMarker | None = None
    n_frames = 0
    for piece in chain(pieces, [end]):
        with one_thread_each():
            made = driver.push(np.zeros(0, np.float32) if piece is end else read(piece), last=piece is end)
        motions = [gaze.led(motion, whole=False) for motion, gaze in zip(made, looks, strict=True)]
        marker = marker or marker_of()
        for i in range(len(motions[0])):
            yield marked_frame([space.state(motion, i) for motion in motions], scene, marker, n_frames, FPS)
            n_frames += 1


def marked_frame(states: Sequence[FaceState], scene: Scene, marker: FilmMarker, number: int, fps: float) -> Frame:
    """Return one marked frame of a scene whose faces are in these states."""
    out = scene.still.copy()
    box = scene.draw(states, number / fps, out)
    return Frame(marker.mark(out, number), number / fps, box)


def output_of(
    photo: Any, sounds: Sequence[Any], output: PathLike | None, options: FilmOptions, *, overwrite: bool,
    transparent: bool,
) -> Path:  # fmt: skip
    """Return where the film goes, checked before long work; see :func:`film_target`. Without a sound it may be idle."""
    return film_target(
        photo, sounds, output, overwrite=overwrite, actor=options.actor, motions=options.motions,
        otherwise="idle" if options.idle is not None else None, transparent=transparent,
    )  # fmt: skip


def pixels_of(frames: Generator[Frame, None, None]) -> Generator[Image, None, None]:
    """Yield the frames' pixels."""
    with closing(frames):
        for frame in frames:
            yield frame.pixels


def motion_files(options: FilmOptions, inputs: Sequence[Any], n_faces: int, *, overwrite: bool) -> MotionFiles | None:
    """Return the files that get the motion, checked before long work; None where none are asked for."""
    if options.save_motion is None:
        return None
    return MotionFiles(options.save_motion, n_faces, overwrite=overwrite, inputs=inputs)
