"""Where the eyes look in a film: into the camera, or as in the photo.

Into the camera: the eyes make up for where the photo looks and for every turn of the head. Beside that they dart: what
is fast in the gaze of the driver (a voice's, an actor's, a file's) stays, small.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from portrait_anim.face.gaze import Sights, eyes_on_camera
from portrait_anim.motion.ends import ends_at_rest
from portrait_anim.motion.space import Motion
from portrait_anim.options import MotionOptions
from portrait_anim.system.easing import bent, eased

Float = npt.NDArray[np.float64]

DART_S = 0.4  # after so long eyes that have moved count as resting again
MAX_DART = 0.035  # radians, softly
SURE = 0.6  # of each limit below: up to here the gaze is as wanted, beyond it less and less
IN_HEAD = np.array([0.55, 0.40])  # radians, aside and up: how far eyes turn in a head
DRAWN = np.array([0.45, 0.16])  # the same against the photo, which shows no more of an eye than it shows


class Gaze:
    """The gaze of one face in one film, from the first frame on.

    Args:
        options: of the film.
        sights: how its photo looks at the viewer, or its photos where the face changes.
    """

    def __init__(self, options: MotionOptions, sights: Sights) -> None:
        own = options.gaze in (None, "actor")
        voiced = options.actor is None and options.motion is None  # then the driver's gaze is the photo's with darts
        self._rule = None if own or (options.gaze == "photo" and voiced) else options.gaze
        self._sights = sights
        self._rested: Float | None = None
        self._n_frames = 0

    def led(self, motion: Motion, *, whole: bool = True) -> Motion:
        """Return the film's next frames with the gaze that was asked for.

        Args:
            motion: the frames.
            whole: they are the whole film.
        """
        if self._rule is None or not len(motion):
            return motion
        darts = self._darts(motion)
        if self._rule == "photo":  # the film ends as the photo is
            n_frames = len(motion)
            rest = ends_at_rest(np.arange(n_frames), n_frames) if whole else np.ones(n_frames)
            return replace(motion, gaze=(darts * rest[:, None]).astype(np.float32), turned_eyes=False)
        rotation, eyes = _seen(self._sights, (self._n_frames + np.arange(len(motion))) / motion.fps)
        self._n_frames += len(motion)
        turned = rotation @ Rotation.from_rotvec(motion.rotation).as_matrix()
        wanted = _soft(eyes_on_camera(turned) + darts, IN_HEAD)
        return replace(motion, gaze=_soft(wanted - eyes, DRAWN).astype(np.float32), turned_eyes=True)

    def _darts(self, motion: Motion) -> Float:
        """Return (T, 2) radians, what is fast in a gaze: its difference to its own running mean."""
        gaze = motion.gaze.astype(np.float64)
        rested = gaze[0] if self._rested is None else self._rested
        share = 1 - np.exp(-1 / (DART_S * motion.fps))
        means = np.empty_like(gaze)
        for i, now in enumerate(gaze):
            rested = rested + share * (now - rested)
            means[i] = rested
        self._rested = rested
        return np.asarray(MAX_DART * np.tanh((gaze - means) / MAX_DART))


def _soft(angles: Float, limit: Float) -> Float:
    """Limit (T, 2) angles: as they are up to ``SURE`` of the limit, then softly less."""
    return bent(angles, SURE * limit, (1 - SURE) * limit)


def _seen(sights: Sights, times: Float) -> tuple[Float, Float]:
    """Return (T, 3, 3) the head's rotation in the photo shown at these times (s), (T, 2) its eyes in the head."""
    first = sights[0][1]
    rotation, eyes = (
        np.repeat(first.rotation[None], len(times), axis=0),
        np.repeat(first.eyes[None], len(times), axis=0),
    )
    for (begin, before), (end, after) in pairwise(sights):
        done = eased(np.clip((times - begin) / max(end - begin, 1e-9), 0, 1))
        here = times > begin
        way = Rotation.from_matrix(before.rotation.T @ after.rotation).as_rotvec()
        turned = before.rotation @ Rotation.from_rotvec(done[:, None] * way).as_matrix()
        rotation[here] = turned[here]
        eyes[here] = (before.eyes + done[:, None] * (after.eyes - before.eyes))[here]
    return rotation, eyes
