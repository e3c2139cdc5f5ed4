"""One chosen face followed through a video with several people, losses and cuts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from portrait_anim.config import FPS, N_LANDMARKS
from portrait_anim.errors import NoFaceError
from portrait_anim.face.crops import crop_of
from portrait_anim.face.types import Face, Image, Landmarker
from portrait_anim.system.opencv import cv2

LOOK_EVERY = FPS // 5  # frames between looks for a face that is not there: such a look costs as much as 30 others
LOOK_AT_ONCE = FPS // 2  # frames after a loss in which it is looked for in every frame
JUMP_IOD = 1.0  # a face that moves so far from one frame to the next is another one, or there is a cut
ROAMS = 2.0  # such jumps a second that the face may have gone away while it was lost, if others are there
GROWS = 1.35  # the same for its size
THUMBNAIL = (32, 18)  # px, of a frame, to see cuts
CUT_GREY = 28.0  # grey levels by which thumbnails differ at a cut
CUT_TIMES = 4.0  # times as much as the frames before did
APART = FPS // 2  # frames between cuts at least: a camera's flash is none


@dataclass(frozen=True)
class ChosenTrack:
    """One person's face in a video at 25 fps.

    Attributes:
        landmarks: (T, 478, 3) px, NaN where the face was not found.
        cuts: frames that begin a new shot, ascending, without 0.
        n_faces: how many were there when one was chosen.
    """

    landmarks: npt.NDArray[np.float32]
    cuts: tuple[int, ...]
    n_faces: int

    @property
    def seen(self) -> npt.NDArray[np.bool_]:
        """(T,) whether the face was found."""
        return np.asarray(np.isfinite(self.landmarks[:, 0, 0]))

    def gaps(self) -> list[tuple[int, int]]:
        """Return the stretches without a face, as first frame and frame after the last."""
        edges = np.flatnonzero(np.diff(np.concatenate([[True], self.seen, [True]]).astype(int)))
        return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def follow_chosen(
    images: Iterable[Image], landmarker: Landmarker, number: int | None = None, name: str = "the video"
) -> ChosenTrack:
    """Follow one face; where it was lost the nearest one is taken up again, never simply the largest.

    Args:
        images: (H, W, 3) uint8 RGB at 25 fps, read once.
        landmarker: what finds faces.
        number: which face, counted from the left in the first frame that shows any, from 1; None: the largest.
        name: of the video, for messages.

    Raises:
        NoFaceError: there is none, or none of that number.
    """
    follower = Follower(landmarker, number, name)
    cuts = _Cuts()
    rows = []
    for image in images:
        face = follower.step(image, cut=cuts.step(image))
        rows.append(face.landmarks if face else np.full((N_LANDMARKS, 3), np.nan, np.float32))
    if not follower.n_faces:
        raise NoFaceError(
            f"no face found in {name}: give a larger, sharper video in which the actor turns both eyes to the camera"
        )
    return ChosenTrack(np.stack(rows), tuple(cuts.found), follower.n_faces)


class Follower:
    """The state of :func:`follow_chosen` from frame to frame.

    Args:
        landmarker, number, name: as there.

    Attributes:
        n_faces: how many were there when one was chosen; 0 before.
    """

    def __init__(self, landmarker: Landmarker, number: int | None, name: str) -> None:
        self._landmarker, self._number, self._name = landmarker, number, name
        self._last: Face | None = None  # where it was seen last
        self._lost = 0  # frames since then
        self._anywhere = False  # a cut since then: it may be anywhere
        self.n_faces = 0

    def step(self, image: Image, *, cut: bool = False) -> Face | None:
        """Return the face in the next frame; ``cut``: it begins a new shot."""
        self._anywhere = cut or (self._anywhere and self._lost > 0)
        face = None if cut or self._lost else self._nearby(image)
        if face is None and (cut or self._lost < LOOK_AT_ONCE * bool(self.n_faces) or not self._lost % LOOK_EVERY):
            face = self._looked_for(image)
        self._lost = 0 if face is not None else self._lost + 1
        self._last = face if face is not None else self._last
        return face

    def _nearby(self, image: Image) -> Face | None:
        if self._last is None:
            return None
        face = self._landmarker.nets.place(image, crop_of(self._last.landmarks))
        return None if face is None or _apart(face, self._last) > 1 else face

    def _looked_for(self, image: Image) -> Face | None:
        faces = self._landmarker.detect(image)
        if not faces:
            return None
        if self._last is None:
            self.n_faces = len(faces)
            return self._chosen(faces)
        last = self._last
        nearest = min(faces, key=lambda face: _apart(face, last))
        far = _apart(nearest, last) > 1 + ROAMS * self._lost / FPS
        return None if far and self.n_faces > 1 and not self._anywhere else nearest

    def _chosen(self, faces: list[Face]) -> Face:
        if self._number is None:
            return faces[0]
        if self._number > len(faces):
            these = "1 face" if len(faces) == 1 else f"{len(faces)} faces, counted from the left"
            raise NoFaceError(
                f"{self._name} has no face number {self._number}: its first frame with a face shows {these}"
            )
        return sorted(faces, key=lambda face: float(face.bbox[0] + face.bbox[2]))[self._number - 1]


def _apart(a: Face, b: Face) -> float:
    """Return how far two faces are from being one that moved on; over 1 they are not."""
    size_a, size_b = (float(np.sqrt(max(face.area, 1.0))) for face in (a, b))
    middles = [(face.bbox[:2] + face.bbox[2:]) / 2 for face in (a, b)]
    moved = float(np.linalg.norm(middles[0] - middles[1])) / min(size_a, size_b) / JUMP_IOD
    return max(moved, abs(float(np.log(size_a / size_b))) / float(np.log(GROWS)))


class _Cuts:
    """Sees where a new shot begins.

    Attributes:
        found: numbers of the frames.
    """

    def __init__(self) -> None:
        self.found: list[int] = []
        self._before: npt.NDArray[np.float32] | None = None
        self._usual = 0.0  # grey levels between successive frames
        self._number = -1

    def step(self, image: Image) -> bool:
        """Return whether the next frame begins a shot."""
        self._number += 1
        grey = cv2.resize(image, THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32).mean(axis=2)
        before, self._before = self._before, grey
        if before is None:
            return False
        change = float(np.abs(grey - before).mean())
        cut = change > max(CUT_GREY, CUT_TIMES * self._usual)
        if not cut:
            self._usual = 0.8 * self._usual + 0.2 * change
        elif not self.found or self._number - self.found[-1] >= APART:
            self.found.append(self._number)
        return cut
