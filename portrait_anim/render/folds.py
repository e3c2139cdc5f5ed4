"""The table of folds: where each runs on the face, which motion deepens it, and how dark it gets.

Each is a curve drawn on the mean face, where Ekman, Friesen and Hager 2002 ("Facial Action Coding System", FACS)
describe the wrinkles of an action unit (one visible movement of the face). Place and depth of the soft shades follow
averages of smiling, shouting, sad and disgusted stills against neutral ones (log brightness -.12 beside a smile, +.06
on the cheek, -.06 under the eye) and were checked on driven clips (docs/gallery.md). The lines are drawn by hand: they
lie in other places on every face, so averages do not show them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from portrait_anim.config import N_LANDMARKS
from portrait_anim.face.mesh import mirror

Array = npt.NDArray[np.float32]

SOFT = 0.18  # activation at which a fold has half its depth; below it hardly shows, since speech folds the skin little
LEAST, MOST = 0.01, 1.5  # activation below which a fold is not drawn, and the limit of activations


@dataclass(frozen=True)
class Drive:
    """A motion that deepens a fold.

    Attributes:
        points: landmarks of the image-left side; the mirrored ones drive the fold on the other side.
        direction: (outwards from the midline, up) along which their mean displacement counts.
        iod: displacement in IOD that counts as activation 1.
    """

    points: tuple[int, ...]
    direction: tuple[float, float]
    iod: float


CORNER_UP, CORNER_OUT = Drive((61,), (0, 1), 0.16), Drive((61,), (1, 0), 0.19)
CORNER_DOWN = Drive((61,), (0, -1), 0.08), Drive((17,), (0, 1), 0.23)  # more than an open jaw alone moves it
LIP_UP, NOSTRIL_UP = Drive((37, 39, 40), (0, 1), 0.10), Drive((64, 98), (0, 1), 0.11)
CHEEK_UP = Drive((50,), (0, 1), 0.07)
JAW_DOWN = Drive((17,), (0, -1), 0.20)
BROWS_DOWN, BROWS_IN = Drive((55, 107), (0, -1), 0.09), Drive((55, 107), (-1, 0), 0.10)
INNER_BROW_UP, OUTER_BROW_UP = Drive((55, 107), (0, 1), 0.09), Drive((46, 70), (0, 1), 0.08)


@dataclass(frozen=True)
class Fold:
    """One fold, drawn on the image-left side of the mean face and mirrored for the other side.

    Depths are changes of the natural logarithm of the brightness: .1 is about a tenth darker.

    Attributes:
        curve: points (x, y) in IOD on the mean face, y up. The skin that bulges beside the fold lies below a curve
            that runs to the right, and image-left of one that runs down.
        drive: the motions that deepen it; the sum of theirs is its activation.
        crease: depth of its dark line at activation 1, where the photo shows a crease there; less on smooth skin.
        width: IOD, Gaussian deviation of the line.
        shade: depth of the soft shade beside it at activation 1; below 0 the skin gets brighter.
        spread: IOD, Gaussian deviation of the shade towards the bulge and away from it.
        snap: IOD within which the curve is moved onto the photo's own crease; 0: it is not moved.
        both: whether it lies across the midline: then it is one fold, driven by the mean of both sides.
    """

    curve: tuple[tuple[float, float], ...]
    drive: tuple[Drive, ...]
    crease: float = 0.0
    width: float = 0.014
    shade: float = 0.0
    spread: tuple[float, float] = (0.03, 0.03)
    snap: float = 0.0
    both: bool = False


_NASOLABIAL = ((-0.215, -0.39), (-0.275, -0.48), (-0.33, -0.57), (-0.375, -0.665), (-0.405, -0.75), (-0.415, -0.84))
FOLDS = (
    Fold(_NASOLABIAL, (CORNER_UP, CORNER_OUT), 0.12, 0.018, 0.10, (0.055, 0.085), 0.04),
    Fold(_NASOLABIAL[:4], (LIP_UP, NOSTRIL_UP), 0.14, 0.016, 0.08, (0.04, 0.05), 0.04),
    Fold(((-0.62, -0.44), (-0.54, -0.42), (-0.46, -0.39)), (CORNER_UP, CORNER_OUT), shade=-0.05, spread=(0.09, 0.07)),
    Fold(((-0.33, -0.82), (-0.36, -0.89), (-0.37, -0.97)), CORNER_DOWN, 0.05, 0.016, 0.045, (0.04, 0.05), 0.025),
    Fold(((-0.22, -1.07), (0, -1.09), (0.22, -1.07)), (JAW_DOWN,), shade=0.05, spread=(0.07, 0.05), both=True),
    Fold(((-0.54, -0.115), (-0.45, -0.15), (-0.33, -0.16), (-0.20, -0.125)), (CHEEK_UP,),
         0.05, 0.013, 0.05, (0.03, 0.02), 0.03),
    *(
        Fold(curve, (CHEEK_UP,), 0.07, 0.009, 0.02, (0.015, 0.015), 0.015)
        for curve in (
            ((-0.60, 0.035), (-0.67, 0.060), (-0.74, 0.095)),
            ((-0.61, -0.020), (-0.69, -0.022), (-0.77, -0.020)),
            ((-0.59, -0.070), (-0.66, -0.100), (-0.72, -0.140)),
        )
    ),
    Fold(((-0.062, 0.12), (-0.078, 0.19), (-0.076, 0.26), (-0.066, 0.34)), (BROWS_DOWN, BROWS_IN),
         0.12, 0.012, 0.06, (0.02, 0.025), 0.02),
    Fold(((-0.10, 0.035), (0, 0.050), (0.10, 0.035)), (NOSTRIL_UP, BROWS_DOWN),
         0.08, 0.014, 0.03, (0.02, 0.02), 0.03, both=True),
    Fold(((-0.085, -0.03), (-0.12, -0.08), (-0.165, -0.11)), (NOSTRIL_UP,), 0.10, 0.011, 0.03, (0.015, 0.015), 0.015),
    *(
        Fold(((-0.36, y - 0.01), (-0.18, y + 0.012), (0, y), (0.18, y + 0.012), (0.36, y - 0.01)), (INNER_BROW_UP,),
             0.12, 0.014, 0.022, (0.025, 0.02), 0.035, both=True)
        for y in (0.43, 0.51, 0.59)
    ),
    *(
        Fold(((-0.62, y - 0.06), (-0.50, y), (-0.38, y + 0.015), (-0.26, y + 0.012)), (OUTER_BROW_UP,),
             0.12, 0.014, 0.025, (0.025, 0.02), 0.03)
        for y in (0.395, 0.475)
    ),
)  # fmt: skip


def activation(raw: Array) -> Array:
    """Return the activations (F,) of folds whose drives sum to ``raw`` (F,).

    Small sums count less (see ``SOFT``). Negative ones, down to -1, smooth the photo's own crease away.
    """
    return np.clip(raw * np.abs(raw) / (np.abs(raw) + SOFT), -1, MOST)


def drive_weights(fold: Fold, side: int) -> Array:
    """Return (478 * 2,) what each x and y of a displacement adds to a fold's drive; side 1 is image-left, -1 its mirror."""
    out = np.zeros((N_LANDMARKS, 2), np.float32)
    for drive in fold.drive:
        for which in (1, -1) if fold.both else (side,):
            points = list(drive.points) if which == 1 else mirror()[list(drive.points)]
            share = 1 / (drive.iod * len(points) * (2 if fold.both else 1))
            out[points] += np.array([-which * drive.direction[0], drive.direction[1]]) * share
    return out.ravel()
