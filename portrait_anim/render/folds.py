"""The folds that faces make: where they run, what deepens them, how deep.

Each is a curve drawn on the mean face, where Ekman, Friesen and Hager 2002, FACS, see a unit's wrinkles. Where and how
deep the soft shades are follows what means of smiling, shouting, sad and disgusted stills show against neutral ones
(-.12 beside a smile, +.06 on the cheek, -.06 under the eye) and what driven clips bear out (docs/gallery.md). Lines are
drawn: nobody's lie where another's do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from portrait_anim.config import N_LANDMARKS
from portrait_anim.face.mesh import mirror

Array = npt.NDArray[np.float32]

SOFT = 0.18  # activation below which a fold hardly shows: speech moves much, and folds little
LEAST, MOST = 0.01, 1.5  # activation that shows, and the most there is


@dataclass(frozen=True)
class Drive:
    """What deepens a fold: the mean displacement of image-left ``points`` along (out, up), in units of ``iod``."""

    points: tuple[int, ...]
    direction: tuple[float, float]
    iod: float


CORNER_UP, CORNER_OUT = Drive((61,), (0, 1), 0.16), Drive((61,), (1, 0), 0.19)
CORNER_DOWN = Drive((61,), (0, -1), 0.08), Drive((17,), (0, 1), 0.23)  # beyond what an open jaw draws it along
LIP_UP, NOSTRIL_UP = Drive((37, 39, 40), (0, 1), 0.10), Drive((64, 98), (0, 1), 0.11)
CHEEK_UP = Drive((50,), (0, 1), 0.07)
JAW_DOWN = Drive((17,), (0, -1), 0.20)
BROWS_DOWN, BROWS_IN = Drive((55, 107), (0, -1), 0.09), Drive((55, 107), (-1, 0), 0.10)
INNER_BROW_UP, OUTER_BROW_UP = Drive((55, 107), (0, 1), 0.09), Drive((46, 70), (0, 1), 0.08)


@dataclass(frozen=True)
class Fold:
    """One fold, drawn on the image-left side of the canonical face and mirrored; brightness is natural log.

    Attributes:
        curve: (x, y) IOD, canonical face; what bulges lies below it if it runs to the right, image-left if down.
        drive: what deepens it; the sum is its activation.
        crease: depth of the line at activation 1, where the photo has one to deepen.
        width: IOD, the line's deviation.
        shade: depth of the soft shade round it at activation 1; below 0 it is light.
        spread: IOD, the shade's deviation towards the bulge and away from it.
        snap: IOD within which the curve snaps to the photo's own crease.
        both: lies across the midline: one fold, driven by the mean of both sides.
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
    """Return how far folds (F,) are activated by drives that sum to ``raw``: soft at first, smoothed out below 0."""
    return np.clip(raw * np.abs(raw) / (np.abs(raw) + SOFT), -1, MOST)


def drive_weights(fold: Fold, side: int) -> Array:
    """Return (478 * 2,) what each x, y of a displacement adds to a fold; side 1 is image-left, -1 its mirror."""
    out = np.zeros((N_LANDMARKS, 2), np.float32)
    for drive in fold.drive:
        for which in (1, -1) if fold.both else (side,):
            points = list(drive.points) if which == 1 else mirror()[list(drive.points)]
            share = 1 / (drive.iod * len(points) * (2 if fold.both else 1))
            out[points] += np.array([-which * drive.direction[0], drive.direction[1]]) * share
    return out.ravel()
