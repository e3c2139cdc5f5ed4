"""A second opinion on what the mesh net takes for a face: buckles, coins, gravel and upside-down heads are none.

The detector looks again, straight at the points found, from near and from further off. A face is one that it is sure
of there, with its key points (eyes, nose, mouth) where the mesh has them. Where it is only fairly sure, or the face
lies, the mesh net places its points again in crops that are moved, turned and scaled a little: on a face they come out
at the same place.

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

CERTAIN = 0.88  # detector's score from which on nothing else is asked
SURE, FAIR = 0.84, 0.60  # score that is enough for a face, and that is enough for one whose points come out the same
KEY_ERROR = 0.12  # of the face's side, mean distance of the detector's key points from the mesh's that still agrees
NEARNESS = 0.35  # of the face's side, how far another face's centre may be that is seen in the same place
VIEWS = (1.5, 2.2, 3.2)  # of the face's side: how much of the surroundings is seen
QUARTERS = (np.pi, np.pi / 2, -np.pi / 2)  # radians: how else a face may lie
UPRIGHT_LEAD = 0.015  # by how much a face's score is above that of the same place seen turned
TURNED_LEAD = 0.05  # score by which a turned view is better that tells that the face is none
STEADY = 0.033  # of the face's side, median distance of points placed again
TILT = np.pi / 3  # radians; faces that lie more than this have to be steady too
REPEATS = (
    (0.08, 0.0, 1.0, 0.0), (-0.08, 0.0, 1.0, 0.0), (0.0, 0.08, 1.0, 0.0), (0.0, -0.08, 1.0, 0.0),
    (0.0, 0.0, 1.2, 0.0), (0.0, 0.0, 0.85, 0.0), (0.0, 0.0, 1.0, 0.2), (0.0, 0.0, 1.0, -0.2),
)  # fmt: skip
"""How crops are changed: moved right and down (shares of their side), scaled, turned (radians)."""
_UPPER_INNER_LIP, _LOWER_INNER_LIP = 13, 14


def second_look(nets: FaceNets, image: Image, face: Face, refine: int = 0) -> Face | None:
    """Return a face that is believed: the one given, or the same turned the right way up; None: it is none.

    Args:
        nets: detector and mesh net.
        image: (H, W, 3) uint8 RGB.
        face: what was found.
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
    """Whether the eyes lie more or less level."""
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
    """Return how far points placed again lie from a face's own: median over REPEATS, share of its side."""
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
