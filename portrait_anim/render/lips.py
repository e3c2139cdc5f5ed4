"""How lips must be asked to move so that they are seen to move as far as meant.

A photo of closed lips shows little of their red, and of one mouth it does not tell what it looks like from inside. So
what looks at a face reads a drawn mouth a little differently than a real one: on one photo as a quarter wider open, on
another as less far, and a pursed mouth as less narrow. Every photo's mouth is opened, spread and pursed a little
beforehand, tracked as a film would be, and what is missing is added. And lips that part stay together at their
corners, the more so the narrower the mouth is: the mesh's own landmarks come apart from corner to corner.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt

from portrait_anim.config import N_LANDMARKS
from portrait_anim.face.mesh import (
    CHIN,
    FACE_OVAL,
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    LIPS_OUTER_LOWER,
    LIPS_OUTER_UPPER,
    MOUTH_CORNERS,
    NOSE_TIP,
    STABLE,
    topology,
)
from portrait_anim.face.normalise import normalise
from portrait_anim.face.state import FaceState
from portrait_anim.face.types import Face, Landmarker
from portrait_anim.render.portrait import Portrait

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]

UPPER, LOWER = list(LIPS_INNER_UPPER), list(LIPS_INNER_LOWER)
MIDDLE = slice(2, 9)  # of the inner rows: what counts as the opening
PARTED = np.array([1, 0.35, 0.8, 1, 1, 1, 1, 1, 0.8, 0.35, 1])  # share of the landmarks' gap, corner to corner
PARTED_NARROW = np.array([1, 0, 0.3, 0.8, 1, 1, 1, 0.8, 0.3, 0, 1])  # the same in a narrow mouth
NARROW = 0.2  # share of its width that such a mouth has lost
GAP = np.array([0, 0.4, 0.68, 0.88, 0.97, 1, 0.97, 0.88, 0.68, 0.4, 0])  # a mouth's usual profile
LOWER_SHARE, CHIN_SHARE = 0.85, 0.75  # of an opening: that the lower lip does, that the chin goes down
CORNERS_DOWN, CORNERS_IN = 0.3, 0.1  # of an opening: how far the corners go
CHIN_POINTS = tuple(FACE_OVAL[i] for i in range(15, 22))  # round the chin's middle

# (opening, change of width), IOD, at which a photo's mouth is tried
TRIED = ((0.05, 0.0), (0.11, 0.0), (0.05, -0.06), (0.02, 0.04))
USUAL = (1.05, 0.0, 0.85)  # opening seen over asked; width seen for an opening; width seen over asked
LIMITS = ((0.7, 1.4), (-0.35, 0.35), (0.6, 1.3))  # that are made up for
BELIEVED = (0.4, 2.0)  # of the first; otherwise the tracker did not see the mouth
MADE_UP = (0.7, 0.85)
"""Share of what is missing in opening and width that is made up for: the mouths tried here are drawn from two fields,
and speaking mouths, whose cheeks and lips roll with them, miss a little less. From ten clips of training people, whose
own motion was drawn on one of their frames and tracked again."""
MEANT = 0.004  # IOD of opening below which lips are shut: they stay so


@dataclass(frozen=True)
class Lips:
    """What is seen of a photo's mouth, by :data:`USUAL`.

    Attributes:
        opening: seen over asked.
        narrows: by how much the mouth is seen to widen for an opening.
        width: seen over asked.
        wide: IOD between the corners at rest.
        taper: whether lips stay together at their corners; not where the photo shows an open mouth of its own.
    """

    opening: float
    narrows: float
    width: float
    wide: float
    taper: bool

    def shown(self, state: FaceState) -> FaceState:
        """Return the state whose mouth is seen to open and spread as ``state`` asks."""
        given = state.displacement
        if not given.any():
            return state
        gap, spread = _gap(given), _spread(given)
        out = given.astype(np.float64)
        if self.taper:
            narrow = float(np.clip(-spread / (NARROW * self.wide), 0, 1))
            share = ((1 - narrow) * PARTED + narrow * PARTED_NARROW)[:, None]
            middle, half = (out[UPPER] + out[LOWER]) / 2, (out[UPPER] - out[LOWER]) / 2
            out[UPPER], out[LOWER] = middle + share * half, middle - share * half
        opened = max(gap - MEANT, 0.0) * MADE_UP[0] * (1 / self.opening - 1)
        widened = MADE_UP[1] * ((spread - self.narrows * max(gap, 0.0)) / self.width - spread)
        opening, widening = _fields()
        return replace(state, displacement=(out + opened * opening + widened * widening).astype(np.float32))


def measured(portrait: Portrait, face: Face, landmarker: Landmarker | None) -> Lips:
    """Try how a photo's mouth is seen.

    Args:
        portrait: the face, ready to be drawn.
        face: where it is in the photo.
        landmarker: what tracks it; None: the usual numbers are taken.
    """
    left, right = portrait.rest[list(MOUTH_CORNERS)]
    usual = Lips(*USUAL, float(np.linalg.norm(left - right)), not portrait.mouth_open)
    start = None if landmarker is None else _seen(portrait, face, landmarker, (0.0, 0.0))
    if landmarker is None or start is None:
        return usual
    asked, seen = [], []
    for trial in TRIED:
        found = _seen(portrait, face, landmarker, trial)
        if found is None:
            return usual
        asked.append(trial)
        seen.append(found - start)
    moved, shown = np.array(asked), np.array(seen)
    opening = float(moved[:, 0] @ shown[:, 0] / (moved[:, 0] @ moved[:, 0]))
    narrows, width = np.linalg.lstsq(moved, shown[:, 1], rcond=None)[0]
    if not BELIEVED[0] < opening < BELIEVED[1]:
        return usual
    limited = [float(np.clip(value, *limits)) for value, limits in zip((opening, narrows, width), LIMITS, strict=True)]
    return replace(usual, opening=limited[0], narrows=limited[1], width=limited[2])


def _gap(points: npt.NDArray[np.floating]) -> float:
    return float((points[UPPER, 1] - points[LOWER, 1])[MIDDLE].mean())


def _spread(points: npt.NDArray[np.floating]) -> float:
    left, right = MOUTH_CORNERS
    return float(points[right, 0] - points[left, 0])


def _seen(portrait: Portrait, face: Face, landmarker: Landmarker, asked: tuple[float, float]) -> Float | None:
    """Return (2,) IOD, opening and width that are seen in a frame; None: no face is."""
    opening, widening = _fields()
    displacement = (asked[0] * opening + asked[1] * widening).astype(np.float32)
    frame = portrait.render(replace(FaceState.rest(), displacement=displacement))
    found = landmarker.track(frame, face)
    if found is None:
        return None
    points, _ = normalise(found.landmarks)
    return np.array([_gap(points), _spread(points)])


@cache
def _fields() -> tuple[Float, Float]:
    """Return two displacements (478, 3) of the mean face, an IOD each: one opens the mouth, one widens it.

    What lies between the lips, the chin and the fixed points of the skull moves as a stretched skin would (a harmonic
    field on the mesh, whose mouth is a hole).
    """
    mean_gap = GAP[MIDDLE].mean()
    opens: dict[int, tuple[float, float]] = dict.fromkeys(STABLE, (0.0, 0.0)) | {NOSE_TIP: (0.0, 0.0)}
    opens |= dict.fromkeys((CHIN, *CHIN_POINTS), (0.0, -CHIN_SHARE / mean_gap))
    for upper, lower, gap in zip(LIPS_INNER_UPPER, LIPS_INNER_LOWER, GAP / mean_gap, strict=True):
        opens[upper], opens[lower] = (0.0, (1 - LOWER_SHARE) * gap), (0.0, -LOWER_SHARE * gap)
    for row, share in ((LIPS_OUTER_UPPER, 1 - LOWER_SHARE), (LIPS_OUTER_LOWER, -LOWER_SHARE)):
        for i, gap in zip(row, GAP / mean_gap, strict=True):
            opens[i] = (0.0, share * gap)
    spreads: dict[int, tuple[float, float]] = dict.fromkeys((*STABLE, NOSE_TIP, *FACE_OVAL), (0.0, 0.0))
    for rows in ((LIPS_INNER_UPPER, LIPS_INNER_LOWER), (LIPS_OUTER_UPPER, LIPS_OUTER_LOWER)):
        for row in rows:
            for i, share in zip(row, np.linspace(-0.5, 0.5, len(row)), strict=True):
                spreads[i] = (float(share), 0.0)
    for side, at in ((1.0, 0), (-1.0, -1)):
        for row in (LIPS_INNER_UPPER, LIPS_OUTER_UPPER):
            opens[row[at]] = (side * CORNERS_IN, -CORNERS_DOWN)
    return _harmonic(opens), _harmonic(spreads)


def _harmonic(fixed: dict[int, tuple[float, float]]) -> Float:
    """Return (478, 3) a displacement that is as given at some points and as even as can be between them."""
    triangles = topology().triangles
    links = np.zeros((N_LANDMARKS, N_LANDMARKS))
    for a, b in ((0, 1), (1, 2), (2, 0)):
        links[triangles[:, a], triangles[:, b]] = links[triangles[:, b], triangles[:, a]] = 1
    known = np.array(sorted(fixed))
    free = np.setdiff1d(np.flatnonzero(links.any(1)), known)
    laplacian = np.diag(links.sum(1)) - links
    values = np.array([fixed[i] for i in known])
    out = np.zeros((N_LANDMARKS, 3))
    out[known, :2] = values
    out[free, :2] = np.linalg.solve(laplacian[np.ix_(free, free)], -laplacian[np.ix_(free, known)] @ values)
    return out
