"""The stages between a driver and a film: motion for every face, then marked frames.

Whole recordings go through :func:`perform` and :func:`draw`, sound that still comes through :func:`stream`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, nullcontext
from itertools import chain
from typing import Any

import numpy as np

from portrait_anim.animation import Frame, Steps
from portrait_anim.audio.waveform import PieceReader
from portrait_anim.config import FPS
from portrait_anim.drivers.base import Driver, LiveDriver, Target
from portrait_anim.errors import OutputError
from portrait_anim.face.state import FaceState
from portrait_anim.motion.files import MotionFiles
from portrait_anim.motion.loop import looped
from portrait_anim.motion.space import Motion, MotionSpace
from portrait_anim.options import MotionOptions
from portrait_anim.provenance.record import FilmMarker, Provenance
from portrait_anim.render.scene import Scene
from portrait_anim.system.threads import in_order
from portrait_anim.video.writer import Writer, check_fps


def frame_rate(options: MotionOptions) -> float:
    """Return the film's exact frame rate: 29.97 means 30000/1001."""
    return float(check_fps(options.fps))


def perform(driver: Driver, targets: Sequence[Target], options: MotionOptions) -> tuple[Motion, ...]:
    """Return how each face moves, at the film's frame rate."""
    fps = frame_rate(options)
    n_frames = max(1, round(driver.duration_s * fps))
    motions = (driver.motion(target, options).resampled(fps, n_frames) for target in targets)
    closes = options.loop and options.idle is None  # a face that waits comes round by itself
    return tuple(looped(motion) if closes else motion for motion in motions)


def draw(
    motions: Sequence[Motion], space: MotionSpace, scene: Scene, marker: FilmMarker
) -> Generator[Frame, None, None]:
    """Return the marked frames, drawn in threads as they are taken."""

    def frame(i: int) -> Frame:
        return _frame([space.state(motion, i) for motion in motions], scene, marker, i, motions[0].fps)

    return in_order(frame, len(motions[0]))


def write_film(
    motions: Sequence[Motion], space: MotionSpace, scene: Scene, marker: FilmMarker, writer: Writer,
    record: Provenance, saved: MotionFiles | None, step: Steps,
) -> None:  # fmt: skip
    """Draw the frames and write them, and the motion files if there are any.

    Args:
        motions: one a face.
        space: of the motions.
        scene: the picture.
        marker: of the frames.
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
        with saved or nullcontext(), writer, closing(draw(motions, space, scene, marker)) as frames:
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
    driver: LiveDriver, space: MotionSpace, scene: Scene, marker_of: Callable[[], FilmMarker], pieces: Iterable[Any]
) -> Generator[Frame, None, None]:
    """Return marked frames at 25 fps as pieces of sound come.

    Args:
        driver: what moves the faces.
        space: of its motions.
        scene: the picture.
        marker_of: returns the marker; called once the driver has the first piece, which its mark depends on.
        pieces: see :meth:`Animator.live`.
    """
    read, end = PieceReader(), object()
    marker: FilmMarker | None = None
    n_frames = 0
    for piece in chain(pieces, [end]):
        motions = driver.push(np.zeros(0, np.float32) if piece is end else read(piece), last=piece is end)
        marker = marker or marker_of()
        for i in range(len(motions[0])):
            yield _frame([space.state(motion, i) for motion in motions], scene, marker, n_frames, FPS)
            n_frames += 1


def _frame(states: Sequence[FaceState], scene: Scene, marker: FilmMarker, number: int, fps: float) -> Frame:
    out = scene.still.copy()
    box = scene.draw(states, number / fps, out)
    return Frame(marker.mark(out, number), number / fps, box)
