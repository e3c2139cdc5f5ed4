"""A camera's pictures drive a live face: the face in them is followed, and what it does goes over the idle motion.

A face that is lost holds still; after two seconds the photo eases to its own idle life. Where motion begins again at
another place (found again, learned anew), the difference fades out: nothing jumps.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from portrait_anim.config import FPS
from portrait_anim.errors import VideoError
from portrait_anim.face.actor_track import Follower
from portrait_anim.face.types import Image, Landmarker
from portrait_anim.motion.space import Motion
from portrait_anim.system.easing import eased
from portrait_anim.system.opencv import cv2

if TYPE_CHECKING:
    from portrait_anim.motion.acting import Acting

Array = npt.NDArray[np.float32]

LOST_S = 2.0  # after which the photo goes over to idle
GAP_S = 0.25  # without a face after which motion does not simply go on
EASE_S = 0.5  # to idle and back
FADE_S = 0.3  # in which a difference fades out
LARGEST_PX = 640  # longer side of a picture that is looked at; the face net sees 256 px of a face
TRACKS = ("mesh", "blink", "gaze", "rotation", "shift")  # that a camera drives; the rest is idle's


class Camera:
    """Follows the user. ``see`` may be called from another thread than the rest.

    Args:
        landmarker: finds the face.
        shape, n_components, head_motion, blinks: of the motion, see :class:`portrait_anim.motion.acting.Acting`.
    """

    def __init__(
        self, landmarker: Landmarker, shape: Array, n_components: int, head_motion: float = 1.0, blinks: float = 1.0
    ) -> None:
        self._given = shape, n_components, head_motion, blinks
        self._seeing, self._lock = threading.Lock(), threading.Lock()
        self._follower = Follower(landmarker, None, "the camera")
        self._wants_anew = False
        self._newest: Motion | None = None
        self._seen_s = self._came_s = 0.0  # of the newest motion: when its picture was taken, and the time before
        self._breaks = False  # the newest motion does not go on from the one before
        self._unseen = 0  # ticks since the last picture with a face
        self._weight = 0.0
        self._shown: dict[str, Array] = {}
        self._away: dict[str, Array] = {}  # what was shown less what came, where motion broke off
        self._faded = 1.0

    @cached_property
    def _acting(self) -> Acting:
        from portrait_anim.motion.acting import Acting  # scipy.signal takes long to import

        return Acting(*self._given)

    def see(self, picture: Any, time_s: float) -> None:
        """Look at a picture.

        Args:
            picture: (H, W, 3) uint8 RGB.
            time_s: when it was taken, on the monotonic clock.

        Raises:
            VideoError: it is something else.
        """
        image = _small(picture)
        with self._seeing:
            if time_s <= self._came_s:
                return  # an older one
            again, self._wants_anew = self._wants_anew, False
            if again:
                self._acting.recalibrate()
            gap, self._came_s = time_s - self._came_s, time_s
            face = self._follower.step(image)
            if face is None:
                return
            knew = self._acting.learned_times
            motion = self._acting.push(face.landmarks, time_s)
            late = time_s - self._seen_s > GAP_S or gap > GAP_S or knew != self._acting.learned_times
        with self._lock:
            self._unseen, self._seen_s = 0, time_s
            self._breaks |= late and motion is not None
            self._newest = motion if motion is not None else self._newest

    def recalibrate(self) -> None:
        """Learn the user's resting face from the next second."""
        self._wants_anew = True

    @property
    def how(self) -> str | None:
        """``"calibrating"``, ``"driven"`` or ``"lost"``; None: there was no picture yet."""
        if not self._came_s:
            return None
        if self._unseen > GAP_S * FPS:
            return "lost"
        return "calibrating" if self._acting.calibrating else "driven"

    @property
    def seen_s(self) -> float:
        """When the picture was taken whose face is shown, on the monotonic clock."""
        return self._seen_s

    def over(self, idle: Motion) -> Motion:
        """Return the next tick's motion (one frame), the camera's over the idle one."""
        with self._lock:
            newest, breaks, self._breaks = self._newest, self._breaks, False
            self._unseen += 1
            there = newest is not None and self._unseen <= LOST_S * FPS
        if newest is None:
            return idle
        step = 1 / (EASE_S * FPS)
        self._weight = float(np.clip(self._weight + (step if there else -step), 0, 1))
        came = {name: getattr(newest, name) for name in TRACKS}
        if breaks and self._shown:
            self._away = {name: self._shown[name] - came[name] for name in TRACKS}
            self._faded = 0.0
        left = 1 - eased(self._faded)
        self._faded = min(1.0, self._faded + 1 / (FADE_S * FPS))
        self._shown = came
        if left and self._away:
            self._shown = {name: came[name] + np.float32(left) * self._away[name] for name in TRACKS}
        share = np.float32(eased(self._weight))
        tracks: dict[str, Any] = {name: _between(getattr(idle, name), self._shown[name], share) for name in TRACKS}
        return replace(idle, **tracks)


def _between(idle: Array, driven: Array, share: np.float32) -> Array:
    """Return ``share`` of the way; a motion without a mesh counts as one that rests."""
    return np.asarray(share * driven + (1 - share) * idle if idle.size else share * driven, np.float32)


def _small(picture: Any) -> Image:
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise VideoError("a camera's picture is an array (H, W, 3) of uint8 RGB")
    share = LARGEST_PX / max(picture.shape[:2])
    if share >= 1:
        return np.ascontiguousarray(picture)
    size = (max(1, round(picture.shape[1] * share)), max(1, round(picture.shape[0] * share)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
