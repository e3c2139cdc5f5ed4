"""What an actor before a camera does, picture by picture, see :mod:`portrait_anim.motion.performance`.

The neutral face, the usual pose and the size of the face are learned in the first second; what is open of an eye, and
where the eyes look mostly, from the last ten. One Euro filters take the place of the zero-phase ones.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from portrait_anim.face.normalise import IMAGE_TO_FACE, Pose, fit, mean_face
from portrait_anim.face.state import NECK
from portrait_anim.motion.irises import gaze_of, irises_aside
from portrait_anim.motion.lids import WINK_FRAMES, openings, shares_shut, together, usual_opening
from portrait_anim.motion.limits import limited_turn
from portrait_anim.motion.one_euro import OneEuro
from portrait_anim.motion.performance import MAX_SHIFT, SWAY_S, Neutral, on_eyes
from portrait_anim.motion.retarget import brought
from portrait_anim.motion.space import INNER_LIPS, Motion, lower_face_weight

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]

CALIBRATION_S = 1.0
FEWEST = 10  # pictures that it takes at least
REMEMBERED = 250  # pictures, ten seconds at 25 a second
CLOSER_IOD = 0.003  # by which lips are more closed than at rest: then the rest was not quite closed,
CLOSER_SHARE = 0.15  # and the lower face's rest goes so far towards what is seen, in every picture
UP = np.array([0.0, 1.0, 0.0])  # IOD axes along which it goes: the width of a mouth at rest is another matter
HIDDEN = 0.3  # closure from which an iris cannot be seen
LIPS = {"min_cutoff_hz": 6.0, "beta": 300.0, "speed_cutoff_hz": 4.0}  # speed in IOD/s, mean over the lower face
BROWS = {"min_cutoff_hz": 1.5, "beta": 60.0, "speed_cutoff_hz": 2.0}  # the same over the whole face
HEAD = {"min_cutoff_hz": 1.2, "beta": 12.0}  # speed in radians/s
PLACE = {"min_cutoff_hz": 0.8, "beta": 4.0}  # IOD/s
EYES = {"min_cutoff_hz": 2.0, "beta": 40.0, "speed_cutoff_hz": 3.0}  # IOD/s of the irises


class Acting:
    """One actor's motion relative to what was learned of the face.

    Args:
        shape: (478, 3) IOD, the photo's face with its pose removed.
        n_components: coefficients of the mouth that the motion has; all 0.
        head_motion: 0 (still) to 2, times the actor's.
        blinks: up to 1 times the actor's closures; 0 keeps the eyes open.

    Attributes:
        calibrating: it learns the actor's face at this moment.
        learned_times: how often it has done so.
    """

    def __init__(
        self, shape: npt.NDArray[np.floating], n_components: int, head_motion: float = 1.0, blinks: float = 1.0
    ) -> None:
        self._shape, self._rest = shape, Motion.rest(1, n_components)
        self._head_motion, self._blinks = head_motion, min(blinks, 1.0)
        self._first: list[tuple[float, Array]] = []  # pictures to learn from
        self._learned: _Learned | None = None
        self.calibrating, self.learned_times = True, 0

    def recalibrate(self) -> None:
        """Learn the face anew from the next second; what is known goes on being used until then."""
        self._first, self.calibrating = [], True

    def push(self, landmarks: Array, time_s: float) -> Motion | None:
        """Take the face of the next picture; return one frame of motion, None: the face is not known yet.

        Args:
            landmarks: (478, 3) px.
            time_s: of the picture, on any steady clock.
        """
        if self.calibrating:
            self._first.append((time_s, landmarks))
            if time_s - self._first[0][0] >= CALIBRATION_S and len(self._first) >= FEWEST:
                self._learned = _Learned(np.stack([points for _, points in self._first]))
                self._first, self.calibrating = [], False
                self.learned_times += 1
        if self._learned is None:
            return None
        return self._motion(self._learned, landmarks, time_s)

    def _motion(self, learned: _Learned, landmarks: Array, time_s: float) -> Motion:
        mesh, opening, rotation, shift, lids, gaze = learned.push(landmarks, time_s)
        return replace(
            self._rest,
            mesh=brought(mesh[None], np.array([opening]), self._shape),
            blink=lids * np.float32(self._blinks),
            gaze=gaze,
            rotation=limited_turn(rotation[None] * self._head_motion),
            shift=np.asarray(shift[None] * self._head_motion, np.float32),
        )


class _Learned:
    """An actor's neutral face, and the filters that go on from it.

    Args:
        landmarks: (T, 478, 3) px, about a second.
    """

    def __init__(self, landmarks: Array) -> None:
        self._reference = mean_face(landmarks)
        poses = [fit(self._reference, frame) for frame in landmarks]
        points = np.stack([pose.to_face(frame) for pose, frame in zip(poses, landmarks, strict=True)])
        rotations = np.stack([pose.rotation for pose in poses])
        seen = np.ones(len(points), bool)
        open_ = openings(points, rotations, seen)
        self._neutral = Neutral.of(points, rotations, open_, seen, slice(0, len(points)), None)
        self._shape = self._neutral.shape.astype(np.float64)
        self._scale = float(np.median([pose.scale for pose in poses]))
        self._place = np.median([pose.origin for pose in poses], axis=0)
        self._open: deque[Float] = deque(open_, REMEMBERED)
        self._looks: deque[Float] = deque(irises_aside(points), REMEMBERED)
        self._differ: deque[float] = deque(maxlen=WINK_FRAMES)
        self._look = np.zeros(2)
        self._sway: Float | None = None
        self._time_s = 0.0
        self._lips, self._brows = OneEuro(**LIPS), OneEuro(**BROWS)
        self._head, self._shift, self._eyes = OneEuro(**HEAD), OneEuro(**PLACE), OneEuro(**EYES)
        self._lower = lower_face_weight()[:, None]

    def push(self, landmarks: Array, time_s: float) -> tuple[Array, float, Float, Float, Array, Array]:
        """Return mesh (478, 3), opening, rotation (3,), shift (3,), lids (1, 2) and gaze (1, 2) of a picture."""
        pose = fit(self._reference, landmarks)
        points = pose.to_face(landmarks)
        mesh = on_eyes((points - self._shape)[None].astype(np.float32))[0]
        upper, lower = INNER_LIPS
        if mesh[upper, 1] - mesh[lower, 1] < -CLOSER_IOD:
            self._shape = self._shape + CLOSER_SHARE * self._lower * mesh * UP
        mesh = self._lips.push(mesh * self._lower, time_s) + self._brows.push(mesh * (1 - self._lower), time_s)
        lids = self._lids(points, pose)
        rotation, shift = self._turned(pose, time_s)
        return (
            np.asarray(mesh, np.float32), float(mesh[upper, 1] - mesh[lower, 1]), rotation, shift, lids,
            self._gaze(points, lids, time_s),
        )  # fmt: skip

    def _turned(self, pose: Pose, time_s: float) -> tuple[Float, Float]:
        turn = Rotation.from_matrix(self._neutral.rotation.T @ pose.rotation).as_rotvec()
        turn = self._head.push(turn, time_s)
        moved = (pose.origin - self._place) * IMAGE_TO_FACE / self._scale @ self._neutral.rotation
        shift = moved + Rotation.from_rotvec(turn).apply(NECK) - NECK
        passed = time_s - self._time_s
        share = 1.0 if self._sway is None else float(1 - np.exp(-passed / SWAY_S))
        self._sway = shift if self._sway is None else self._sway + share * (shift - self._sway)
        self._time_s = time_s
        shift = self._shift.push(shift - self._sway, time_s)
        return turn, MAX_SHIFT * np.tanh(shift / MAX_SHIFT) * [1, 1, 0]

    def _lids(self, points: Array, pose: Pose) -> Array:
        rotations = pose.rotation[None]
        now = openings(points[None], rotations, np.ones(1, bool))  # (1, 2)
        self._open.append(now[0])
        shut = shares_shut(now, usual_opening(np.stack(self._open)))
        self._differ.append(float(np.abs(shut[0, 0] - shut[0, 1])))
        apart = float(np.median(self._differ)) if len(self._differ) == WINK_FRAMES else 0.0
        return together(shut, rotations, np.array([apart]))

    def _gaze(self, points: Array, lids: Array, time_s: float) -> Array:
        if lids.max() < HIDDEN:
            self._look = irises_aside(points[None])[0].astype(np.float64)
            self._looks.append(self._look)
        away = self._look - np.median(np.stack(self._looks), axis=0)
        return gaze_of(self._eyes.push(away, time_s)[None])
