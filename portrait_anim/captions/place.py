"""Where captions stand: below the chin where there is room, else where no face is, and never over a mouth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from portrait_anim.face.mesh import EYE_LEFT, EYE_RIGHT, FACE_OVAL, LIPS_OUTER, OUTER_EYE_CORNERS
from portrait_anim.face.types import Face

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in px

MARGIN = 0.04  # of the picture's shorter side, from its border
SWAY_IOD = 0.28  # round a face: a nod of 15 degrees moves the mouth so far
JAW_IOD = 0.25  # further below chin and mouth: the jaw drops


@dataclass(frozen=True)
class Place:
    """A place for blocks of text.

    Attributes:
        y: px, of the blocks' lower border, or of their upper one.
        below: whether ``y`` is the lower border.
    """

    y: float
    below: bool


def find_place(
    size: tuple[int, int], block: tuple[float, float], faces: Sequence[Face], label: Box | None
) -> tuple[Place, int] | None:
    """Return where a block goes, and how little is kept free there; None where every place covers a mouth.

    Args:
        size: (width, height) of the film.
        block: (width, height) px of the largest block; it stands in the middle.
        faces: all that move.
        label: the visible label's box, which is kept free.

    Returns:
        the place, and 0: no face is touched; 1: no eye and no mouth; 2: no mouth.
    """
    width, height = size
    margin = MARGIN * min(size)
    middle = (width - block[0]) / 2, (width + block[0]) / 2
    bottom = height - margin
    if label is not None and label[0] - margin / 2 < middle[1] and label[2] + margin / 2 > middle[0]:
        bottom = label[1] - margin / 2
    for level, kept in enumerate((_whole, _eyes_and_mouth, _mouth)):
        boxes = [box for face in faces for box in kept(face) if box[0] < middle[1] and box[2] > middle[0]]
        for place in (Place(bottom, True), Place(margin, False)):
            top, low = (place.y - block[1], place.y) if place.below else (place.y, place.y + block[1])
            inside = top >= margin / 2 and low <= bottom + 1e-6
            if inside and not any(top < box[3] and low > box[1] for box in boxes):
                return place, level
    return None


def _box(face: Face, points: Iterable[int], down_iod: float) -> Box:
    landmarks = face.landmarks[list(points), :2]
    left, right = face.landmarks[list(OUTER_EYE_CORNERS), :2]
    iod = float(np.linalg.norm(right - left))
    room = SWAY_IOD * iod
    down = _down(face) * down_iod * iod
    (x0, y0), (x1, y1) = landmarks.min(0) - room, landmarks.max(0) + room
    return (
        float(x0 + min(down[0], 0)), float(y0 + min(down[1], 0)), float(x1 + max(down[0], 0)),
        float(y1 + max(down[1], 0)),
    )  # fmt: skip


def _down(face: Face) -> npt.NDArray[np.float64]:
    """Return the direction from the eyes to the mouth in the picture."""
    eyes = face.landmarks[list(OUTER_EYE_CORNERS), :2].mean(0)
    way = np.asarray(face.landmarks[list(LIPS_OUTER), :2].mean(0) - eyes, np.float64)
    return way / max(float(np.linalg.norm(way)), 1e-6)


def _whole(face: Face) -> list[Box]:
    return [_box(face, FACE_OVAL, JAW_IOD)]


def _mouth(face: Face) -> list[Box]:
    return [_box(face, LIPS_OUTER, JAW_IOD)]


def _eyes_and_mouth(face: Face) -> list[Box]:
    return [*_mouth(face), _box(face, chain(EYE_LEFT, EYE_RIGHT), 0.0)]
