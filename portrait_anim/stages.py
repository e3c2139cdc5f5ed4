"""The stages between a driver and a film: motion for every face, then marked frames.

Whole recordings go through :func:`perform` and :func:`draw`, sound that still comes through :func:`stream`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from portrait_anim.animation import Frame, Image
from portrait_anim.audio.waveform import PieceReader
from portrait_anim.config import FPS
from portrait_anim.drivers.base import Driver, LiveDriver, Target
from portrait_anim.errors import OptionError
from portrait_anim.face.crops import crop_of
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.normalise import normalise
from portrait_anim.face.state import FaceState
from portrait_anim.face.types import Array, Face, Trial
from portrait_anim.motion.files import MotionFiles
from portrait_anim.motion.gaze import Gaze
from portrait_anim.motion.space import Motion, MotionSpace
from portrait_anim.options import FilmOptions, MotionOptions
from portrait_anim.provenance.record import FilmMarker
from portrait_anim.render.scene import Scene
from portrait_anim.system.threads import in_order
from portrait_anim.video.writer import check_fps


def frame_rate(options: MotionOptions) -> float:
    """Return the film's exact frame rate: 29.97 means 30000/1001."""
    return float(check_fps(options.fps))


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
    return tuple(
        gaze.led(driver.motion(target, options).resampled(fps, n_frames))
        for target, gaze in zip(targets, looks, strict=True)
    )


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


def motion_files(options: FilmOptions, n_faces: int, inputs: Sequence[Any], *, overwrite: bool) -> MotionFiles | None:
    """Return what saves the motion, checked before long work; None: it is not saved. ``inputs`` are not overwritten."""
    if options.save_motion is None:
        return None
    return MotionFiles(options.save_motion, n_faces, overwrite=overwrite, inputs=(*inputs, *options.motions))


def draw(
    motions: Sequence[Motion], space: MotionSpace, scene: Scene, marker: FilmMarker
) -> Generator[Frame, None, None]:
    """Return the marked frames, drawn in threads as they are taken."""

    def frame(i: int) -> Frame:
        return _frame([space.state(motion, i) for motion in motions], scene, marker, i, motions[0].fps)

    return in_order(frame, len(motions[0]))


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
        made = driver.push(np.zeros(0, np.float32) if piece is end else read(piece), last=piece is end)
        motions = [gaze.led(motion, whole=False) for motion, gaze in zip(made, looks, strict=True)]
        marker = marker or marker_of()
        for i in range(len(motions[0])):
            yield _frame([space.state(motion, i) for motion in motions], scene, marker, n_frames, FPS)
            n_frames += 1


def pixels_of(frames: Generator[Frame, None, None]) -> Generator[Image, None, None]:
    """Return the pixels of frames; closing this closes them."""
    with closing(frames):
        for frame in frames:
            yield frame.pixels


def _frame(states: Sequence[FaceState], scene: Scene, marker: FilmMarker, number: int, fps: float) -> Frame:
    out = scene.still.copy()
    box = scene.draw(states, number / fps, out)
    return Frame(marker.mark(out, number), number / fps, box)
