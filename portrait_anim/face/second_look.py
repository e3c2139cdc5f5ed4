"""Checks again what the mesh net took for a face: buckles, coins and gravel are none, and heads may be upside down.

The detector is run again on views centred on the points found, narrow and wide ones. A face is accepted when the
detector's score is high there and its key points (eyes, nose, mouth) lie where the mesh has them. If the score is only
fair, or the face lies on its side, the mesh net also places its points again in crops that are moved, turned and scaled
a little: on a real face they come out at the same places.

Measured on 351 faces (stills, paintings, first frames of films) and 133 false ones (614 pictures and crops without a
face): the detector's score is .65 or more on faces, on nine tenths of them above .84; on false ones .85 at most, median
.5. The repeated points are .027 of the face's side apart or less on faces below .84, and .038 or more on false ones,
but for three drawn smileys.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.face.crops import CROP_SCALE, crop_of
from portrait_anim.face.mesh import EYE_LEFT, EYE_RIGHT, NOSE_TIP
from portrait_anim.face.types import Array, Crop, Face, FaceNets, Image

CERTAIN = 0.88  # detector's score from which on nothing else is checked
SURE, FAIR = 0.84, 0.60  # least score of an upright face, and of one whose points come out at the same places
KEY_ERROR = 0.12  # of the face's side, greatest mean distance between the detector's key points and the mesh's
NEARNESS = 0.35  # of the face's side, greatest distance of a detection's centre that still counts as this face
VIEWS = (1.5, 2.2, 3.2)  # of the face's side: how much of the surroundings is seen
QUARTERS = (np.pi, np.pi / 2, -np.pi / 2)  # radians: how else a face may lie
UPRIGHT_LEAD = 0.015  # least lead of a face's score over that of the same place seen turned
TURNED_LEAD = 0.05  # lead of a turned view's score from which on the face is not accepted as it was found
STEADY = 0.033  # of the face's side, greatest median distance of points placed again
TILT = np.pi / 3  # radians; faces that lie more than this have to be steady too
REPEATS = (
    (0.08, 0.0, 1.0, 0.0), (-0.08, 0.0, 1.0, 0.0), (0.0, 0.08, 1.0, 0.0), (0.0, -0.08, 1.0, 0.0),
    (0.0, 0.0, 1.2, 0.0), (0.0, 0.0, 0.85, 0.0), (0.0, 0.0, 1.0, 0.2), (0.0, 0.0, 1.0, -0.2),
)  # fmt: skip
"""How crops are changed: moved right and down (shares of their side), scaled, turned (radians)."""
_UPPER_INNER_LIP, _LOWER_INNER_LIP = 13, 14


def second_look(nets: FaceNets, image: Image, face: Face, refine: int = 0) -> Face | None:
    """Return a face that is accepted: the one given, or the same turned the right way up; None when it is no face.

    Args:
        nets: detector and mesh net.
        image: (H, W, 3) uint8 RGB.
        face: as it was found.
        refine: how often the crop of a turned face is taken again.
    """
    score = _score(nets, image, face)
    if score >= CERTAIN and _upright(face):
        return face
    rivals = {turn: _score(nets, image, face, turn) for turn in QUARTERS}
    turn = max(rivals, key=rivals.__getitem__)
    if rivals[turn] > score - UPRIGHT_LEAD:
        crop = crop_of(face.landmarks)
        other = nets.place(image, Crop(crop.cx, crop.cy, crop.side, crop.angle + turn), max(refine, 1))
        turned = 0.0 if other is None else _score(nets, image, other)
        if other is not None and turned > score:
            face, score = other, turned
        elif rivals[turn] > score + TURNED_LEAD:
            return None
    if score >= SURE and _upright(face):
        return face
    return face if score >= FAIR and _unsteadiness(nets, image, face) <= STEADY else None


def _upright(face: Face) -> bool:
    """Return whether the eyes lie more or less level."""
    return abs(crop_of(face.landmarks).angle) < TILT


def _keys(landmarks: Array) -> npt.NDArray[np.float64]:
    """Return (4, 2) px, the middles of image-left and image-right eye, the tip of the nose, the mouth's middle."""
    xy = landmarks[:, :2].astype(np.float64)
    mouth = xy[[_UPPER_INNER_LIP, _LOWER_INNER_LIP]].mean(0)
    return np.stack([xy[list(EYE_LEFT)].mean(0), xy[list(EYE_RIGHT)].mean(0), xy[NOSE_TIP], mouth])


def _score(nets: FaceNets, image: Image, face: Face, turn: float = 0.0) -> float:
    """Return the detector's best score, 0..1, for a face at this place.

    Args:
        nets: detector and mesh net.
        image: (H, W, 3) uint8 RGB.
        face: where to look.
        turn: radians by which the view is turned; only upright ones (0) are compared by their key points.
    """
    crop = crop_of(face.landmarks)
    side, best = crop.side / CROP_SCALE, 0.0
    for scale in VIEWS:
        view = Crop(crop.cx, crop.cy, scale * side, crop.angle + turn)
        scores, rows = nets.scan(image, view, averaged=True)
        to_image = view.to_image(1)
        xy = rows.reshape(-1, 8, 2) @ to_image[:, :2].T + to_image[:, 2]  # (N, 8, 2) px
        if turn:
            offset = xy[:, :2].mean(1) - [crop.cx, crop.cy]
            here = np.linalg.norm(offset, axis=1) < NEARNESS * side
        else:
            offset = xy[:, 2:6] - _keys(face.landmarks)
            here = np.linalg.norm(offset, axis=2).mean(1) < KEY_ERROR * side
        best = max(best, float(scores[here].max(initial=0.0)))
    return best


def _unsteadiness(nets: FaceNets, image: Image, face: Face) -> float:
    """Return how far points placed again lie from the face's own: median over ``REPEATS``, as a share of its side."""
    crop = crop_of(face.landmarks)
    apart = []
    for right, down, scale, turn in REPEATS:
        again = Crop(crop.cx + right * crop.side, crop.cy + down * crop.side, scale * crop.side, crop.angle + turn)
        found = nets.place(image, again)
        if found is None:
            apart.append(np.inf)
            continue
        offset = found.landmarks[:, :2] - face.landmarks[:, :2]
        apart.append(float(np.sqrt((offset**2).sum(1).mean())) * CROP_SCALE / crop.side)
    return float(np.median(apart))
